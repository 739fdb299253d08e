"""Who moves the data of joined connections: the compiled engine, or the copier."""

import select
import socket
from itertools import cycle
from typing import Any, Protocol

from pyeno.relay.copying import Copier
from pyeno.relay.engine import Carried, Engine, available, carries
from pyeno.relay.loop import Loop
from pyeno.relay.records import Book, Record
from pyeno.relay.resumed import Far
from pyeno.relay.settings import CONNECTIONS_LIMIT
from pyeno.sockets import Socket


class Mover(Protocol):
    """What an engine is; see :class:`pyeno.relay.copying.Copier`."""

    def add(self, near: Any, far: Any, token: int) -> None: ...
    def fileno(self) -> int: ...
    def ended(self) -> list[Any]: ...
    def connections(self) -> list[Carried]: ...
    def close(self) -> None: ...


def _compiled(far: Socket) -> bool:
    """Whether the engine carries it."""
    if isinstance(far, Far) and far.resumed is not None:
        return True
    return carries(far.link())


class Traffic:
    """Gives each connection to an engine, in turn, or to the copier."""

    def __init__(self, loop: Loop, book: Book, workers: int) -> None:
        self._loop, self._book = loop, book
        self._copier: Copier | None = None
        self._movers: list[Mover] = []
        if available():
            for _ in range(workers):
                self._watched(Engine(connections_max=CONNECTIONS_LIMIT))
        self._turn = cycle(tuple(self._movers)) if self._movers else None

    def _watched(self, mover: Mover) -> None:
        self._movers.append(mover)
        self._loop.watch(mover.fileno(), select.EPOLLIN, lambda _: self._ended(mover))

    def join(self, near: socket.socket, far: Socket, record: Record) -> None:
        """From now on both are a mover's; ``far`` is plain, or has its keys."""
        self._mover(far).add(near, far, record.token)
        self._book.opened(record)

    def _mover(self, far: Socket) -> Mover:
        if self._turn is not None and _compiled(far):
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

    def progress(self) -> None:
        """Bring the bytes of those there are up to date."""
        for mover in self._movers:
            for token, bytes_out, bytes_in in mover.connections():
                record = self._book.records.get(token)
                if record is not None:
                    record.bytes_out, record.bytes_in = bytes_out, bytes_in

    def close(self) -> None:
        """Reset what is left."""
        for mover in self._movers:
            self._loop.forget(mover.fileno())
            mover.close()
            self._ended(mover)
