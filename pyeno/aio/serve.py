"""create_eno_server: listeners for protocols."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Any

from pyeno.aio.addresses import Address, resolved
from pyeno.aio.server import EnoServer
from pyeno.config import Config, as_config
from pyeno.sockets.sock import Socket

BACKLOG = 100


async def create_eno_server(
    loop: asyncio.AbstractEventLoop,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    host: str | Iterable[str] | None = None,
    port: int | str | None = None,
    *,
    config: Config | None = None,
    family: int = socket.AF_UNSPEC,
    flags: int = socket.AI_PASSIVE,
    sock: Socket | None = None,
    backlog: int = BACKLOG,
    reuse_address: bool = True,
    reuse_port: bool = False,
    start_serving: bool = True,
) -> EnoServer:
    """As ``loop.create_server()``: each connection gets a protocol of its own once
    keys are agreed, or once ENO turned out to be disabled (then over the loop's
    own transport).

    ``sock``: a bound pyeno.Socket instead of a host and port.  With
    ``config.require`` connections that are not encrypted are reset.  Raises
    OSError, ValueError.
    """
    if sock is None:
        addresses = await _addresses(loop, host, port, family=family, flags=flags)
        listeners = _listeners(addresses, as_config(config), reuse_address, reuse_port)
    else:
        if host is not None or port is not None or config is not None:
            raise ValueError("host, port and config come with sock; give one or the other")
        if not isinstance(sock, Socket):
            raise TypeError(f"sock: expected pyeno.Socket, not {type(sock).__name__}")
        listeners = [sock]
    for listener in listeners:
        listener.setblocking(False)
    server = EnoServer(loop, protocol_factory, listeners, backlog)
    if start_serving:
        await server.start_serving()
    return server


async def _addresses(
    loop: asyncio.AbstractEventLoop, host: Any, port: Any, **wish: int
) -> list[Address]:
    if host is None and port is None:
        raise ValueError("Neither host/port nor sock were specified")
    hosts = [host or None] if host is None or isinstance(host, str) else list(host)
    found: dict[Address, None] = {}
    for each in hosts:
        found.update(dict.fromkeys(await resolved(loop, each, port, **wish)))
    return list(found)


def _listeners(
    addresses: list[Address], config: Config, reuse_address: bool, reuse_port: bool
) -> list[Socket]:
    listeners: list[Socket] = []
    try:
        for family, kind, proto, _, address in addresses:
            listener = Socket(family, kind, proto, config=config)
            listeners.append(listener)
            if reuse_address:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners
