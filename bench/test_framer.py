"""What sealing and opening cost, compiled and pure (RFC 8548 section 3.6).

``pytest bench/test_framer.py --benchmark-group-by=param:size,param:aead`` prints
the twins side by side; ``PYENO_AES128=libcrypto`` and its like (see
pyeno._crypto) compare providers.
"""

from importlib import import_module
from typing import Any

import pytest

from pyeno.constants import Aead

SIZES = (64, 1400, 16384, 65518)
BATCH = 20


@pytest.fixture(params=("native", "pure"))
def twin(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def framer(twin: str, kind: str, aead: Aead) -> Any:
    secret = import_module(f"pyeno._{twin}.secret").Secret
    key = secret(bytes(aead.key_len + aead.nonce_len))
    return getattr(import_module(f"pyeno._{twin}.framer"), kind)(aead, key, 77)


@pytest.mark.parametrize("aead", list(Aead), ids=lambda aead: aead.name)
@pytest.mark.parametrize("size", SIZES)
def test_seal_into(benchmark: Any, twin: str, aead: Aead, size: int) -> None:
    """One frame into a buffer that is there already."""
    sealer, out, data = framer(twin, "Sealer", aead), bytearray(size + 20), bytes(size)
    assert benchmark(sealer.seal_into, out, data) == (size, size + 20)


@pytest.mark.parametrize("aead", list(Aead), ids=lambda aead: aead.name)
@pytest.mark.parametrize("size", SIZES)
def test_open(benchmark: Any, twin: str, aead: Aead, size: int) -> None:
    """Twenty frames, fed and read one by one: divide by 20."""
    sealer = framer(twin, "Sealer", aead)
    frames = [sealer.seal(bytes(size)) for _ in range(BATCH)]
    out = bytearray(size)

    def fresh() -> tuple[tuple[Any], dict[str, Any]]:
        return (framer(twin, "Opener", aead),), {}

    def drain(opener: Any) -> int:
        total = 0
        for frame in frames:
            opener.feed(frame)
            total += opener.read_into(out)
        return total

    assert benchmark.pedantic(drain, setup=fresh, rounds=50) == BATCH * size
