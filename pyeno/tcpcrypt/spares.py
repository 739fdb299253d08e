"""Key pairs made ahead, in the time in which this host waits for the peer anyway.

Four operations on the curve lie between two hosts and their keys, one after
another: a pair each, and ES each.  Where both make the pair for their next
connection while the other computes, two are left.

A spare is as ephemeral as any: used once, wiped after ``KEPT_SECONDS`` at most
where another connection comes, never shared by two processes.  Only who opened
two connections in ``BUSY_SECONDS`` makes one.
"""

import atexit
import os
import time

from pyeno.tcpcrypt.agreement import KeyPair

BUSY_SECONDS = 1.0
KEPT_SECONDS = 10.0


class Spares:
    """One key pair for each TEP at most."""

    def __init__(self) -> None:
        self._pairs: dict[int, tuple[float, KeyPair]] = {}
        self._wanted: dict[int, float] = {}
        self._busy: set[int] = set()

    def take(self, tep: int) -> KeyPair | None:
        """The spare, which is the caller's to wipe, if there is one."""
        now = time.monotonic()
        if now - self._wanted.get(tep, -BUSY_SECONDS) < BUSY_SECONDS:
            self._busy.add(tep)
        else:
            self._busy.discard(tep)
        self._wanted[tep] = now
        made, pair = self._pairs.pop(tep, (0.0, None))
        if pair is not None and now - made >= KEPT_SECONDS:
            pair.wipe()
            pair = None
        return pair

    def wants(self, tep: int) -> bool:
        """Whether it is worth making one now."""
        return tep in self._busy and tep not in self._pairs

    def put(self, tep: int, pair: KeyPair) -> None:
        """Keep it for the next connection."""
        _, other = self._pairs.pop(tep, (0.0, None))  # of another thread
        if other is not None:
            other.wipe()
        self._pairs[tep] = time.monotonic(), pair

    def clear(self) -> None:
        """Wipe all."""
        while self._pairs:
            self._pairs.popitem()[1][1].wipe()
        self._busy.clear()


SPARES = Spares()
os.register_at_fork(after_in_child=SPARES.clear)
atexit.register(SPARES.clear)
