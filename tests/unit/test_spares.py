"""Key pairs made ahead (pyeno.tcpcrypt.spares)."""

import os
from typing import Any

import pytest

from pyeno.constants import Tep
from pyeno.tcpcrypt import schemes, spares
from pyeno.tcpcrypt.agreement import KeyPair, Secret
from pyeno.tcpcrypt.spares import BUSY_SECONDS, KEPT_SECONDS, Spares
from pyeno.tcpcrypt.system import SYSTEM

TEP = Tep.TCPCRYPT_ECDHE_Curve25519


class Clock:
    """A clock that stands until it is moved."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(spares, "time", clock)
    return clock


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Spares:
    ours = Spares()
    monkeypatch.setattr(schemes, "SPARES", ours)
    return ours


def pair() -> KeyPair:
    return KeyPair(TEP, Secret.random(32))


def test_only_who_is_busy_makes_one(clock: Clock, ours: Spares) -> None:
    schemes.generate(TEP, SYSTEM).wipe()
    assert not ours.wants(TEP)
    clock.now += BUSY_SECONDS
    schemes.generate(TEP, SYSTEM).wipe()
    assert not ours.wants(TEP)
    clock.now += BUSY_SECONDS / 2
    schemes.generate(TEP, SYSTEM).wipe()
    assert ours.wants(TEP) and not ours.wants(Tep.TCPCRYPT_ECDHE_P256)
    schemes.make_ahead(TEP, SYSTEM)
    assert not ours.wants(TEP)


@pytest.mark.rfc("8548:3.3-4")
def test_a_spare_is_used_once(clock: Clock, ours: Spares) -> None:
    seen = set()
    for _ in range(20):
        keys = schemes.generate(TEP, SYSTEM)
        seen.add(keys.public)
        keys.wipe()
        schemes.make_ahead(TEP, SYSTEM)
    assert len(seen) == 20


def test_an_old_spare_is_wiped(clock: Clock) -> None:
    ours, keys = Spares(), pair()
    ours.put(TEP, keys)
    clock.now += KEPT_SECONDS
    assert ours.take(TEP) is None
    with pytest.raises(Exception, match="wiped"):
        keys.exchange(pair().public)


def test_one_is_kept(clock: Clock) -> None:
    ours, first, second = Spares(), pair(), pair()
    ours.put(TEP, first)
    ours.put(TEP, second)
    with pytest.raises(Exception, match="wiped"):
        first.exchange(second.public)
    assert ours.take(TEP) is second and ours.take(TEP) is None


def test_injected_randomness_has_no_spares(clock: Clock, ours: Spares) -> None:
    class Played:
        def public(self, size: int) -> bytes:
            return bytes(size)

        def secret(self, size: int) -> Secret:
            return Secret(b"\x07" * size)

    played: Any = Played()
    publics = set()
    for _ in range(3):
        keys = schemes.generate(TEP, played)
        publics.add(keys.public)
        schemes.make_ahead(TEP, played)
    assert len(publics) == 1 and not ours.wants(TEP)


def test_a_child_has_none() -> None:
    spares.SPARES.put(TEP, pair())
    child = os.fork()
    if child == 0:
        os._exit(0 if spares.SPARES.take(TEP) is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    kept = spares.SPARES.take(TEP)
    assert kept is not None
    kept.wipe()
