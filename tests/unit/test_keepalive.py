"""When a peer is probed and when it is dead, without a connection or a clock."""

from typing import Any

import pytest

from pyeno import PeerDeadError
from pyeno.sockets.keepalive import Liveness


class Played:
    """A link in the hands of the test."""

    def __init__(self) -> None:
        self.connection: Any = self
        self.opened, self.unanswered, self.heard, self.probing = 100, False, 0.0, False
        self.room, self.busy = True, False
        self.acked, self.queued, self.probes = 0, 0, 0

    def attend(self) -> bool:
        return self.room

    def probe(self) -> bool:
        self.probes += 1
        self.unanswered = True
        self.probing = self.busy
        return not self.busy

    def acknowledged(self) -> tuple[int, int]:
        return self.acked, self.queued


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("pyeno.sockets.keepalive.time", clock)
    return clock


def visits(liveness: Liveness, link: Played, clock: Clock, until: float) -> None:
    due = clock.now
    while due < until:
        clock.now = due
        due = liveness.visit(link)
        assert due > clock.now


def test_decisions_in_time(clock: Clock) -> None:
    link, liveness = Played(), Liveness(10, 4)
    clock.now = liveness.start(link)  # type: ignore[arg-type]
    visits(liveness, link, clock, 1009.9)
    assert link.probes == 0
    visits(liveness, link, clock, 1013.9)
    assert link.probes == 1
    with pytest.raises(PeerDeadError, match="in 4 s"):
        visits(liveness, link, clock, 1014.1)


def test_a_rekeying_under_way_serves_as_probe(clock: Clock) -> None:
    link, liveness = Played(), Liveness(10, 4)
    clock.now = liveness.start(link)  # type: ignore[arg-type]
    link.unanswered = True
    with pytest.raises(PeerDeadError):
        visits(liveness, link, clock, 1020)
    assert link.probes == 0 and clock.now == pytest.approx(1014)


def test_acknowledged_bytes_count_only_before_the_probe(clock: Clock) -> None:
    link, liveness = Played(), Liveness(10, 4)
    clock.now = liveness.start(link)  # type: ignore[arg-type]
    link.queued = 1000
    visits(liveness, link, clock, 1010.1)
    for _ in range(9):
        link.acked, link.queued = link.acked + 100, link.queued - 100
        visits(liveness, link, clock, clock.now + 3)
    link.acked, link.queued = 1000, 0
    with pytest.raises(PeerDeadError):
        visits(liveness, link, clock, clock.now + 20)
    assert link.probes == 1


def test_a_probe_that_a_sending_thread_must_make(clock: Clock) -> None:
    link, liveness = Played(), Liveness(10, 4)
    clock.now = liveness.start(link)  # type: ignore[arg-type]
    link.busy, link.queued = True, 5000
    for _ in range(9):
        link.acked += 100
        visits(liveness, link, clock, clock.now + 3)
    with pytest.raises(PeerDeadError):
        visits(liveness, link, clock, clock.now + 20)
