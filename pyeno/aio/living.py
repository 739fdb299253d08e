"""Is the peer alive?  RFC 8548 section 3.9, by the loop's clock.

Sockets ask from a thread of their own, see :mod:`pyeno.sockets.timer`; here
the loop is that thread.
"""

import asyncio
import select
import time
from typing import Any

from pyeno.aio.reading import Reading
from pyeno.errors import PyenoError
from pyeno.sockets.keepalive import Liveness
from pyeno.sockets.raw import ready
from pyeno.tep import TepConnection


class Living(Reading):
    """A transport that ends with PeerDeadError where ``Config.keepalive`` says so."""

    __slots__ = ("_liveness", "_visit")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        limits = self._sock.config.liveness
        self._liveness = None if limits is None else Liveness(*limits)
        self._visit: asyncio.TimerHandle | None = None

    def _start_living(self) -> None:
        if self._liveness is not None:
            self._visit_at(self._liveness.start(self._connection))

    def _visit_at(self, due: float) -> None:
        self._visit = self._loop.call_later(max(due - time.monotonic(), 0), self._tend)

    def _tend(self) -> None:
        # "if it has not already transmitted a segment with FIN set"
        if self._closing or self._fin_asked or self._connection.ended:
            return
        assert self._liveness is not None
        try:
            self._visit_at(self._liveness.visit(self))
        except (OSError, PyenoError) as error:
            self._fatal(error)

    def _release(self) -> None:
        if self._visit is not None:
            self._visit.cancel()
        super()._release()

    # -- as Liveness sees it -----------------------------------------------------

    @property
    def connection(self) -> TepConnection:
        return self._connection

    @property
    def probing(self) -> bool:
        return self._waits()

    def attend(self) -> bool:
        if not self._paused:
            return True  # what comes is read anyway
        if self._waits():
            return not ready(self._sock, select.POLLIN)
        room = self._link.attend()
        self._arrived = self._connection.opened + self._connection.buffered
        self._sealed = memoryview(self._link.take_unsent())
        self._flush()
        self.heard = max(self.heard, self._link.heard)
        return room

    def probe(self) -> bool:
        self._connection.rekey()
        self._flush()
        return not self._waits()

    def acknowledged(self) -> tuple[int, int]:
        return self._link.acknowledged()
