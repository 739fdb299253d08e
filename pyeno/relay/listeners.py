"""Where a relay listens: for programs, and for the peers whose SYNs are steered to it.

All are bound to loopback addresses and ports that nobody needs to know.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TypeVar

from pyeno.config import Config
from pyeno.sockets import Socket, create_server
from pyeno.sockets.raw import RESETS

BACKLOG = 4096
"""net.core.somaxconn permitting"""
_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))

S = TypeVar("S", bound=socket.socket)
Both = tuple[S | None, S | None]
"""for IPv4 and for IPv6; None where this host has no such loopback address"""


def near(stack: ExitStack) -> Both[socket.socket]:
    """For the programs' own connections."""

    def listen(family: int, host: str) -> socket.socket:
        listener = socket.create_server((host, 0), family=family, backlog=BACKLOG)
        # inherited: what is closed before it was joined, the kernel of a killed relay resets
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
        return listener

    return _both(stack, listen)


def steered(stack: ExitStack, config: Config) -> Both[Socket]:
    """For peers: these negotiate ENO."""

    def listen(family: int, host: str) -> Socket:
        return create_server((host, 0), family=family, backlog=BACKLOG, config=config)

    return _both(stack, listen)


def _both(stack: ExitStack, listen: Callable[[int, str], S]) -> Both[S]:
    ipv4, ipv6 = (_one(stack, listen, *where) for where in _LOOPBACK)
    return ipv4, ipv6


def _one(stack: ExitStack, listen: Callable[[int, str], S], family: int, host: str) -> S | None:
    try:
        listener = listen(family, host)
    except OSError:
        return None
    stack.enter_context(listener)
    listener.setblocking(False)
    return listener


def existing(pair: Both[S]) -> Iterator[S]:
    """Those that are there."""
    return (listener for listener in pair if listener is not None)
