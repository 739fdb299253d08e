"""Sockets towards other hosts, never blocking, by as few calls as can be.

This is the one place of the relay that reaches behind :class:`pyeno.Socket`:
its connect() and accept() each do more than a relay needs for a connection
that it hands to an engine at once.
"""

import errno
import socket
from collections.abc import Iterator
from typing import Any

from pyeno.config import Config
from pyeno.relay.engine import carries
from pyeno.relay.resumed import Far
from pyeno.sockets import Socket, caching
from pyeno.sockets.link import Link
from pyeno.sockets.raw import RESETS, BaseSocket, kind_of

_connect_ex = BaseSocket.connect_ex  # type: ignore[attr-defined]
_accept = BaseSocket._accept  # type: ignore[attr-defined]
_STREAM = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
_BIND_ADDRESS_NO_PORT = 24
"""of <linux/in.h>: the port is chosen by connect(2), where more are free"""
AT_ONCE = 64
"""connections accepted before others have their turn"""
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_GONE = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM)


def opening(family: int, config: Config) -> Far:
    """One to connect with."""
    return Far(family, _STREAM, config=config)


def bind(sock: Socket, host: str) -> None:
    """Connect from this address, if a program chose it: towards a near listener all others
    come from loopback."""
    if not host.startswith("127.") and host != "::1":
        sock.setsockopt(socket.SOL_IP, _BIND_ADDRESS_NO_PORT, 1)
        sock.bind((host, 0))


def plain(family: int) -> socket.socket:
    """One towards a program.

    What is closed before it is joined, the kernel of a killed relay resets: a program
    that has accepted it must not take that for an end of stream.
    """
    sock = socket.socket(family, _STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
    return sock


def connect(sock: socket.socket, address: Any) -> int:
    """0 once connected, EINPROGRESS, or why not; may be asked again and again.

    Between namespaces of one host, and over loopback, the answer is there when
    connect(2) returns, so it is asked for at once.
    """
    code: int = _connect_ex(sock, address)
    if code == errno.EINPROGRESS:
        code = _connect_ex(sock, address)
    if code == errno.EISCONN:
        return 0
    return errno.EINPROGRESS if code == errno.EALREADY else code


def accepted(listener: socket.socket, most: int = AT_ONCE) -> Iterator[tuple[int, Any]]:
    """(descriptor, address) of those who wait; OSError: EMFILE and such."""
    for _ in range(most):
        try:
            descriptor, address = _accept(listener)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in _GONE:
                continue
            raise
        yield descriptor, address


def adopted(listener: socket.socket, descriptor: int) -> socket.socket:
    """A plain one that was accepted; who moves its data makes it non-blocking."""
    return socket.socket(*kind_of(listener), descriptor)


def adopted_eno(listener: Socket, descriptor: int, config: Config) -> Far:
    """One of a listener that negotiates ENO; who moves its data makes it non-blocking."""
    sock = Far(*kind_of(listener), fileno=descriptor, config=config)
    sock._configured = listener._configured  # the verdict comes with a session's secret
    return sock


def follow(sock: Socket, config: Config) -> None:
    """Another policy than it was made with, for what the kernel need not know: before it
    is settled."""
    sock._config = config


def settled(sock: Far) -> Link | None:
    """The verdict on a connected one: the link to agree on keys with; None: it is plain, or
    has keys, those of a resumed session.

    Raises EncryptionRequiredError, KernelError; the connection was reset.
    """
    sock._settle(connected=True, taking=True)
    if sock.resumed is not None:
        return None
    link = sock.link()
    if link is not None:
        sock.setblocking(False)
        if sock.config.keepalive is not None and carries(link):
            link.leave_timer()  # the engine asks
    return link


def reconfigure(listener: Socket, config: Config) -> None:
    """Negotiate under another policy from now on; KernelError on Linux before 6.12."""
    listener._configured = caching.configure(listener, config)
    listener._config = config
