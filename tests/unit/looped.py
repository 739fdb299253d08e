"""asyncio connections over loopback TCP whose negotiation the test plays, on each loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import uvloop
from unit.played import TIMEOUT, TRANSCRIPT, listening_port

import pyeno
from pyeno import Config, Reason, Role
from pyeno._values import Outcome
from pyeno.tcpcrypt.connection import Connection

FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Drive:
    """Runs coroutines on one kind of loop; what a loop complains of fails the test."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.complaints: list[dict[str, Any]] = []

    def __call__(self, main: Callable[[], Awaitable[Any]]) -> Any:
        async def whole() -> Any:
            asyncio.get_running_loop().set_exception_handler(
                lambda _, context: self.complaints.append(context)
            )
            return await asyncio.wait_for(main(), 2 * TIMEOUT)

        with asyncio.Runner(loop_factory=FACTORIES[self.name]) as runner:
            return runner.run(whole())

    def __repr__(self) -> str:
        return self.name


class Recorder(asyncio.Protocol):
    """Remembers what it was told."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport: Any = None
        self.got = bytearray()
        self.told: list[str] = []
        self.made: asyncio.Future[Any] = loop.create_future()
        self.ended: asyncio.Future[Any] = loop.create_future()
        self.lost: asyncio.Future[BaseException | None] = loop.create_future()
        self.keep_open = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.told.append("made")
        self.made.set_result(transport)

    def data_received(self, data: bytes) -> None:
        assert self.told[-1] in ("made", "data", "pause", "resume")
        if self.told[-1] != "data":
            self.told.append("data")
        self.got += data

    def eof_received(self) -> bool:
        self.told.append("eof")
        self.ended.set_result(None)
        return self.keep_open

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, error: BaseException | None) -> None:
        self.told.append("lost")
        self.lost.set_result(error)


class Buffered(Recorder, asyncio.BufferedProtocol):
    """The same with a buffer of its own, smaller than a frame."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = bytearray(5000)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, size: int) -> None:
        self.data_received(bytes(self.buffer[:size]))


@contextlib.asynccontextmanager
async def served(
    factory: Callable[[], Any] = Recorder, config: Config | None = None, **options: Any
) -> AsyncIterator[Any]:
    """A server on a free port of 127.0.0.1, closed and awaited at the end."""
    loop = asyncio.get_running_loop()
    server = await pyeno.create_eno_server(
        loop, factory, "127.0.0.1", 0, config=config, **options
    )
    listening_port[0] = server.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.close()
        server.abort_clients()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def couple(
    near: Callable[[], Any] = Recorder,
    far: Callable[[], Any] = Recorder,
    config: Config | None = None,
) -> AsyncIterator[tuple[Any, Any]]:
    """(host A's protocol, host B's), connected."""
    accepted: list[Any] = []

    def factory() -> Any:
        accepted.append(far())
        return accepted[0]

    async with served(factory, config) as server:
        address = server.sockets[0].getsockname()
        loop = asyncio.get_running_loop()
        transport, a = await pyeno.create_eno_connection(loop, near, *address, config=config)
        while not accepted:
            await asyncio.sleep(0)
        await accepted[0].made
        try:
            yield a, accepted[0]
        finally:
            transport.abort()
            await a.lost


class ByHand:
    """Host A over a plain socket, played by the test."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.loop = asyncio.get_running_loop()
        self.connection = Connection(
            Outcome(Reason.NEGOTIATED, Role.A, tep_byte=0x23, transcript=TRANSCRIPT), Config()
        )

    async def agree(self) -> Connection:
        await self.send(self.connection.data_to_send())
        while not self.connection.established:
            self.connection.receive_data(await self.loop.sock_recv(self.sock, 4096))
        return self.connection

    async def send(self, data: bytes) -> None:
        await self.loop.sock_sendall(self.sock, data)

    async def receive(self) -> bytes:
        """What the kernel has next; empty at FIN; ConnectionResetError at RST."""
        return await self.loop.sock_recv(self.sock, 1 << 16)

    async def reset(self) -> bool:
        """Whether the connection ends with a RST."""
        try:
            while await self.receive():
                pass
        except ConnectionResetError:
            return True
        return False


@contextlib.asynccontextmanager
async def by_hand(
    far: Callable[[], Any] = Recorder, config: Config | None = None
) -> AsyncIterator[tuple[ByHand, list[Any]]]:
    """A peer by hand, connected, and the server's protocols as they are made."""
    made: list[Any] = []

    def factory() -> Any:
        made.append(far())
        return made[-1]

    async with served(factory, config) as server:
        with socket.socket() as sock:
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, server.sockets[0].getsockname())
            yield ByHand(sock), made


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop run until it holds."""
    while not condition():
        await asyncio.sleep(0.001)
