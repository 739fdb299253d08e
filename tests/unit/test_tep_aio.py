"""asyncio's transports with a TEP that is not tcpcrypt: the example plug-in (played
negotiation), on the standard loop and on uvloop."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from unit.example_tep import EXAMPLE
from unit.looped import Buffered, Drive, Recorder, couple, served, until

import pyeno
from pyeno import Config, Role, TruncationError
from pyeno.errors import AuthenticationError, LocalProtocolError
from pyeno.tep.testing.ends import outcome_of

DATA = os.urandom(12_000_000)


@asynccontextmanager
async def by_hand(
    config: Config, protocol: type = Recorder
) -> AsyncIterator[tuple[socket.socket, Any, Any]]:
    """A plain socket, host A's connection for it, and the server's protocol."""
    made: list[Any] = []

    def factory() -> Any:
        made.append(protocol())
        return made[-1]

    async with served(factory, config) as server:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, server.sockets[0].getsockname())
            a = EXAMPLE.create(outcome_of(EXAMPLE, config, Role.A), config)
            await loop.sock_sendall(sock, a.data_to_send())
            while not a.established:
                a.receive_data(await loop.sock_recv(sock, 4096))
            await until(lambda: made)
            yield sock, a, made[0]


@pytest.mark.parametrize("protocol", [Recorder, Buffered])
def test_both_ways_at_once(drive: Drive, other: Config, protocol: type) -> None:
    async def main() -> None:
        async with couple(protocol, protocol, other) as (a, b):
            for end in (a, b):
                end.keep_open = True
                end.transport.write(DATA)
                end.transport.write_eof()
            await asyncio.gather(a.ended, b.ended)
            assert a.got == b.got == DATA
            a.transport.close()
            b.transport.close()
            assert await a.lost is None and await b.lost is None

    drive(main)


def test_reading_is_paused(drive: Drive, other: Config) -> None:
    """Meanwhile the peer is made to wait; nothing is lost."""

    async def main() -> None:
        async with couple(config=other) as (a, b):
            b.transport.pause_reading()
            a.transport.write(DATA)
            await asyncio.sleep(0.05)
            assert len(b.got) == 0 and a.transport.get_write_buffer_size()
            b.transport.resume_reading()
            await until(lambda: len(b.got) == len(DATA))
            assert b.got == DATA

    drive(main)


def test_data_before_an_error(drive: Drive, example: Config) -> None:
    """In one segment: the data, then connection_lost() with the error."""

    async def main() -> None:
        for altered in (True, False):
            async with by_hand(example) as (sock, a, b):
                loop = asyncio.get_running_loop()
                stream = bytearray(a.send(b"whole") + a.send(b"not whole"))
                if altered:
                    stream[-1] ^= 1
                await loop.sock_sendall(sock, stream if altered else stream[:-1])
                if not altered:
                    sock.shutdown(socket.SHUT_WR)
                error = await b.lost
                assert type(error) is (AuthenticationError if altered else TruncationError)
                assert b.got == b"whole" and "eof" not in b.told
                with pytest.raises(ConnectionResetError):
                    while await loop.sock_recv(sock, 4096):
                        pass

    drive(main)


def test_end_and_bytes_after_it(drive: Drive, example: Config) -> None:
    async def main() -> None:
        async with by_hand(example) as (sock, a, b):
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, a.send(b"last", fin=True))
            await b.ended
            assert b.got == b"last" and await b.lost is None
            stream = b""
            while part := await loop.sock_recv(sock, 4096):
                stream += part
            a.receive_data(stream)
            assert a.finished

    drive(main)


def test_streams(drive: Drive, example: Config) -> None:
    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(100_000):
                writer.write(data)
                await writer.drain()
            writer.close()

        server = await pyeno.start_server(echo, "127.0.0.1", 0, config=example)
        async with server:
            from unit.played import listening_port

            address = server.sockets[0].getsockname()
            listening_port[0] = address[1]
            reader, writer = await pyeno.open_connection(*address, config=example)
            info = writer.get_extra_info("eno")
            assert (info.tep, info.tep_name, info.generation) == (0x20, "example", 0)
            writer.write(DATA)
            writer.write_eof()
            assert await reader.read() == DATA
            writer.close()
            await writer.wait_closed()

    drive(main)


def test_eno_stream(other: Config) -> None:
    """AnyIO's, whose calls are a non-blocking socket's."""
    from unit.played import listening

    from pyeno.aio.stream import EnoListener, connect_eno

    async def main() -> None:
        async def echo(stream: Any) -> None:
            async with stream:
                async for data in stream:
                    await stream.send(data)

        with listening(other) as sock:
            async with anyio.create_task_group() as group:
                group.start_soon(EnoListener(sock).serve, echo)
                async with await connect_eno(*sock.getsockname(), config=other) as stream:
                    await stream.send(DATA[:200_000])
                    got = b""
                    while len(got) < 200_000:
                        got += await stream.receive()
                    assert got == DATA[:200_000]
                group.cancel_scope.cancel()

    anyio.run(main)


def test_keepalive_is_refused(example: Config) -> None:
    with pytest.raises(pyeno.ConfigError, match="keepalive: example has no rekeying"):
        example.but(keepalive=1)


def test_rekey_is_refused(drive: Drive, other: Config) -> None:
    async def main() -> None:
        async with couple(config=other) as (a, _):
            with pytest.raises(LocalProtocolError, match="no rekeying"):
                a.transport._link.connection.rekey()

    drive(main)
