"""The kernel's socket beneath a :class:`Socket`: waits, deadlines, RST."""

import contextlib
import ctypes
import select
import socket
import struct
import time

BaseSocket = socket.socket.__bases__[0]
"""``_socket.socket``: system calls that honour the socket's timeout."""

POLL_MAX_MS = 0x7FFFFFFF
"""poll(2) takes an int; 24 days are as good as forever."""

_AF_UNSPEC = struct.pack("=H14x", socket.AF_UNSPEC)


def descriptor(sock: socket.socket) -> int:
    """sock.fileno(), without what a :class:`Socket` adds to it."""
    number: int = BaseSocket.fileno(sock)  # type: ignore[attr-defined]
    return number


def deadline_after(seconds: float | None) -> float | None:
    """A moment of the monotonic clock; None stays None."""
    return None if seconds is None else time.monotonic() + seconds


def wait(sock: socket.socket, event: int, deadline: float | None) -> None:
    """Until ``select.POLLIN`` or ``POLLOUT`` is possible; TimeoutError past ``deadline``.

    Needs no change of the socket's timeout, which other threads may be using.
    """
    poller = select.poll()
    poller.register(descriptor(sock), event)
    if deadline is None:
        poller.poll()
        return
    left = deadline - time.monotonic()
    if left <= 0 or not poller.poll(min(left * 1000, POLL_MAX_MS)):
        raise TimeoutError("timed out")


def ready(sock: socket.socket, event: int) -> bool:
    """Whether ``event`` is possible now."""
    poller = select.poll()
    poller.register(descriptor(sock), event)
    return bool(poller.poll(0))


def reset(sock: socket.socket) -> None:
    """RFC 793's Abort: the connection is destroyed, RST is sent.

    connect() to AF_UNSPEC does it at once, although another thread may be
    waiting on the socket; SO_LINGER of 0 s makes a later close() do it where
    the kernel refuses that.
    """
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if descriptor(sock) >= 0:
        ctypes.CDLL(None).connect(descriptor(sock), _AF_UNSPEC, len(_AF_UNSPEC))
