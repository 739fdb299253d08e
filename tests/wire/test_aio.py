"""asyncio over kernels' own TCP, on the standard loop and on uvloop."""

import asyncio
import hashlib
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from wire.looping import FACTORIES, Driver, Ending
from wire.netns import Wire
from wire.pairs import MARKER, TIMEOUT, plain_listener, served
from wire.rfcpeer_packet import FIN, RST

import pyeno
from pyeno import Config, Reason, Role, kernel
from pyeno.aio.stream import EnoListener, EnoStream, connect_eno
from pyeno.errors import (
    AuthenticationError,
    EncryptionRequiredError,
    HandshakeTimeoutError,
    TruncationError,
)

pytestmark = pytest.mark.wire

BLOCK = os.urandom(1 << 20)


@pytest.fixture(params=sorted(FACTORIES))
def drive(request: pytest.FixtureRequest, wire: Wire) -> Iterator[Driver]:
    driver = Driver(request.param, wire)
    yield driver
    assert not driver.complaints, driver.complaints


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


def test_a_peer_without_eno(drive: Driver, wire: Wire) -> None:
    """Plain TCP by the loop's own transport, either way round."""

    async def main() -> None:
        with plain_listener(wire) as listener:
            reader, writer = await pyeno.open_connection(*listener.getsockname())
            info = writer.get_extra_info("eno")
            assert (info.encrypted, info.reason) == (False, Reason.SYN_ACK_WITHOUT_ENO)
            own = "uvloop" if drive.name == "uvloop" else "asyncio.selector_events"
            assert type(
                getattr(writer.transport, "_transport", writer.transport)
            ).__module__.startswith(own)
            peer, _ = listener.accept()
            with peer:
                writer.write(b"plain")
                await writer.drain()
                assert await asyncio.to_thread(peer.recv, 10) == b"plain"
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        async with drive.server(Ending) as (server, address):
            with socket.socket() as peer:
                await asyncio.to_thread(peer.connect, address)
                peer.sendall(b"plain")
                while not server._open_transports():
                    await asyncio.sleep(0.001)
                (transport,) = server._open_transports()
                while not transport.get_protocol().got:
                    await asyncio.sleep(0.001)
                assert transport.get_extra_info("eno").reason is Reason.SYN_WITHOUT_ENO

    drive(main)


def test_required_encryption(drive: Driver, wire: Wire) -> None:
    """No connection_made(), a RST, and not one byte."""
    config = Config(require=True)

    async def main() -> None:
        with plain_listener(wire) as listener:
            with pytest.raises(EncryptionRequiredError) as caught:
                await pyeno.open_connection(*listener.getsockname(), config=config)
            assert caught.value.reason is Reason.SYN_ACK_WITHOUT_ENO
            peer, _ = listener.accept()
            with peer, pytest.raises(ConnectionResetError):
                peer.recv(1)
        made: list[Any] = []
        async with drive.server(lambda: made.append(1), config) as (_, address):
            with pytest.raises(ConnectionResetError):
                reader, _ = await asyncio.open_connection(*address)
                await reader.read(1)
        assert not made

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


def test_ends_on_the_wire(drive: Driver, wire: Wire) -> None:
    """close(): the FIN rides with the frame that has FINp; abort(): a RST."""

    async def main() -> None:
        for end in ("close", "abort"):
            async with drive.server(Ending) as (server, address):
                with wire.capture() as seen:
                    loop = asyncio.get_running_loop()
                    transport, near = await pyeno.create_eno_connection(loop, Ending, *address)
                    while not server._transports:
                        await asyncio.sleep(0.001)
                    far = next(iter(server._transports)).get_protocol()
                    transport.write(b"data")
                    while not far.got:
                        await asyncio.sleep(0.001)
                    getattr(transport, end)()
                    assert await near.lost is None
                    error = await far.lost
                mine = [s for s in seen.segments if s.source[1] == near_port(transport)]
                if end == "close":
                    assert error is None and far.eof
                    (fin,) = [s for s in mine if s.flags & FIN]
                    assert len(fin.payload) == 20
                else:
                    assert isinstance(error, ConnectionResetError) and not far.eof
                    assert any(s.flags & RST for s in mine)
                    assert not any(s.flags & FIN for s in mine)

    drive(main)


def near_port(transport: Any) -> int:
    port: int = transport.get_extra_info("sockname")[1]
    return port


@pytest.mark.parametrize("fault", ["fin", "forged"])
def test_the_peers_faults(drive: Driver, wire: Wire, fault: str) -> None:
    """FIN without FINp, a forged frame: connection_lost() has the error, the peer a RST."""

    async def main() -> None:
        async with drive.server(Ending) as (server, address):
            peer = await asyncio.to_thread(
                lambda: wire.a.inside(lambda: pyeno.create_connection(address, TIMEOUT))
            )
            peer.sendall(b"authentic")
            while not server._transports:
                await asyncio.sleep(0.001)
            far = next(iter(server._transports)).get_protocol()
            with wire.capture() as seen:
                if fault == "fin":
                    socket.socket.shutdown(peer, socket.SHUT_WR)
                else:
                    socket.socket.send(peer, b"\0" + struct.pack("!H", 40) + bytes(40))
                error = await far.lost
                await asyncio.sleep(0.05)
            expected = TruncationError if fault == "fin" else AuthenticationError
            assert type(error) is expected and bytes(far.got) == b"authentic" and not far.eof
            assert any(s.flags & RST and s.source[1] == address[1] for s in seen.segments)
            peer.abort()

    drive(main)


def configured_socket(wire: Wire) -> socket.socket:
    """Negotiates ENO, and knows nothing of tcpcrypt."""
    sock = wire.a.socket()
    kernel.configure(sock, teps=b"\x23")
    return sock


def test_silent_and_foreign_peers(drive: Driver, wire: Wire) -> None:
    """Reset after handshake_timeout, or at the first wrong byte; others are served."""
    config = Config(handshake_timeout=0.3)

    async def main() -> None:
        async with drive.server(Ending, config) as (server, address):
            with configured_socket(wire) as silent, configured_socket(wire) as foreign:
                silent.connect(address)
                foreign.connect(address)
                foreign.sendall(b"GET / HTTP/1.1")
                with pytest.raises(ConnectionResetError):
                    await asyncio.to_thread(foreign.recv, 1)
                _, writer = await pyeno.open_connection(*address)
                writer.write(b"served")
                with pytest.raises(ConnectionResetError):
                    await asyncio.to_thread(silent.recv, 1)
                assert [bytes(t.get_protocol().got) for t in server._transports] == [b"served"]
                writer.close()
                await writer.wait_closed()
        # nobody accepts
        with served(wire) as listener, pytest.raises(HandshakeTimeoutError):
            await pyeno.open_connection(*listener.getsockname()[:2], config=config)

    drive(main)


def test_slow_readers_both_ways(drive: Driver) -> None:
    """Nobody runs ahead of a paused peer by more than the buffers hold."""

    async def main() -> None:
        async with drive.server(Ending) as (server, address):
            loop = asyncio.get_running_loop()
            transport, near = await pyeno.create_eno_connection(loop, Ending, *address)
            while not server._transports:
                await asyncio.sleep(0.001)
            far = next(iter(server._transports)).get_protocol()
            for sender, receiver in ((near, far), (far, near)):
                receiver.transport.pause_reading()
                sent = 0
                while not sender.transport.get_write_buffer_size():
                    sender.transport.write(BLOCK)
                    sent += 1
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0.05)
                assert not receiver.got and sender.transport.get_write_buffer_size()
                receiver.transport.resume_reading()
                while len(receiver.got) < sent * len(BLOCK):
                    await asyncio.sleep(0.001)
                assert bytes(receiver.got) == BLOCK * sent
            transport.close()
            assert await near.lost is None and await far.lost is None

    drive(main)


def test_a_thousand_connections(drive: Driver) -> None:
    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(100):
                writer.write(data)
            writer.close()

        async with drive.streams(echo) as (_, address):
            limit = asyncio.Semaphore(64)  # of SYNs at a time: the listener's queue

            async def opened() -> Any:
                async with limit:
                    return await pyeno.open_connection(*address, config=Config(require=True))

            pairs = await asyncio.gather(*(opened() for _ in range(1000)))
            for number, (_, writer) in enumerate(pairs):
                writer.write(number.to_bytes(4))
            answers = await asyncio.gather(*(reader.readexactly(4) for reader, _ in pairs))
            assert [int.from_bytes(answer) for answer in answers] == list(range(1000))
            for _, writer in pairs:
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for _, writer in pairs))

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


def test_cancelled_while_opening(drive: Driver) -> None:
    """Between any two steps; the server goes on, and keeps nothing of it."""

    async def main() -> None:
        async with drive.server(Ending) as (server, address):
            for turns in range(14):
                task = asyncio.ensure_future(pyeno.open_connection(*address))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    _, writer = await task
                except asyncio.CancelledError:
                    continue
                writer.transport.abort()
            while server._busy():
                await asyncio.sleep(0.001)
            _, writer = await pyeno.open_connection(*address)
            writer.close()
            await writer.wait_closed()

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


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_eno_stream(wire: Wire, backend: str) -> None:
    """An echo of 4 MiB over AnyIO's stream; both ends at once."""

    async def main() -> None:
        async def echo(stream: EnoStream) -> None:
            async with stream:
                async for data in stream:
                    await stream.send(data)

        with anyio.fail_after(5 * TIMEOUT), served(wire) as sock:
            address = sock.getsockname()[:2]
            async with anyio.create_task_group() as group:
                group.start_soon(EnoListener(sock).serve, echo)
                async with await connect_eno(*address, config=Config(require=True)) as stream:

                    async def send() -> None:
                        await stream.send(BLOCK * 4)
                        await stream.send_eof()

                    group.start_soon(send)
                    got = bytearray()
                    async for data in stream:
                        got += data
                    assert bytes(got) == BLOCK * 4 and stream.eno.encrypted
                group.cancel_scope.cancel()

    wire.a.inside(lambda: anyio.run(main, backend=backend))
