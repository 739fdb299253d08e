"""An event loop in namespace a, its pyeno servers listening in namespace b.

drive(main) runs ``main()`` on each kind of loop; what the loop complains of,
and what it leaves open, fails the test.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import uvloop
from wire.netns import Wire
from wire.pairs import TIMEOUT, served

import pyeno
from pyeno import Config
from pyeno.aio.reader import EnoStreamReader

FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


class Driver:
    """Runs coroutines where namespace a's addresses are."""

    def __init__(self, name: str, wire: Wire) -> None:
        self.name = name
        self.wire = wire
        self.complaints: list[dict[str, Any]] = []

    def __call__(self, main: Callable[[], Awaitable[Any]], seconds: float = 5 * TIMEOUT) -> Any:
        async def whole() -> Any:
            asyncio.get_running_loop().set_exception_handler(
                lambda _, context: self.complaints.append(context)
            )
            return await asyncio.wait_for(main(), seconds)

        def run() -> Any:
            with asyncio.Runner(loop_factory=FACTORIES[self.name]) as runner:
                return runner.run(whole())

        return self.wire.a.inside(run)

    @contextlib.asynccontextmanager
    async def server(
        self, factory: Callable[[], Any], config: Config | None = None, **options: Any
    ) -> AsyncIterator[tuple[Any, tuple[str, int]]]:
        """(server, its address in namespace b)."""
        with served(self.wire, config) as listener:
            address = listener.getsockname()[:2]
            loop = asyncio.get_running_loop()
            server = await pyeno.create_eno_server(loop, factory, sock=listener, **options)
            try:
                yield server, address
            finally:
                server.close()
                server.abort_clients()
                await server.wait_closed()

    def streams(self, handler: Handler, config: Config | None = None, **options: Any) -> Any:
        """The same for a handler of streams."""

        def factory() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(EnoStreamReader(), handler)

        return self.server(factory, config, **options)


class Ending(asyncio.Protocol):
    """Keeps what it got and how it ended."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport: Any = None
        self.got = bytearray()
        self.eof = False
        self.made: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[BaseException | None] = loop.create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.made.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.got += data

    def eof_received(self) -> bool:
        self.eof = True
        return False

    def connection_lost(self, error: BaseException | None) -> None:
        self.lost.set_result(error)
