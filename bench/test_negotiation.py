"""What offer, choose, negotiate and a whole handshake cost, compiled and pure.

``pytest bench/test_negotiation.py --benchmark-group-by=func`` prints the twins
side by side; ``--benchmark-json=FILE`` keeps machine and numbers.
"""

from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from pyeno import negotiation
from pyeno.constants import Reason
from pyeno.negotiation import Negotiator, Segment

TWINS = ("native", "pure")
TEPS = (0x22, 0x21, 0x24, 0x23)
SYN = bytes.fromhex("450622212423")
SYN_ACK = bytes.fromhex("45040123")


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """One twin, also beneath the Negotiator."""
    module = import_module(f"pyeno._{request.param}.negotiation")
    for name in ("choose", "negotiate", "offer"):
        monkeypatch.setattr(negotiation, name, getattr(module, name))
    return module


def test_offer(benchmark: Any, twin: ModuleType) -> None:
    assert benchmark(twin.offer, TEPS) == SYN


def test_choose(benchmark: Any, twin: ModuleType) -> None:
    assert benchmark(twin.choose, SYN, TEPS) == (SYN_ACK, Reason.NEGOTIATED)


def test_negotiate(benchmark: Any, twin: ModuleType) -> None:
    assert benchmark(twin.negotiate, SYN, SYN_ACK).tep_byte == 0x23


def handshake(option: bytes) -> tuple[Negotiator, Negotiator]:
    """Figure 9, both hosts."""
    a, b = Negotiator.active(option), Negotiator.passive(TEPS)
    b.receive(Segment.SYN, [a.send(Segment.SYN)])
    a.receive(Segment.SYN_ACK, [b.send(Segment.SYN_ACK)])
    b.receive(Segment.ACK, [a.send(Segment.ACK)])
    return a, b


def test_handshake(benchmark: Any, twin: ModuleType) -> None:
    a, b = benchmark(handshake, SYN)
    assert a.enabled and b.enabled
