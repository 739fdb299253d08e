"""Urgent data on the receiving side (RFC 8548 section 3.7), as Linux's TCP gives it.

Only an authenticated URGp makes a byte urgent.  TCP's own URG flag, which the
sending host sets too, wakes those who wait for SIGURG or POLLPRI, and says
that an urgent byte may be on its way; the kernel's SO_OOBINLINE stays on, or
it would take a byte out of the stream of frames.
"""

import errno
import os
import select

from pyeno.sockets.inbound import Inbound
from pyeno.sockets.raw import ready


class Urgent(Inbound):
    """recv() with MSG_OOB, and all that must not read across the mark."""

    _oob_taken: int | None = None
    """which urgent byte recv() with MSG_OOB has given, by its index"""
    _announced = 0
    """the stream offset up to which TCP's URG flag says that one is to come"""

    def recv_urgent(self, size: int, *, peek: bool) -> bytes:
        """As socket.recv() with MSG_OOB.

        OSError: EINVAL where there is none, it was taken or passed, or
        SO_OOBINLINE is set; EAGAIN where one may be on its way.  Never waits.
        """
        self.handshake()
        with self.reading:
            self.check()
            connection = self.connection
            flagged = ready(self._sock, select.POLLPRI)
            complete = self._look_ahead()
            if flagged and complete:
                self._announced = connection.opened + connection.buffered
            index, byte = connection.urgent_index, connection.urgent_byte
            ahead = index is not None and index >= connection.read_index
            if not connection.oob_inline and byte is not None and ahead:
                if index != self._oob_taken:
                    self._oob_taken = self._oob_taken if peek else index
                    return bytes([byte])[:size]
            elif not connection.oob_inline and (
                connection.opened < self._announced
                or (flagged and not complete)
                or (connection.buffered and not connection.ended)
            ):
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            raise OSError(errno.EINVAL, "no urgent data to be read out of band")

    def at_mark(self) -> bool:
        """As sockatmark(3): the next byte to be read is the urgent one."""
        self.handshake()
        with self.reading:
            self.check()
            self._look_ahead()
            return self.connection.urgent_index == self.connection.read_index

    def recv_all(self, size: int) -> bytes:
        """As socket.recv() with MSG_WAITALL: until the mark, the end, or an error; what
        came before an error is given, and the error by the next call."""
        parts = bytearray()
        try:
            while len(parts) < size and not (parts and self._mark_next()):
                part = self.recv(size - len(parts))
                if not part:
                    break
                parts += part
        except OSError:
            if not parts:
                raise
        return bytes(parts)

    def _mark_next(self) -> bool:
        """Once there is something to be read: does the mark stand before it?"""
        with self.reading:
            self._take(self._open, None)
            return self.connection.urgent_index == self.connection.read_index

    def _open(self, _: object) -> int:
        self.connection.open_ahead()
        return self.connection.awaited
