"""open_connection and start_server, as asyncio's but for ``config``."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pyeno.aio.connect import create_eno_connection
from pyeno.aio.reader import EnoStreamReader
from pyeno.aio.serve import create_eno_server
from pyeno.aio.server import EnoServer
from pyeno.config import Config

LIMIT = 1 << 16
"""bytes a reader holds before it makes the peer wait, as asyncio's own"""


async def open_connection(
    host: str | None = None,
    port: int | str | None = None,
    *,
    config: Config | None = None,
    limit: int = LIMIT,
    **options: Any,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect and agree on keys; ``writer.get_extra_info("eno")`` tells what came of it.

    Options and errors are those of :func:`create_eno_connection`.
    """
    loop = asyncio.get_running_loop()
    reader = EnoStreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await create_eno_connection(
        loop, lambda: protocol, host, port, config=config, **options
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def start_server(
    client_connected_cb: Callable[
        [asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None
    ],
    host: Any = None,
    port: int | str | None = None,
    *,
    config: Config | None = None,
    limit: int = LIMIT,
    **options: Any,
) -> EnoServer:
    """Call ``client_connected_cb(reader, writer)`` for every connection.

    Options and errors are those of :func:`create_eno_server`.
    """
    loop = asyncio.get_running_loop()

    def factory() -> asyncio.StreamReaderProtocol:
        reader = EnoStreamReader(limit=limit, loop=loop)
        return asyncio.StreamReaderProtocol(reader, client_connected_cb, loop=loop)

    return await create_eno_server(loop, factory, host, port, config=config, **options)
