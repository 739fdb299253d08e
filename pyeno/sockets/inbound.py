"""The receiving side of a link."""

import select
import socket
import time
from collections.abc import Callable
from typing import TypeVar

from pyeno.errors import RemoteProtocolError
from pyeno.sockets.exchange import Exchange
from pyeno.sockets.raw import BaseSocket, wait
from pyeno.tep import TepConnection

READ_SIZE = 1 << 17

_recv_into = BaseSocket.recv_into  # type: ignore[attr-defined]

Taken = TypeVar("Taken", int, bytes)


class Inbound(Exchange):
    """Stream bytes from the kernel, application bytes to the caller."""

    def __init__(
        self, sock: socket.socket, connection: TepConnection, handshake_timeout: float
    ) -> None:
        super().__init__(sock, connection, handshake_timeout)
        self._peeked = b""
        self.deaf = False
        """this host shut down its receiving side"""

    def recv(self, size: int) -> bytes:
        """As socket.recv(); empty only after an authenticated FINp. [8547:5-10] [8548:3.7-4]"""
        self.handshake()
        with self.reading:
            if self._peeked:
                taken, self._peeked = self._peeked[:size], self._peeked[size:]
                return taken
            return self._take(self.connection.read, size)

    def recv_into(self, out: bytearray | memoryview) -> int:
        """As socket.recv_into()."""
        if self._peeked:
            taken = self.recv(len(out))
            out[: len(taken)] = taken
            return len(taken)
        self.handshake()
        with self.reading:
            return self._take(self.connection.read_into, out)

    def peek(self, size: int) -> bytes:
        """As socket.recv() with MSG_PEEK."""
        self.handshake()
        with self.reading:
            if len(self._peeked) < size and (self.connection.awaited or not self._peeked):
                self._peeked += self._take(self.connection.read, size - len(self._peeked))
            return self._peeked[:size]

    def pending(self) -> int:
        """Application bytes that recv() gives without a system call: select()
        does not know of them."""
        if not self.connection.established:
            return 0
        self.check()  # before the lock, as in handshake()
        with self.reading:
            self.check()
            if not self._peeked and not self.connection.awaited:
                try:
                    self._peeked = self.connection.read(READ_SIZE)
                except RemoteProtocolError as error:
                    raise self.fail(error) from None
            return len(self._peeked) + self.connection.awaited

    def _take(self, read: Callable[..., Taken], wish: object) -> Taken:
        self.check()
        started = time.monotonic()
        first = True
        try:
            while True:
                taken = read(wish)
                self._answer()
                if taken or self.connection.finished:
                    return taken
                if not self._fill(None if first else started):
                    return taken
                first = False
        except RemoteProtocolError as error:
            raise self.fail(error) from None

    def _fill(self, started: float | None) -> bool:
        """One recv(); False at the end of stream.  A frame that trickles in does not
        prolong the timeout."""
        self.ack.release(self._sock)
        timeout = self._sock.gettimeout()
        if started is not None and timeout:
            wait(self._sock, select.POLLIN, started + timeout)
        count: int = _recv_into(self._sock, self.connection.room(READ_SIZE))
        if count:
            self.connection.received(count)
        elif not self.deaf:  # else it is our own shutdown(), not the peer's end
            self.connection.receive_eof()
        return count > 0
