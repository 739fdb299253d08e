"""Authentication over asyncio's streams, and over an EnoStream on AnyIO or Trio.

A connection is ``(reader, writer)`` of :func:`pyeno.open_connection` and
``start_server``, or an EnoStream of :mod:`pyeno.aio.stream`.  Options, results and
errors are those of :mod:`pyeno.auth.blocking`; after a failure, or when cancelled,
the connection is reset, and never passes for one that ended.
"""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from os import PathLike
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pyeno.auth.awareness import NotAuthenticated, unaware
from pyeno.auth.binding import channel_binding
from pyeno.auth.ed25519 import Ed25519Exchange
from pyeno.auth.errors import TIMEOUT, check_timeout, told
from pyeno.auth.exchange import Authenticated, Exchange
from pyeno.auth.known_hosts import KnownHosts
from pyeno.auth.pins import Pins
from pyeno.auth.psk import PskExchange
from pyeno.auth.tls_key import key_of, recognize

if TYPE_CHECKING:
    from pyeno.aio.stream import EnoStream

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connection: TypeAlias = "Streams | EnoStream"
P = ParamSpec("P")


async def authenticate_psk(
    connection: Connection,
    key: bytes,
    *,
    context: bytes = b"",
    timeout: float | None = TIMEOUT,
) -> Authenticated:
    """As :func:`pyeno.auth.authenticate_psk`."""
    exchange = PskExchange(channel_binding(connection), key, context=context)
    return await _run(connection, exchange, timeout)


async def authenticate_ed25519(
    connection: Connection,
    private_key: Ed25519PrivateKey,
    *,
    known_hosts: KnownHosts | str | PathLike[str],
    name: str | None = None,
    port: int | None = None,
    trust_on_first_use: bool = False,
    context: bytes = b"",
    timeout: float | None = TIMEOUT,
) -> Authenticated:
    """As :func:`pyeno.auth.authenticate_ed25519`."""
    pins = Pins(known_hosts, name, port, trust_on_first_use=trust_on_first_use)
    exchange = Ed25519Exchange(channel_binding(connection), private_key, pins, context=context)
    return await _run(connection, exchange, timeout)


def authenticate_tls_key(
    connection: Connection,
    *,
    known_hosts: KnownHosts | str | PathLike[str],
    name: str,
    port: int | None = None,
    trust_on_first_use: bool = False,
) -> Authenticated:
    """As :func:`pyeno.auth.authenticate_tls_key`; there is nothing to await."""
    pins = Pins(known_hosts, name, port, trust_on_first_use=trust_on_first_use)
    key = key_of(connection)
    try:
        return recognize(key, pins)
    except BaseException as error:
        _channel(connection).fail(error)
        raise


async def if_aware(
    connection: Connection,
    authenticate: Callable[Concatenate[Connection, P], Awaitable[Authenticated]],
    *arguments: P.args,
    **options: P.kwargs,
) -> Authenticated | NotAuthenticated:
    """As :func:`pyeno.auth.if_aware`."""
    skipped = unaware(connection)
    if skipped is not None:
        return skipped
    return await authenticate(connection, *arguments, **options)


class Channel(Protocol):
    """What an exchange needs of a connection."""

    async def receive(self, size: int) -> bytes:
        """Up to ``size`` bytes, empty at the end of the stream."""

    async def send(self, data: bytes) -> None:
        """All of it."""

    def limit(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """Raises TimeoutError after that time."""

    def fail(self, error: BaseException) -> None:
        """Reset the connection."""


async def _run(
    connection: Connection, exchange: Exchange, timeout: float | None
) -> Authenticated:
    check_timeout(timeout)
    channel = _channel(connection)
    try:
        with told():
            async with channel.limit(timeout):
                await _drive(channel, exchange)
    except BaseException as error:
        channel.fail(error)
        raise
    return exchange.authenticated


async def _drive(channel: Channel, exchange: Exchange) -> None:
    while not exchange.done:
        if owed := exchange.data_to_send():
            await channel.send(owed)
        if exchange.wanted:
            if data := await channel.receive(exchange.wanted):
                exchange.receive_data(data)
            else:
                exchange.receive_eof()


def _channel(connection: Connection) -> Channel:
    if isinstance(connection, tuple):
        return _StreamsChannel(*connection)
    from pyeno.auth.stream import StreamChannel  # anyio need not be installed

    return StreamChannel(connection)


class _StreamsChannel:
    """asyncio's reader and writer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def receive(self, size: int) -> bytes:
        return await self._reader.read(size)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def limit(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        return asyncio.timeout(seconds)

    def fail(self, error: BaseException) -> None:
        """The reader raises from now on: after abort() alone it would tell an end of
        stream as if the peer had ended it."""
        if not isinstance(error, OSError):
            error = ConnectionAbortedError(
                errno.ECONNABORTED, "the authentication of this connection was interrupted"
            )
        self._reader.set_exception(error)
        self._writer.transport.abort()
