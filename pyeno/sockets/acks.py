"""The last segment of TCP's handshake, held back for the first bytes to ride with.

An active opener's kernel acknowledges the SYN-ACK at once, in a segment of its
own.  Told TCP_QUICKACK = 0 it waits up to 200 ms for data, so that Init1, or
the first frame of a resumed session, travels in that segment.  Until then the
passive opener has no connection: whatever makes this host wait, or might,
releases the acknowledgment first.

Having once answered within 40 ms, the kernel takes the connection for an
interactive one and delays acknowledgments; Nagle's algorithm makes the peer
wait for them.  The application's first exchange must not pay for that because
Init messages went before it.
"""

import contextlib
import socket

from pyeno.sockets.raw import BaseSocket

_setsockopt = BaseSocket.setsockopt  # type: ignore[attr-defined]
_TCP, _QUICKACK = int(socket.IPPROTO_TCP), socket.TCP_QUICKACK
_where_possible = contextlib.suppress(OSError)


class HeldAck:
    """Of one connecting socket."""

    __slots__ = ("_asked", "_marked", "held", "usual")

    def __init__(self) -> None:
        self.held = False
        self.usual = False
        """nothing that is not the application's has an influence any more"""
        self._marked = False
        """having held one, the kernel takes the first bytes for an answer"""
        self._asked = False
        """somebody has the descriptor already, and may wait with it unseen"""

    def hold(self, sock: socket.socket) -> None:
        """Before connect(): the next thing this host does decides."""
        if self._asked:
            return
        with _where_possible:
            _setsockopt(sock, _TCP, _QUICKACK, 0)
            self.held = self._marked = True

    def release(self, sock: socket.socket) -> None:
        """Let it go now, alone, if it is still here."""
        if self.held:
            self.held = False
            _hurry(sock)

    def asked(self, sock: socket.socket) -> None:
        """Whoever asks for the descriptor may wait with it from now on."""
        self._asked = True
        self.release(sock)

    def resumed(self) -> None:
        """No Init messages go before the application's bytes."""
        self.usual = not self.held

    def sent(self, sock: socket.socket, *, established: bool) -> None:
        """It went with bytes; ``established``: later ones are the application's."""
        self.held = False
        if not self.usual:
            self.usual = established
            _hurry(sock)

    def sent_plain(self, sock: socket.socket) -> None:
        """Bytes of a connection that is not encrypted went; the first ones count."""
        if self._marked:
            self._marked = False
            _hurry(sock)


def _hurry(sock: socket.socket) -> None:
    with _where_possible:
        _setsockopt(sock, _TCP, _QUICKACK, 1)
