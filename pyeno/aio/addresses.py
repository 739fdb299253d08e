"""Names to addresses, and addresses to connected sockets."""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Any

from pyeno.config import Config
from pyeno.sockets.sock import Socket

Address = tuple[int, int, int, str, Any]
"""As socket.getaddrinfo() gives it."""


async def resolved(
    loop: asyncio.AbstractEventLoop,
    host: str | None,
    port: int | str | None,
    *,
    family: int = 0,
    proto: int = 0,
    flags: int = 0,
) -> Sequence[Address]:
    """As loop.getaddrinfo() for TCP; numbers need no thread."""
    wish = {"family": family, "type": socket.SOCK_STREAM, "proto": proto}
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    try:
        return socket.getaddrinfo(host, port, **wish, flags=flags | numeric)
    except socket.gaierror:
        found = await loop.getaddrinfo(host, port, **wish, flags=flags)
    if not found:
        raise OSError(f"getaddrinfo({host!r}) returned empty list")
    return found


def interleaved(addresses: Sequence[Address], first: int) -> list[Address]:
    """RFC 8305 section 4: families take turns, after ``first`` of the first one."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    head, *rest = families.values()
    lead, head = head[: first - 1], head[first - 1 :]
    turns = chain.from_iterable(zip_longest(head, *rest))
    return lead + [address for address in turns if address is not None]


async def connect_one(
    loop: asyncio.AbstractEventLoop,
    address: Address,
    config: Config,
    local: Sequence[Address] | None,
) -> Socket:
    """One TCP connection; OSError, and no socket left behind."""
    family, kind, proto, _, target = address
    sock = Socket(family, kind, proto, config=config)
    try:
        sock.setblocking(False)
        if local is not None:
            _bind(sock, local)
        await loop.sock_connect(sock, target)
    except BaseException:
        sock.abort()
        raise
    return sock


def _bind(sock: Socket, local: Iterable[Address]) -> None:
    failure: OSError | None = None
    for family, _, _, _, address in local:
        if family == sock.family:
            try:
                sock.bind(address)
                return
            except OSError as error:
                failure = error
    raise failure or OSError(f"local_addr: no address of family {sock.family.name}")
