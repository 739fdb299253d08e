"""One encrypted connection over one raw socket: the only place where a TEP's
stream bytes meet system calls.

The first RemoteProtocolError resets the connection, forgets the keys and is
raised again by every later call.
"""

import select
import socket

from pyeno.errors import PyenoError
from pyeno.sockets.inbound import READ_SIZE, Inbound
from pyeno.sockets.outbound import Outbound
from pyeno.sockets.raw import BaseSocket, ready, reset

_recv_into = BaseSocket.recv_into  # type: ignore[attr-defined]


class Link(Inbound, Outbound):
    """Handshake, send, receive and end of one connection."""

    def close(self) -> None:
        """FINp, then let the kernel send FIN; RST if FINp cannot be sent."""
        if self.closed:
            return
        if self.connection.established:  # else the stream may be another process's to read
            try:
                self.finish(closing=True)
                self._discard_received()
            except (OSError, PyenoError):
                reset(self._sock)
        self._forget()

    def _discard_received(self) -> None:
        """Take protocol bytes that nobody will read (the peer's FINp): the
        kernel answers close() with unread bytes by a RST, which would destroy
        what we sent last."""
        if ready(self._sock, select.POLLIN):
            _recv_into(self._sock, bytearray(READ_SIZE), 0, socket.MSG_DONTWAIT)
