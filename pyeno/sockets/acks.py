"""The last segment of TCP's handshake, held back for the first bytes to ride with.

An active opener's kernel acknowledges the SYN-ACK at once, in a segment of its
own.  Told TCP_QUICKACK = 0 it waits up to 200 ms for data, so that Init1, or
the first frame of a resumed session, travels in that segment.  Until then the
passive opener has no connection: whatever makes this host wait, or might,
releases the acknowledgment first.
"""

import contextlib
import socket


class HeldAck:
    """Of one connecting socket."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = False

    def hold(self, sock: socket.socket) -> None:
        """Before connect(): the next thing this host does decides."""
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
            self.held = True

    def release(self, sock: socket.socket) -> None:
        """Let it go now, alone, if it is still here."""
        if self.held:
            self.held = False
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
