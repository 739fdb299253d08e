"""recv() with flags, as far as encryption can keep them."""

import socket

from pyeno.errors import LocalProtocolError
from pyeno.sockets.link import Link


def recv_flagged(link: Link, size: int, flags: int) -> bytes:
    """MSG_PEEK or MSG_WAITALL; LocalProtocolError for everything else."""
    if flags == socket.MSG_PEEK:
        return link.peek(size)
    if flags == socket.MSG_WAITALL:
        return _recv_all(link, size)
    raise LocalProtocolError(
        f"recv: flags 0x{flags:x} on an encrypted connection; only MSG_PEEK or "
        "MSG_WAITALL can be kept"
    )


def _recv_all(link: Link, size: int) -> bytes:
    """What came before an error is given, and the error by the next call."""
    parts = bytearray()
    try:
        while len(parts) < size and (part := link.recv(size - len(parts))):
            parts += part
    except OSError:
        if not parts:
            raise
    return bytes(parts)
