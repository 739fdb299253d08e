"""What a key exchange's secrets cost, compiled and pure (RFC 8548 sections 3.3, 5)."""

import os
from importlib import import_module
from typing import Any

import pytest

from pyeno.constants import ECDHE, Role, Tep


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


@pytest.mark.parametrize("tep", list(ECDHE), ids=lambda tep: tep.name.rpartition("_")[2])
def test_agreement(benchmark: Any, twin: str, tep: Tep) -> None:
    """A key pair and ES, as each end of a key exchange makes them (section 5)."""
    pair = import_module(f"pyeno._{twin}.agreement").KeyPair
    secret = import_module(f"pyeno._{twin}.secret").Secret
    # a scalar below every order
    private = secret(bytes(8) + os.urandom(ECDHE[tep].secret_len - 8))
    remote = pair(tep, private).public
    assert len(benchmark(lambda: pair(tep, private).exchange(remote))) == len(private)
