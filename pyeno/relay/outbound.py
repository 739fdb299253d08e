"""Connections of programs to other hosts.

    SYN held ──▶ far connects ──▶ admitted ──▶ near accepted ─┐
                      │              └──▶ far agrees on keys ─┴──▶ joined
                      └─ fails: refused, with its errno

The program's connect() takes as long as the far one and fails as that does; only
the key exchange may end in the reset of a connection that was there already.
"""

import errno
import os
import select
import socket
import time
from collections import deque
from typing import Any

from pyeno.errors import PyenoError
from pyeno.relay import far
from pyeno.relay.desk import Desk
from pyeno.relay.passage import Passage, in_words, why
from pyeno.relay.records import Address, Record
from pyeno.relay.resumed import Far

PATIENCE = 10.0
"""seconds for a program whose SYN was let in to be there; mostly it is at once"""


class GaveUp(OSError):
    """The program did, before its connection stood."""


class Departure(Passage):
    """One of them, until it is joined."""

    __slots__ = ("admitted", "held", "outbound")

    def __init__(self, outbound: "Outbound", held: Any, sock: Far, record: Record) -> None:
        super().__init__(outbound.desk, sock, record)
        self.outbound = outbound
        self.held = held
        self.admitted = 0.0
        """when, by the monotonic clock; 0 before"""

    def connect(self, _: int = 0) -> None:
        """As often as needed."""
        code = far.connect(self.far, self.held.destination)
        if code == errno.EINPROGRESS:
            self.watch_far(select.EPOLLOUT)
        elif code:
            self.fail(OSError(code, os.strerror(code)))
        else:
            self.watch_far(0)
            self._connected()

    def far_ready(self, events: int) -> None:
        if self.record.local is None:
            self.connect(events)
        else:
            self.agree(events)

    def _connected(self) -> None:
        """The far side is: so may the program's connection be."""
        try:
            self.settle()
            local = self.far.getsockname()
        except (OSError, PyenoError) as error:
            self.fail(error)
            return
        self.record.local = local[:2]
        self.agree()  # first: the peer computes while the program's SYN goes in
        if self.outbound.waits_for(self):
            self.admitted = time.monotonic()
            self.desk.redirection.admit(self.held, local)
            self.outbound.accept_soon(self.held)

    def came(self, near: socket.socket) -> None:
        """The program's own connection."""
        self.near = near
        self.go_on()

    def go_on(self) -> None:
        if self.keyed and self.near is not None:
            self.outbound.leave(self)
            self.join()

    def look(self, now: float) -> None:
        """Is somebody late?"""
        if self.admitted and self.near is None and now - self.admitted > PATIENCE:
            self.fail(GaveUp(errno.ETIMEDOUT, "the program did not come"))
        elif self.link is not None and not self.keyed:
            self.agree()  # its deadline is the handshake's own

    def fail(self, error: Exception) -> None:
        """Before it was admitted the program's connect() fails, later it is reset."""
        self.outbound.leave(self)
        self.drop()
        if not self.admitted and not isinstance(error, GaveUp):
            self.desk.redirection.refuse(self.held, _code_of(error))
        self.refused(error)


def _code_of(error: Exception) -> int:
    """What the program's connect() is to fail with: a peer that may not be talked to,
    or cannot, is one that refuses; all else as it is."""
    if isinstance(error, PyenoError):
        return errno.ECONNREFUSED
    return getattr(error, "errno", None) or errno.ECONNREFUSED


class Outbound:
    """All that are under way, by the program's end."""

    def __init__(self, desk: Desk, near: tuple[socket.socket | None, ...]) -> None:
        self.desk = desk
        self._near = near
        self._under_way: dict[Address, Departure] = {}
        self._waiting: deque[Any] = deque()
        """held while there is no room"""

    @property
    def busy(self) -> bool:
        return bool(self._under_way or self._waiting)

    # -- beginnings ------------------------------------------------------------

    def held(self, _: int = 0) -> None:
        """SYNs of programs are: open the far connections, while there is room."""
        redirection = self.desk.redirection
        self._waiting.extend(redirection.held())
        gone = redirection.gave_up()
        if gone:
            self._abandon(set(gone))
        while self._waiting and not self.desk.full():
            held = self._waiting.popleft()
            if held.source[:2] not in self._under_way:  # else it was retransmitted
                self._open(held)

    def _abandon(self, cookies: set[int]) -> None:
        kept = [held for held in self._waiting if held.cookie not in cookies]
        self._waiting = deque(kept)
        for departure in list(self._under_way.values()):
            if departure.held.cookie in cookies:
                departure.fail(GaveUp(errno.ECONNABORTED, "the program gave it up"))

    def _open(self, held: Any) -> None:
        program, peer = held.source[:2], held.destination[:2]
        record = self.desk.book.begin("outbound", peer, program)
        family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
        try:
            sock = far.opening(family, self.desk.settings.config_for(*peer))
        except (OSError, PyenoError) as error:
            self._cannot_open(held, record, error)
            return
        self._under_way[program] = departure = Departure(self, held, sock, record)
        try:
            far.bind(sock, program[0])
        except OSError as error:
            departure.fail(error)
        else:
            departure.connect()

    def _cannot_open(self, held: Any, record: Record, error: Exception) -> None:
        code = getattr(error, "errno", None) or 0
        self.desk.book.refused(record, why(error), code, in_words(error))
        if code in far.NO_ROOM:
            self.desk.crowded()
        self.desk.redirection.refuse(held, errno.ECONNREFUSED)

    # -- the programs' own connections -----------------------------------------

    def accept_soon(self, held: Any) -> None:
        """Whose SYN was let in: mostly it is there already."""
        listener = self._near[":" in held.source[0]]
        if listener is not None:
            self.accept(listener, most=1)

    def accept(self, listener: socket.socket, _: int = 0, *, most: int = far.AT_ONCE) -> None:
        """Match them with what waits for them; nobody waits for others."""
        try:
            for number, program in far.accepted(listener, most):
                near = far.adopted(listener, number)
                departure = self._under_way.get(program[:2])
                if departure is None or departure.near is not None:
                    near.close()  # resets
                else:
                    departure.came(near)
        except OSError:  # no descriptor: they wait in the backlog
            self.desk.crowded()

    # -- ends ----------------------------------------------------------------

    def waits_for(self, departure: Departure) -> bool:
        """Nothing has ended it."""
        return self._under_way.get(departure.held.source[:2]) is departure

    def leave(self, departure: Departure) -> None:
        """It is joined, or has failed."""
        if self.waits_for(departure):
            del self._under_way[departure.held.source[:2]]

    def look(self, now: float) -> None:
        """Once in a while: who is late?"""
        for departure in list(self._under_way.values()):
            departure.look(now)

    def close(self) -> None:
        """The relay ends: reset them all."""
        for departure in list(self._under_way.values()):
            departure.fail(ConnectionAbortedError(errno.ECONNABORTED, "the relay ends"))
