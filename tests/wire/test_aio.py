"""asyncio over kernels' own TCP, on the standard loop and on uvloop."""

import asyncio
import hashlib
import os
import socket
from typing import Any

import pytest
from wire.looping import Driver, Ending
from wire.netns import Wire
from wire.pairs import MARKER, TIMEOUT, served

import pyeno
from pyeno import Config, Role

pytestmark = pytest.mark.wire

BLOCK = os.urandom(1 << 20)


async def hashed(reader: asyncio.StreamReader) -> bytes:
    digest = hashlib.sha256()
    while data := await reader.read(1 << 18):
        digest.update(data)
    return digest.digest()


def test_streams_both_ways(drive: Driver, wire: Wire) -> None:
    """16 MiB each way at once, checked by SHA-256; one session ID; no plaintext outside."""
    blocks = 16

    async def send(writer: asyncio.StreamWriter) -> bytes:
        digest = hashlib.sha256()
        for number in range(blocks):
            data = MARKER + number.to_bytes(4) + BLOCK
            digest.update(data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()
        return digest.digest()

    async def main() -> None:
        results: list[Any] = []

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            results.append(await asyncio.gather(hashed(reader), send(writer)))
            results.append(writer.get_extra_info("eno").session_id)
            writer.close()

        async with drive.streams(handler) as (_, address):
            reader, writer = await pyeno.open_connection(*address)
            info = writer.get_extra_info("eno")
            assert info.encrypted and info.role is Role.A and len(info.transcript) == 7
            got, sent = await asyncio.gather(hashed(reader), send(writer))
            writer.close()
            await writer.wait_closed()
        assert results == [[sent, got], info.session_id]

    with wire.capture() as seen:
        drive(main)
    assert not any(MARKER in segment.payload for segment in seen.segments)


def test_sockets_and_loops_interoperate(drive: Driver) -> None:
    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.read())
            writer.close()

        def blocking(address: Any) -> bytes:
            create = lambda: pyeno.create_connection(address, TIMEOUT)  # noqa: E731
            with drive.wire.a.inside(create) as sock:
                sock.sendall(BLOCK[:200_000])
                sock.shutdown(socket.SHUT_WR)
                got = bytearray()
                while part := sock.recv(1 << 16):
                    got += part
                return bytes(got)

        async with drive.streams(echo) as (_, address):
            assert await asyncio.to_thread(blocking, address) == BLOCK[:200_000]

    drive(main)


def test_half_close(drive: Driver) -> None:
    async def main() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            data = await reader.read()
            for _ in range(10):
                writer.write(data)
                await writer.drain()
            writer.close()

        async with drive.streams(handler) as (_, address):
            reader, writer = await pyeno.open_connection(*address)
            writer.write(b"question" * 10_000)
            assert writer.can_write_eof()
            writer.write_eof()
            assert await reader.read() == b"question" * 100_000
            writer.close()
            await writer.wait_closed()

    drive(main)


def test_sessions_are_resumed(drive: Driver) -> None:
    """The second connection resumes what the first one's key exchange left (section 3.5)."""

    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(5))
            resumed.append(writer.get_extra_info("eno").resumed)
            writer.close()

        resumed: list[bool] = []
        config = Config(require=True, session_scope=f"asyncio {drive.name}")
        async with drive.streams(echo, config) as (_, address):
            for turn in range(3):
                reader, writer = await pyeno.open_connection(*address, config=config)
                writer.write(b"hello")
                assert await reader.read() == b"hello"
                assert writer.get_extra_info("eno").resumed is bool(turn)
                writer.close()
                await writer.wait_closed()
        assert resumed == [False, True, True]

    drive(main)


def test_start_eno(drive: Driver, wire: Wire) -> None:
    """A server that accepts by itself, from a listener that negotiates ENO."""

    class Upgrading(Ending):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.task = asyncio.ensure_future(pyeno.start_eno(transport, self))
            self.task.add_done_callback(lambda task: task.result().write(b"ready"))

    async def main() -> None:
        made: list[Upgrading] = []

        def factory() -> Upgrading:
            made.append(Upgrading())
            return made[-1]

        with served(wire) as listener:
            address = listener.getsockname()[:2]
            plain = socket.socket(fileno=os.dup(listener.fileno()))
            plain.setblocking(False)
            loop = asyncio.get_running_loop()
            server = await loop.create_server(factory, sock=plain)
            reader, writer = await pyeno.open_connection(*address)
            assert await reader.readexactly(5) == b"ready"
            writer.write(BLOCK)
            writer.close()
            await writer.wait_closed()
            assert await made[0].lost is None and bytes(made[0].got) == BLOCK
            info = made[0].task.result().get_extra_info("eno")
            assert info.session_id == writer.get_extra_info("eno").session_id
            reader, writer = await asyncio.open_connection(*address)
            assert await reader.readexactly(5) == b"ready"
            assert made[1].task.result() is made[1].transport or drive.name == "uvloop"
            writer.close()
            await writer.wait_closed()
            assert await made[1].lost is None
            server.close()
            await server.wait_closed()

    drive(main)
