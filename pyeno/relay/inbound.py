"""Connections of other hosts to programs.

    accepted, steered here ──▶ keys agreed ──▶ the program's listener reached ──▶ joined
              └───────────────────┴──────────────────┴─ fails: reset

The program hears of a peer only once it has keys, or is known to have no ENO.
"""

import errno
import os
import select
import socket
from typing import Any

from pyeno.errors import PyenoError
from pyeno.relay import far
from pyeno.relay.desk import Desk
from pyeno.relay.passage import Passage
from pyeno.relay.records import Record
from pyeno.relay.resumed import Far
from pyeno.sockets import Socket
from pyeno.sockets.raw import descriptor


class Arrival(Passage):
    """One of them, until it is joined."""

    __slots__ = ("inbound", "wanted")

    def __init__(self, inbound: "Inbound", sock: Far, record: Record) -> None:
        super().__init__(inbound.desk, sock, record)
        self.inbound = inbound
        self.wanted: Any = None
        """the address that the peer connects to"""

    def begin(self) -> None:
        """What became of ENO; then keys."""
        try:
            self.wanted = self.far.getsockname()
            self.record.local = self.wanted[:2]
            config = self.desk.settings.config_for(self.record.peer[0], self.wanted[1])
            far.follow(self.far, config)
            self.settle()
        except (OSError, PyenoError) as error:
            self.fail(error)
        else:
            self.agree()

    def go_on(self) -> None:
        """Reach the program."""
        ipv6 = len(self.wanted) > 2
        try:
            self.near = far.plain(socket.AF_INET6 if ipv6 else socket.AF_INET)
            own = self.desk.redirection.reach(self.near, self.record.peer, self.record.local)
        except OSError as error:
            self.fail(error)
        else:
            self.record.near = own[:2]
            self._connect()

    def _connect(self, events: int = 0) -> None:
        near, loop = self.near, self.desk.loop
        assert near is not None
        code = far.connect(near, self.wanted)
        if code == errno.EINPROGRESS:
            if not events:
                loop.watch(descriptor(near), select.EPOLLOUT, self._connect)
            return
        loop.forget(descriptor(near))
        if code:
            self.desk.redirection.unreach(near, self.record.local)
            self.fail(OSError(code, os.strerror(code)))
            return
        self.record.program = self.record.local
        self.inbound.leave(self)
        self.join()

    def look(self) -> None:
        """Is the peer late with its keys?"""
        if not self.keyed:
            self.agree()

    def fail(self, error: Exception) -> None:
        """The peer sees a reset."""
        self.inbound.leave(self)
        self.drop()
        self.refused(error)


class Inbound:
    """All that are under way."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._under_way: set[Arrival] = set()

    @property
    def busy(self) -> bool:
        return bool(self._under_way)

    def accept(self, listener: Socket, _: int = 0) -> None:
        """Peers whose SYNs were steered here."""
        try:
            for number, peer in far.accepted(listener):
                self._begin(listener, number, peer)
                if self.desk.full():
                    break
        except OSError:  # no descriptor: they wait in the backlog
            self.desk.crowded()

    def _begin(self, listener: Socket, number: int, peer: Any) -> None:
        sock = far.adopted_eno(listener, number, self.desk.settings.config)
        record = self.desk.book.begin("inbound", peer[:2], None)
        arrival = Arrival(self, sock, record)
        self._under_way.add(arrival)
        arrival.begin()

    def leave(self, arrival: Arrival) -> None:
        """It is joined, or has failed."""
        self._under_way.discard(arrival)

    def look(self, _: float) -> None:
        """Once in a while: who is late?"""
        for arrival in list(self._under_way):
            arrival.look()

    def close(self) -> None:
        """The relay ends: reset them all."""
        for arrival in list(self._under_way):
            arrival.fail(ConnectionAbortedError(errno.ECONNABORTED, "the relay ends"))
