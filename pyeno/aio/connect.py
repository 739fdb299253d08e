"""create_eno_connection: an active opener for protocols."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from pyeno.aio.opening import opened
from pyeno.aio.plain import hand_over
from pyeno.aio.race import connect_any
from pyeno.aio.transport import EnoTransport
from pyeno.config import Config, as_config
from pyeno.sockets.sock import Socket

P = TypeVar("P", bound=asyncio.BaseProtocol)


async def create_eno_connection(
    loop: asyncio.AbstractEventLoop,
    protocol_factory: Callable[[], P],
    host: str | None = None,
    port: int | str | None = None,
    *,
    config: Config | None = None,
    family: int = 0,
    proto: int = 0,
    flags: int = 0,
    sock: Socket | None = None,
    local_addr: tuple[str, int] | None = None,
    happy_eyeballs_delay: float | None = None,
    interleave: int | None = None,
    all_errors: bool = False,
) -> tuple[asyncio.Transport, P]:
    """As ``loop.create_connection()``: connect, agree on keys, connection_made().

    ``sock``: a connected pyeno.Socket instead of a host and port; it belongs
    to the transport from now on.  Raises OSError, EncryptionRequiredError where
    ``config.require`` forbids the plain connection it got, RemoteProtocolError
    where the peer breaks the key exchange; the connection is reset then, as it
    is when the caller is cancelled.
    """
    if sock is None:
        config = as_config(config)
        sock = await connect_any(
            loop, host, port, config, family=family, proto=proto, flags=flags,
            local_addr=local_addr, delay=happy_eyeballs_delay, interleave=interleave,
            all_errors=all_errors,
        )  # fmt: skip
    else:
        if host is not None or port is not None or config is not None:
            raise ValueError("host, port and config come with sock; give one or the other")
        _check_socket(sock)
    try:
        return await introduce(loop, protocol_factory, sock)
    except BaseException:
        sock.abort()
        raise


def _check_socket(sock: object) -> None:
    if not isinstance(sock, Socket):
        raise TypeError(f"sock: expected pyeno.Socket, not {type(sock).__name__}")
    sock.setblocking(False)


async def introduce(
    loop: asyncio.AbstractEventLoop, factory: Callable[[], Any], sock: Socket
) -> tuple[asyncio.Transport, Any]:
    """From connected socket to transport and protocol."""
    link = await opened(loop, sock)
    if link is None:
        return await hand_over(loop, factory, sock)
    protocol = factory()
    transport = EnoTransport(loop, sock, link)
    transport.start(protocol)
    return transport, protocol
