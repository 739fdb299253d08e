"""Transports, protocols and streams over loopback TCP, on both loops."""

import asyncio
import os
import socket

import pytest
from unit.looped import Buffered, Drive, Recorder, couple, served
from unit.played import TRANSCRIPT, listening_port

import pyeno
from pyeno import Config, Role
from pyeno.errors import LocalProtocolError

pytestmark = pytest.mark.usefixtures("negotiated")

BLOCK = os.urandom(1 << 20)


@pytest.mark.parametrize("far", [Recorder, Buffered])
@pytest.mark.parametrize("size", [1, 1000, 65518, 65519, 300_000, 3_000_000])
def test_bytes_arrive(drive: Drive, far: type[Recorder], size: int) -> None:
    data = (BLOCK * (size // len(BLOCK) + 1))[:size]

    async def main() -> None:
        async with couple(Recorder, far) as (a, b):
            a.transport.write(data)
            a.transport.write_eof()
            await b.ended
            assert bytes(b.got) == data
            assert b.told[:3] == ["made", "data", "eof"]
            assert await b.lost is None and await a.lost is None

    drive(main)


def test_both_ways_at_once(drive: Drive) -> None:
    async def main() -> None:
        async with couple(Buffered) as (a, b):
            a.keep_open = b.keep_open = True
            for _ in range(4):
                a.transport.write(BLOCK)
                b.transport.write(BLOCK[::-1])
            a.transport.write_eof()
            b.transport.write_eof()
            await asyncio.gather(a.ended, b.ended)
            assert bytes(b.got) == BLOCK * 4 and bytes(a.got) == BLOCK[::-1] * 4

    drive(main)


def test_extras(drive: Drive) -> None:
    async def main() -> None:
        async with couple() as (a, b):
            near, far = a.transport.get_extra_info("eno"), b.transport.get_extra_info("eno")
            assert near.session_id == far.session_id and len(near.session_id) == 33
            assert (near.role, far.role) == (Role.A, Role.B) and near.encrypted
            assert near.transcript == TRANSCRIPT
            assert a.transport.get_extra_info("sockname") == b.transport.get_extra_info(
                "peername"
            )
            sock = a.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getpeername() == b.transport.get_extra_info("sockname")
            with pytest.raises(LocalProtocolError, match="write_eof"):
                sock.shutdown(socket.SHUT_WR)
            assert a.transport.get_extra_info("nothing", 7) == 7
            assert near.session_id.hex() not in repr(a.transport)
            assert "open" in repr(a.transport)

    drive(main)


def test_nothing_is_plaintext_on_the_wire(drive: Drive) -> None:
    """A recording peer in the middle sees Init messages and frames only."""

    async def main() -> None:
        seen = bytearray()

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection(*address)

            async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                while data := await source.read(1 << 16):
                    seen.extend(data)
                    sink.write(data)
                sink.write_eof()

            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
            far_writer.close()
            writer.close()

        b: list[Recorder] = []

        def factory() -> Recorder:
            b.append(Recorder())
            return b[0]

        async with served(factory) as server:
            address = server.sockets[0].getsockname()
            middle = await asyncio.start_server(relay, "127.0.0.1", 0)
            reader, writer = await pyeno.open_connection(*middle.sockets[0].getsockname())
            writer.write(b"marker" * 1000)
            writer.write(b"marker" * 1000)
            writer.write_eof()
            await b[0].ended
            assert bytes(b[0].got) == b"marker" * 2000
            assert await reader.read() == b""
            assert b"marker" not in seen and len(seen) > 12_000
            writer.close()
            middle.close()

    drive(main)


def test_streams(drive: Drive) -> None:
    """Every way to read, each side writing."""

    async def main() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readline() == b"line\n"
            assert await reader.readexactly(200_000) == BLOCK[:200_000]
            assert await reader.readuntil(b"!!") == b"until!!"
            assert await reader.read(2) == b"ab"
            assert await reader.read(100) == b"c"
            writer.writelines([b"x", b"", b"yz"])
            await writer.drain()
            assert await reader.read() == b"rest"
            writer.write(BLOCK)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await pyeno.start_server(handler, "127.0.0.1", 0)
        listening_port[0] = server.sockets[0].getsockname()[1]
        reader, writer = await pyeno.open_connection(*server.sockets[0].getsockname())
        writer.write(b"line\n" + BLOCK[:200_000] + b"until!!abc")
        assert await reader.readexactly(3) == b"xyz"
        writer.write(b"rest")
        writer.write_eof()
        got = bytearray()
        while part := await reader.read(70_000):
            assert len(part) <= 70_000
            got += part
        assert bytes(got) == BLOCK and reader.at_eof()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    drive(main)
    assert not drive.complaints


def test_a_cancelled_read_loses_nothing(drive: Drive) -> None:
    """Cancelled in the very turn in which its bytes were handed over."""

    async def main() -> None:
        async with served() as server:
            reader, writer = await pyeno.open_connection(*server.sockets[0].getsockname())
            while not server._transports:
                await asyncio.sleep(0)
            (far,) = server._transports
            task = asyncio.ensure_future(reader.read(3))
            await asyncio.sleep(0)
            assert reader.wanted == 3
            far.write(b"abcdef")
            hand = reader.hand

            def hand_and_cancel(data: bytes) -> None:
                hand(data)
                task.cancel()

            reader.hand = hand_and_cancel
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await reader.readexactly(6) == b"abcdef"
            writer.transport.abort()

    drive(main)


def test_many_small_writes(drive: Drive) -> None:
    """In order, whatever was sealed at once and whatever was queued; data may change later."""

    async def main() -> None:
        async with couple() as (a, b):
            b.transport.pause_reading()
            expected = bytearray()
            piece = bytearray(100)
            while a.transport.get_write_buffer_size() < 200_000:
                piece[:4] = len(expected).to_bytes(4)
                a.transport.write(piece)
                expected += piece
            piece[:] = b"X" * 100
            b.transport.resume_reading()
            a.transport.close()
            await b.ended
            assert b.got == expected

    drive(main)


def test_wrong_use(drive: Drive) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with couple() as (a, b):
            b.keep_open = True
            with pytest.raises(TypeError, match="bytes-like"):
                a.transport.write("text")
            with pytest.raises(ValueError, match="low"):
                a.transport.set_write_buffer_limits(high=1, low=2)
            a.transport.write_eof()
            with pytest.raises(RuntimeError, match="write_eof"):
                a.transport.write(b"more")
            a.transport.close()
            a.transport.write(b"dropped")
            a.transport.write_eof()
            a.transport.close()
            await b.ended
            assert not b.got
        with pytest.raises(ValueError, match="host and port"):
            await pyeno.create_eno_connection(loop, Recorder)
        with socket.socket() as plain, pytest.raises(TypeError, match=r"pyeno\.Socket"):
            await pyeno.create_eno_connection(loop, Recorder, sock=plain)
        with pytest.raises(TypeError, match="config"):
            await pyeno.open_connection("127.0.0.1", 1, config="x")
        with pyeno.Socket() as sock, pytest.raises(ValueError, match="sock"):
            await pyeno.create_eno_connection(loop, Recorder, sock=sock, config=Config())

    drive(main)
