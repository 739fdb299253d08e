"""What is compared, as asyncio streams: the loop's plain TCP, its TLS 1.3, pyeno.

On the standard loop and on uvloop.  The loops set TCP_NODELAY themselves.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

import pyeno
from pyeno.bench import tls
from pyeno.bench.transports import BACKLOG, Address, check_info, nodelay, policy

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def factory(family: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Of new event loops.  ImportError if uvloop is not installed."""
    if family == "asyncio":
        return asyncio.new_event_loop
    made: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    return made


class Plain:
    """The loop's own streams."""

    def listen(self, host: str) -> socket.socket:
        """A listening socket on a free port."""
        return nodelay(socket.create_server((host, 0), backlog=BACKLOG))

    async def serve(self, handler: Handler, listener: socket.socket) -> Any:
        """Call ``handler`` for each connection."""
        return await asyncio.start_server(handler, sock=listener, backlog=BACKLOG)

    async def connect(self, address: Address) -> Streams:
        """One connection, ready for data."""
        return await asyncio.open_connection(*address)

    def check(self, writer: asyncio.StreamWriter) -> None:
        """BenchError unless it is encrypted as it should be."""


class Tls(Plain):
    """The loop's own TLS 1.3."""

    def __init__(self) -> None:
        self._passive = tls.passive(tickets=False)
        self._active = tls.active()

    async def serve(self, handler: Handler, listener: socket.socket) -> Any:
        return await asyncio.start_server(
            handler, sock=listener, backlog=BACKLOG, ssl=self._passive
        )

    async def connect(self, address: Address) -> Streams:
        return await asyncio.open_connection(
            *address, ssl=self._active, server_hostname="bench"
        )

    def check(self, writer: asyncio.StreamWriter) -> None:
        tls.check(writer.get_extra_info("ssl_object"), None)


class Eno(Plain):
    """pyeno with the AEAD that is fastest here."""

    def __init__(self, aead: pyeno.Aead) -> None:
        self._aead = aead
        self._config = policy(aead, resume=False)

    def listen(self, host: str) -> socket.socket:
        return nodelay(pyeno.create_server((host, 0), backlog=BACKLOG, config=self._config))

    async def serve(self, handler: Handler, listener: socket.socket) -> Any:
        return await pyeno.start_server(handler, sock=listener, backlog=BACKLOG)

    async def connect(self, address: Address) -> Streams:
        return await pyeno.open_connection(*address, config=self._config)

    def check(self, writer: asyncio.StreamWriter) -> None:
        check_info(writer.get_extra_info("eno"), self._aead)
