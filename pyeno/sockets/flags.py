"""recv() with flags, as far as encryption can keep them."""

import errno
import socket

from pyeno.errors import LocalProtocolError
from pyeno.sockets.link import Link


def recv_flagged(link: Link, size: int, flags: int) -> bytes:
    """MSG_PEEK, MSG_WAITALL or MSG_OOB; LocalProtocolError for everything else."""
    if flags == socket.MSG_PEEK:
        return link.peek(size) if size else b""
    if flags == socket.MSG_WAITALL:
        return link.recv_all(size)
    if flags & ~socket.MSG_PEEK == socket.MSG_OOB:
        if not link.tep.urgent:  # whatever TCP's URG flag says [8547:5-17]
            raise OSError(errno.EINVAL, f"{link.tep.name} has no urgent data")
        return link.recv_urgent(size, peek=bool(flags & socket.MSG_PEEK))
    raise LocalProtocolError(
        f"recv: flags 0x{flags:x} on an encrypted connection; only MSG_PEEK, MSG_WAITALL "
        "or MSG_OOB can be kept"
    )
