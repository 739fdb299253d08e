"""A link for programs that know nothing of ``pending()``.

Whoever waits with select(), poll() or epoll asks the kernel, which does not
know of data that were received, opened and not asked for yet.  So of what was
received the last byte stays in the kernel for as long as such data are left:
received bytes are first looked at (MSG_PEEK) and taken afterwards (MSG_TRUNC,
which copies nothing).
"""

import contextlib
import errno
import os
import socket
import time
import weakref
from collections.abc import Callable
from select import POLLIN
from typing import Any

from pyeno._values import Buffer
from pyeno.errors import ABORTING, LocalProtocolError, PyenoError
from pyeno.sockets import forks
from pyeno.sockets.inbound import READ_SIZE, Taken
from pyeno.sockets.link import Link
from pyeno.sockets.raw import BaseSocket, wait

_recv_into = BaseSocket.recv_into  # type: ignore[attr-defined]
_recvmsg_into = BaseSocket.recvmsg_into  # type: ignore[attr-defined]
_PEEK = int(socket.MSG_PEEK)
_TAKE = int(socket.MSG_DONTWAIT | socket.MSG_TRUNC)
_forks = 0
"""of this process and those it comes from"""
_UNREAD = bytearray(READ_SIZE)
"""only its size counts"""
PAUSE_SECONDS = 0.001
"""How long a send() that may not block waits for the key exchange: select() says that it
can be sent, and would say so again and again."""
CLOSE_SECONDS = 0.2
"""How long close() waits for the key exchange, where nothing was sent."""


class VisibleLink(Link):
    """The kernel's word on whether there is something to read is right."""

    _seen = 0
    """bytes that were received and are in the kernel still"""
    _begun = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._born = _forks

    def _receive(self, room: memoryview, flags: int = 0) -> int:
        self._take_seen(but=1)
        if self._seen and self._behind(room, flags):
            return self._seen
        self._take_seen()
        self._seen = _recv_into(self._sock, room[:READ_SIZE], 0, flags | _PEEK)
        return self._seen

    def _behind(self, room: memoryview, flags: int) -> bool:
        """As above for what came behind the byte that was left."""
        count = _recvmsg_into(self._sock, [bytearray(1), room[:READ_SIZE]], 0, flags | _PEEK)[0]
        if count > 1:
            self._take_seen()
            self._seen = count - 1
        elif flags & socket.MSG_DONTWAIT:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return bool(count > 1)

    def _take_seen(self, but: int = 0) -> None:
        while self._seen > but:
            taken = _recv_into(self._sock, _UNREAD, self._seen - but, _TAKE)
            self._seen -= taken or self._seen  # nothing: the connection is gone

    def _show(self) -> None:
        """Leave a byte in the kernel if the program has something to read."""
        if not self._seen:
            return
        waiting = False
        with contextlib.suppress(LocalProtocolError):  # no keys yet, or no more
            try:
                self.connection.open_ahead()
                waiting = self.connection.awaited > 0
            except ABORTING:
                waiting = True  # the next call raises it
        with contextlib.suppress(OSError):
            self._take_seen(but=int(waiting))

    def serve(self, sock: socket.socket) -> None:
        """Another object has the descriptor now."""
        self._socket = weakref.ref(sock)

    # -- whatever receives -------------------------------------------------------

    def _take(self, read: Callable[..., Taken], wish: object) -> Taken:
        try:
            return super()._take(read, wish)
        finally:
            self._keep_pump_out()
            self._show()

    def _look_ahead(self) -> bool:
        try:
            return super()._look_ahead()
        finally:
            self._show()

    def _attend(self) -> bool:
        try:
            return super()._attend()
        finally:
            self._show()

    def _exchange_keys(self) -> None:
        try:
            super()._exchange_keys()
        finally:
            self._show()

    # -- the pump sends; it would receive past this --------------------------------

    def _keep_pump_out(self) -> None:
        if self.pump is not None:
            self.pump.receiving = False

    def _prime(self) -> None:
        super()._prime()
        self._keep_pump_out()

    def first_sent(self) -> None:
        super().first_sent()
        self._keep_pump_out()

    # -- a program that does not know of the key exchange ----------------------------

    def begin(self) -> None:
        """Host A's Init1 goes at once: the program may wait for the peer to speak first."""
        with self.reading, self.writing:
            self.check()
            forks.keep(self)
            self._begun = True
            with contextlib.suppress(OSError):  # the next call is told
                self._flush(socket.MSG_DONTWAIT)

    def _close(self) -> None:
        ours = self._begun or self._born == _forks  # else a child may be using it
        if ours and not (self.connection.established or self.closed or self.error):
            with contextlib.suppress(OSError, PyenoError):
                self._end_exchange()
        super()._close()

    def _end_exchange(self) -> None:
        """Closed before anything was sent: the peer shall see a stream that ends, not one
        that was cut off."""
        sock = self._sock
        patience = CLOSE_SECONDS if sock.gettimeout() != 0 else 0.0
        sock.settimeout(0)
        until = time.monotonic() + patience
        while not self.connection.established:  # a resumed session waits for nobody
            try:
                self.handshake()
            except BlockingIOError:
                wait(sock, POLLIN, until)

    def send(self, data: Buffer, urgent: bool = False) -> int:
        self._pause()
        return super().send(data, urgent)

    def sendall(self, data: Buffer, urgent: bool = False) -> None:
        self._pause()
        super().sendall(data, urgent)

    def _pause(self) -> None:
        if not self.connection.established and self._sock.gettimeout() == 0:
            with contextlib.suppress(TimeoutError):
                wait(self._sock, POLLIN, time.monotonic() + PAUSE_SECONDS)


def _forked() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_forked, after_in_parent=_forked)
