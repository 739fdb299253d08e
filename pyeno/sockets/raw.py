"""The kernel's socket beneath a :class:`Socket`: waits, deadlines, RST."""

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import termios
import time

BaseSocket = socket.socket.__bases__[0]
"""``_socket.socket``: system calls that honour the socket's timeout."""

POLL_MAX_MS = 0x7FFFFFFF
"""poll(2) takes an int; 24 days are as good as forever."""

TCP_CLOSE = 7
"""The state of RFC 793 in the kernel's numbering (``enum`` of <netinet/tcp.h>)."""
_ACKED = slice(120, 128)
"""``tcpi_bytes_acked`` in ``struct tcp_info``."""

_SIOCATMARK = 0x8905

_AF_UNSPEC = struct.pack("=H14x", socket.AF_UNSPEC)

RESETS, ENDS = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)
"""SO_LINGER of 0 s: closing, also the kernel's when this process is killed, resets"""


_family = BaseSocket.family.__get__  # type: ignore[attr-defined]
_type = BaseSocket.type.__get__  # type: ignore[attr-defined]
_proto = BaseSocket.proto.__get__  # type: ignore[attr-defined]


def kind_of(sock: socket.socket) -> tuple[int, int, int]:
    """(family, type, proto) as numbers: the standard socket's properties look each up in
    its enumeration, which takes longer than a system call."""
    return _family(sock), _type(sock), _proto(sock)


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
    poller = _poller(sock, event)
    if deadline is None:
        poller.poll()
        return
    left = deadline - time.monotonic()
    if left <= 0 or not poller.poll(min(left * 1000, POLL_MAX_MS)):
        raise TimeoutError("timed out")


def ready(sock: socket.socket, event: int) -> bool:
    """Whether ``event`` is possible now."""
    return bool(_poller(sock, event).poll(0))


def _poller(sock: socket.socket, event: int) -> select.poll:
    number = descriptor(sock)
    if number < 0:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    poller = select.poll()
    poller.register(number, event)
    return poller


def tcp_state(sock: socket.socket) -> int:
    """The kernel's state of the connection."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def acknowledged(sock: socket.socket) -> tuple[int, int]:
    """(bytes that the peer's TCP has acknowledged, bytes that it has yet to)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.stop)
    queued = fcntl.ioctl(descriptor(sock), termios.TIOCOUTQ, bytes(4))
    return struct.unpack("Q", info[_ACKED])[0], struct.unpack("i", queued)[0]


def at_mark(sock: socket.socket) -> bool:
    """sockatmark(3)."""
    return fcntl.ioctl(descriptor(sock), _SIOCATMARK, bytes(4)) != bytes(4)


def reset(sock: socket.socket) -> None:
    """RFC 793's Abort: the connection is destroyed, RST is sent.

    connect() to AF_UNSPEC does it at once, although another thread may be
    waiting on the socket; SO_LINGER of 0 s makes a later close() do it where
    the kernel refuses that.
    """
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
    if descriptor(sock) >= 0:
        ctypes.CDLL(None).connect(descriptor(sock), _AF_UNSPEC, len(_AF_UNSPEC))
