"""What a key exchange's secrets cost, compiled and pure (RFC 8548 sections 3.3, 5)."""

from importlib import import_module
from typing import Any

import pytest

from pyeno.constants import Role


@pytest.fixture(params=("native", "pure"))
def twin(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_extract_to_traffic_keys(benchmark: Any, twin: str) -> None:
    secret = import_module(f"pyeno._{twin}.secret").Secret
    schedule = import_module(f"pyeno._{twin}.keyschedule").KeySchedule

    def both_directions() -> Any:
        made = schedule.extract(
            secret(bytes(32)), n_a=bytes(32), transcript=bytes(7), init1=bytes(77),
            init2=bytes(74), tep_byte=0x23, aead=1, original_role=Role.A,
        )  # fmt: skip
        return made.outgoing().traffic_key(), made.incoming().traffic_key()

    assert [len(key) for key in benchmark(both_directions)] == [28, 28]


def test_x25519(benchmark: Any, twin: str) -> None:
    agreement = import_module(f"pyeno._{twin}.agreement")
    private = import_module(f"pyeno._{twin}.secret").Secret.random(32)
    public = agreement.x25519_public(private)
    assert len(benchmark(agreement.x25519, private, public)) == 32
