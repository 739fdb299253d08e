"""Is the peer alive?  RFC 8548 section 3.9: it proves it by answering a rekeying.

A frame proves it that was opened while nothing was unanswered, or is the
answer.  Where none came for ``interval`` seconds the peer is probed; where it
does not answer in ``timeout`` seconds it is dead.  TCP's acknowledgements,
which anybody could forge, prove nothing: they only put the question off while
the probe itself is still waiting behind other data.
"""

import time
from typing import Protocol

from pyeno.errors import PeerDeadError
from pyeno.tep import TepConnection


class Probed(Protocol):
    """The link, as seen from here."""

    @property
    def heard(self) -> float:
        """When stream bytes came last, by the monotonic clock."""

    @property
    def connection(self) -> TepConnection:
        """What it carries."""

    @property
    def probing(self) -> bool:
        """A probe has been asked for and is not sealed yet."""

    def attend(self) -> bool:
        """Take in what needs no reader; False where unread data are in the way."""

    def probe(self) -> bool:
        """Initiate rekeying; False where a sending thread has to."""

    def acknowledged(self) -> tuple[int, int]:
        """(bytes that the peer's TCP has acknowledged, bytes that it has yet to)."""


class Liveness:
    """What is known of one peer; times in seconds."""

    def __init__(self, interval: float, timeout: float) -> None:
        self.interval, self.timeout = interval, timeout
        self._opened = 0
        self._alive_at = 0.0
        self._asked_at: float | None = None
        self._acknowledged = self._probe_end = 0
        self._probing = False

    def start(self, connection: TepConnection) -> float:
        """The key exchange is complete, which proves it first; when to visit."""
        self._alive_at = time.monotonic()
        self._opened = connection.opened
        return self._alive_at + self._pause()

    def _pause(self) -> float:
        """Between visits: the peer's own probes are answered then, whatever the
        application does."""
        return min(self.interval, self.timeout) / 2

    def visit(self, link: Probed) -> float:
        """When to do so again; raises PeerDeadError."""
        room = link.attend()
        now = time.monotonic()
        if self._proven(link):
            self._alive_at, self._asked_at = max(self._alive_at, link.heard), None
        if not room:  # the answer may be behind what the application does not read
            self._alive_at, self._asked_at = now, None
        if self._asked_at is None and now >= self._alive_at + self.interval:
            self._ask(link, now)
        if self._asked_at is None:
            return min(self._alive_at + self.interval, now + self._pause())
        if self._under_way(link):
            self._asked_at = now
        if now >= self._asked_at + self.timeout:
            raise PeerDeadError(
                f"the peer did not answer a rekeying in {self.timeout:g} s; no frame was "
                f"authenticated for {now - self._alive_at:.3g} s; connection aborted "
                "(Config.keepalive allows more)"
            )
        return min(self._asked_at + self.timeout, now + self._pause())

    def _proven(self, link: Probed) -> bool:
        connection = link.connection
        if connection.opened == self._opened or connection.unanswered:
            return False
        self._opened = connection.opened
        return True

    def _ask(self, link: Probed, now: float) -> None:
        """A rekeying that is unanswered already is as good as a probe.
        [8548:3.9-1, 3.9-2, 8.2-1]"""
        self._probing = not link.connection.unanswered and not link.probe()
        self._asked_at = now
        self._acknowledged, queued = link.acknowledged()
        self._probe_end = self._acknowledged + queued

    def _under_way(self, link: Probed) -> bool:
        """The probe has yet to reach the peer, which is taking what precedes it."""
        before = self._acknowledged
        self._acknowledged, queued = link.acknowledged()
        if self._probing:  # it is sealed since, if at all
            self._probing = link.probing
            self._probe_end = self._acknowledged + queued + self._probing
        return before < self._acknowledged < self._probe_end
