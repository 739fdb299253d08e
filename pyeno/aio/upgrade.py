"""start_eno: encryption for a connection that a loop's own transport has accepted."""

import array
import asyncio
import fcntl
import os
import socket
import struct
import termios
from collections.abc import Coroutine
from typing import Any

from pyeno.aio.opening import opened
from pyeno.aio.plain import informed
from pyeno.aio.transport import EnoTransport
from pyeno.config import Config, as_config
from pyeno.errors import LocalProtocolError, PyenoError
from pyeno.sockets.sock import Socket

# struct tcp_info (linux/tcp.h): tcpi_state, tcpi_bytes_received, tcpi_bytes_sent
_TCP_INFO = struct.Struct("=B127xQ64xQ")
_CLOSE_WAIT = 8


def start_eno(
    transport: Any, protocol: asyncio.BaseProtocol, *, config: Config | None = None
) -> Coroutine[Any, Any, asyncio.Transport]:
    """Agree on keys over a TCP connection that a loop's own transport holds.

    For servers that accept by themselves, from a listener that negotiates ENO
    (a :class:`pyeno.Socket`, or one given to :func:`pyeno.kernel.configure`).
    Call it in connection_made(), before a byte was sent or received: the call
    takes the connection, and what it returns is to be awaited, in a task made
    there.  It gives the transport to use from now on: the old one is done with,
    unless ENO was disabled, when the old one goes on.  As after
    ``loop.start_tls()``, connection_made() is not called again.

    The call raises LocalProtocolError where bytes have passed already; awaiting
    raises as create_eno_connection(), and then the connection was reset and
    connection_lost() is called.
    """
    config = as_config(config)
    transport.pause_reading()
    try:
        sock = _taken(transport, config)
    except LocalProtocolError:
        transport.resume_reading()
        raise
    if not _refused(sock) and sock.link() is None:
        return _left(transport, sock)
    transport.set_protocol(asyncio.Protocol())
    transport.abort()  # closes its descriptor; the connection has ours
    return _agreed(asyncio.get_running_loop(), sock, protocol)


def _refused(sock: Socket) -> bool:
    """Then who awaits is told."""
    try:
        sock.link()
    except (OSError, PyenoError):
        return True
    return False


async def _agreed(
    loop: asyncio.AbstractEventLoop, sock: Socket, protocol: Any
) -> asyncio.Transport:
    try:
        link = await opened(loop, sock)
    except BaseException as error:
        sock.abort()
        # cancelled: an end of our own
        why = error if isinstance(error, Exception) else None
        loop.call_soon(protocol.connection_lost, why)
        raise
    assert link is not None  # a verdict is final
    made = EnoTransport(loop, sock, link)
    made.start(protocol, made=False)
    return made


async def _left(transport: Any, sock: Socket) -> asyncio.Transport:
    """Plain: the old transport goes on."""
    info = sock.eno
    sock.close()
    transport.resume_reading()
    return informed(transport, info)


def _taken(transport: Any, config: Config) -> Socket:
    """A socket of our own for the transport's connection."""
    beneath = transport.get_extra_info("socket")
    if beneath is None or beneath.type != socket.SOCK_STREAM:
        raise LocalProtocolError(f"start_eno: {transport!r} is no TCP connection")
    _refuse_used(transport, beneath)
    sock = Socket(
        beneath.family,
        beneath.type,
        beneath.proto,
        fileno=os.dup(beneath.fileno()),
        config=config,
    )
    sock.setblocking(False)
    return sock


def _refuse_used(transport: Any, beneath: Any) -> None:
    """What the transport has read of the key exchange cannot be put back."""
    value = beneath.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    state, received, sent = _TCP_INFO.unpack(value.ljust(_TCP_INFO.size, b"\0"))
    waiting = array.array("i", [0])
    fcntl.ioctl(beneath.fileno(), termios.FIONREAD, waiting)
    taken = received - waiting[0] - (state == _CLOSE_WAIT)  # FIN counts as a byte
    sent += transport.get_write_buffer_size()
    if taken > 0 or sent > 0:
        raise LocalProtocolError(
            f"start_eno: {max(taken, 0)} bytes were received and {sent} sent over this "
            "transport already; call it in connection_made(), before anything else"
        )
