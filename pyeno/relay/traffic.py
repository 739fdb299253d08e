"""Who moves the data of joined connections: the compiled engine, or the copier."""

import select
import socket
from collections.abc import Callable
from importlib import import_module
from itertools import cycle
from typing import Any, Protocol

from pyeno.relay.copying import Copier
from pyeno.relay.loop import Loop
from pyeno.relay.records import Book, Record
from pyeno.sockets import Socket


class Mover(Protocol):
    """What an engine is; see :class:`pyeno.relay.copying.Copier`."""

    def add(self, near: Any, far: Any, token: int) -> None: ...
    def fileno(self) -> int: ...
    def ended(self) -> list[Any]: ...
    def progress(self, token: int) -> tuple[int, int]: ...
    def close(self) -> None: ...


def _engine() -> Callable[[], Mover] | None:
    """None where the compiled core is missing, or not wanted (PYENO_BACKEND=pure)."""
    try:
        made: Callable[[], Mover] = import_module("pyeno.relay.engine").Engine
    except ImportError:
        return None
    return made


class Traffic:
    """Gives each connection to an engine, in turn, or to the copier."""

    def __init__(self, loop: Loop, book: Book, workers: int) -> None:
        self._loop, self._book = loop, book
        self._copier: Copier | None = None
        self._movers: list[Mover] = []
        create = _engine()
        if create is not None:
            for _ in range(workers):
                self._watched(create())
        self._turn = cycle(tuple(self._movers)) if self._movers else None

    def _watched(self, mover: Mover) -> None:
        self._movers.append(mover)
        self._loop.watch(mover.fileno(), select.EPOLLIN, lambda _: self._ended(mover))

    def join(self, near: socket.socket, far: Socket, record: Record) -> None:
        """From now on both are a mover's; ``far`` is plain, or has its keys."""
        self._mover(far).add(near, far, record.token)
        self._book.opened(record)

    def _mover(self, far: Socket) -> Mover:
        link = far.link()
        if self._turn is not None and (link is None or link.pump is not None):
            return next(self._turn)
        if self._copier is None:
            self._copier = Copier()
            self._watched(self._copier)
        return self._copier

    def _ended(self, mover: Mover) -> None:
        for end in mover.ended():
            record = self._book.records.get(end.token)
            if record is not None:
                self._book.ended(record, end.end, end.errno, end.bytes_out, end.bytes_in)

    def progress(self, token: int) -> tuple[int, int]:
        """(bytes out, bytes in) so far."""
        both = [mover.progress(token) for mover in self._movers]
        return sum(out for out, _ in both), sum(into for _, into in both)

    def close(self) -> None:
        """Reset what is left."""
        for mover in self._movers:
            self._loop.forget(mover.fileno())
            mover.close()
