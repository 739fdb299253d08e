"""The table of providers, and every row for an AEAD against the vectors."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from pyeno import Config, ConfigError, _complaints, _crypto, doctor
from pyeno._curves import CURVES
from pyeno.constants import AEAD_TAG_LEN, CLEN_MAX, Aead

ROOT = Path(__file__).parents[2]
# the package under test may be installed elsewhere than the tests
PATH = [str(Path(_crypto.__file__).parents[1]), str(ROOT / "tests")]

REPLAY = """
import sys
sys.path[:0] = {path}
from pyeno import _crypto
from pyeno.constants import Aead
from pyeno.errors import AuthenticationError
from pyeno._native.framer import Opener, Sealer
from pyeno._native.secret import Secret
from tcpcrypt_vectors import STREAMS, data_of, matches

frames = 0
for stream in STREAMS.values():
    if stream.aead != {aead}:
        continue
    for v in stream.frames:
        data, key = data_of(v), Secret(stream.keys[v["generation"]])
        if v["rekey"] or (v["urgent"] or 0) > len(data):
            continue
        sealed = Sealer({aead}, key, v["offset"]).seal(data, fin=v["fin"], urgent=v["urgent"])
        assert matches(sealed, v["frame"]), v
        opener = Opener({aead}, key, v["offset"])
        opener.feed(sealed)
        # a read ends before an urgent byte, the next one takes it
        assert opener.read(1 << 17) + opener.read(1 << 17) == data
        bad, out = Opener({aead}, key, v["offset"]), bytearray(1 << 17)
        bad.feed(sealed[:-1] + bytes([sealed[-1] ^ 1]))
        try:
            bad.read_into(out)
        except AuthenticationError:
            assert not any(out)
        else:
            raise AssertionError("a forged tag passed")
        frames += 1
import ssl
ssl.create_default_context()  # no error of ours is left in OpenSSL's queue
print(frames, str(_crypto.plan(Aead({aead}))))
"""


def replay(aead: int, **environment: str) -> subprocess.CompletedProcess[str]:
    script = REPLAY.format(path=PATH, aead=aead)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


ROWS = [
    (aead, variable, provider)
    for aead, variable in (
        (Aead.AES_128_GCM, "PYENO_AES128"),
        (Aead.AES_256_GCM, "PYENO_AES256"),
        (Aead.CHACHA20_POLY1305, "PYENO_CHACHA20"),
    )
    for provider in (*_crypto.PROVIDERS, "")
]


@pytest.mark.rfc("8548:6-1", "8548:6-3", "8548:6-4", "8548:6-5")
@pytest.mark.parametrize(("aead", "variable", "provider"), ROWS)
def test_every_provider_gives_the_vectors(aead: Aead, variable: str, provider: str) -> None:
    """Forced one by one, and the plan itself where none is."""
    done = replay(aead, **{variable: provider})
    if provider and not _crypto._can(provider, aead):
        assert done.returncode == 1
        assert f"{variable}={provider!r}: {aead.name} can be had here from" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    frames, _, plan = done.stdout.strip().partition(" ")
    assert int(frames) > 30
    assert plan == (provider or str(_crypto.plan(aead)))


@pytest.mark.rfc("8548:3.6-1", "8548:6-1", "8548:6-3")
def test_aes_128_gcm_without_libcrypto(monkeypatch: pytest.MonkeyPatch) -> None:
    """Table 3: REQUIRED, so there is always somebody to compute it."""
    monkeypatch.setattr(_crypto, "loaded_libcrypto", lambda: None)
    assert _crypto.plan(Aead.AES_128_GCM) == ("cryptography", "cryptography", 0)


def test_aes_256_gcm_without_sodium_or_libcrypto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_crypto, "sodium_has_aes", lambda: False)
    assert _crypto.plan(Aead.AES_256_GCM).small == "libcrypto"
    monkeypatch.setattr(_crypto, "loaded_libcrypto", lambda: None)
    assert _crypto.plan(Aead.AES_256_GCM).small == "cryptography"


def test_old_cryptography_is_not_called_for_long_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_crypto, "cryptography_opens_in_place", lambda: False)
    plan = _crypto.plan(Aead.CHACHA20_POLY1305)
    assert plan.small == plan.large == "libsodium" and str(plan) == "libsodium"


@pytest.mark.parametrize(
    ("sodium", "fast", "first"),
    [(True, True, "AES_256_GCM"), (False, True, "AES_128_GCM"), (False, False, "CHACHA20")],
)
def test_default_order(
    monkeypatch: pytest.MonkeyPatch, sodium: bool, fast: bool, first: str
) -> None:
    monkeypatch.setattr(_crypto, "sodium_has_aes", lambda: sodium)
    monkeypatch.setattr(_crypto, "has_aes_instructions", lambda: fast)
    order = _crypto.default_aeads()
    assert sorted(order) == sorted(Aead)
    assert order[0].name.startswith(first)


@pytest.mark.parametrize("backend", ["native", "pure"])
def test_providers_by_backend(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    from pyeno import _backend

    monkeypatch.setattr(_backend, "backend", backend)
    found = _crypto.providers()
    assert list(found) == list(Aead)
    if backend == "pure":
        assert set(found.values()) == {"cryptography"}


TEPS = {"p256": 0x21, "p521": 0x22, "curve25519": 0x23, "curve448": 0x24}


@pytest.mark.parametrize("backend", ["native", "pure"])
def test_who_agrees_keys(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    from pyeno import _backend

    monkeypatch.setattr(_backend, "backend", backend)
    by = {name: _crypto.agreement_provider(tep) for name, tep in TEPS.items()}
    wanted = "libsodium" if backend == "native" else "cryptography"
    assert by == dict.fromkeys(TEPS, "cryptography") | {"curve25519": wanted}
    assert all(map(_crypto.has_curve, TEPS.values()))
    (check,) = (check for check in doctor.examine() if check.name == "teps")
    assert check.ok and not check.remedy
    told = [f"{name} ({TEPS[name]:#04x}) by {library}" for name, library in by.items()]
    assert check.detail.startswith(", ".join(told))


def test_a_curve_that_openssl_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of BoringSSL and LibreSSL, which have no X448: nothing is offered that would fail."""

    def lacks(_: Any) -> None:
        raise UnsupportedAlgorithm("X448 is not supported by this version of OpenSSL.")

    monkeypatch.setattr(CURVES[TEPS["curve448"]], "load", lacks)
    _crypto.has_curve.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"^teps: cryptography cannot compute curve448"):
            Config(teps="curve25519,curve448")
        assert Config(teps="curve25519,p256").teps == (0x23, 0x21)
        (check,) = (check for check in doctor.examine() if check.name == "teps")
        assert not check.ok and "; no curve448: cryptography cannot compute" in check.detail
        assert "--force-reinstall cryptography" in check.remedy
    finally:
        _crypto.has_curve.cache_clear()


def test_missing_symbols_are_named(tmp_path: Path) -> None:
    """A shared object that is not libsodium: a clear ImportError, no crash."""
    script = f"""
import sys
sys.path[:0] = {PATH}
from pyeno import _crypto
import _socket
for wrong, word in ((_socket.__file__, "sodium_init"), ("/nowhere/x.so", "cannot open")):
    _crypto.SODIUM = wrong
    try:
        import pyeno._native.secret
    except ImportError as error:
        assert word in str(error) and "PyNaCl" in str(error), error
    else:
        raise AssertionError(wrong)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_numbers_of_the_c_headers() -> None:
    """ext/core/tcpcrypt.h and opener.h mirror pyeno.constants and _complaints."""
    import re

    from pyeno import constants

    text = (ROOT / "ext/core/tcpcrypt.h").read_text()
    found = {name: int(value, 0) for name, value in re.findall(r"(\w+) = (0x\w+|\d+),", text)}
    checked = 0
    for name, value in found.items():
        python = getattr(constants, name, None)
        if isinstance(python, bytes):
            python = python[0]
        if name.startswith(("AEAD_AES", "AEAD_CHACHA")):
            python = Aead[name.removeprefix("AEAD_")]
        if python is not None:
            assert python == value, name
            checked += 1
    assert checked >= 15
    assert constants.FRAME_DATA_MAX == CLEN_MAX - AEAD_TAG_LEN - 1
    header = (ROOT / "ext/core/opener.h").read_text()
    faults: list[Any] = re.findall(r"^\tFAULT_(\w+)(?: = 0)?,", header, re.M)
    assert faults[0] == "NONE"
    for number, name in enumerate(faults[1:], 1):
        assert getattr(_complaints, name) == number
