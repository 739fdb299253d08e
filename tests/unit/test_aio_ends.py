"""How connections end: FINp, RST, truncation, forgery, silence, cancellation."""

import asyncio
import gc
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from unit.looped import Drive, Recorder, by_hand, couple, served, until
from unit.played import listening

import pyeno
from pyeno import Config
from pyeno.errors import (
    AuthenticationError,
    HandshakeTimeoutError,
    LocalProtocolError,
    PeerDeadError,
    RemoteProtocolError,
    TruncationError,
)

pytestmark = pytest.mark.usefixtures("negotiated")


class Half(Recorder):
    """Goes on sending after the peer's end."""

    def __init__(self) -> None:
        super().__init__()
        self.keep_open = True


def test_half_close(drive: Drive) -> None:
    async def main() -> None:
        async with couple(Half, Half) as (a, b):
            assert a.transport.can_write_eof()
            a.transport.write(b"question")
            a.transport.write_eof()
            await b.ended
            for _ in range(100):
                b.transport.write(b"answer" * 1000)
            b.transport.close()
            assert await b.lost is None
            await a.ended
            assert bytes(a.got) == b"answer" * 100_000
            a.transport.close()
            assert await a.lost is None
            assert a.told == ["made", "data", "eof", "lost"]

    drive(main)


def test_close_sends_what_waits(drive: Drive) -> None:
    async def main() -> None:
        data = os.urandom(5 << 20)
        async with couple() as (a, b):
            b.transport.pause_reading()
            a.transport.write(data)
            a.transport.close()
            assert a.transport.is_closing() and not a.lost.done()
            b.transport.resume_reading()
            await b.ended
            assert b.got == data and await a.lost is None

    drive(main)


def test_abort_is_a_reset(drive: Drive) -> None:
    async def main() -> None:
        async with by_hand() as (peer, made):
            await peer.agree()
            await until(lambda: made)
            transport = await made[0].made
            transport.write(b"x")
            transport.abort()
            transport.abort()
            assert await made[0].lost is None and await peer.reset()
            transport.write(b"ignored")
            assert transport.is_closing()

    drive(main)


def test_abort_is_truncation_to_the_peer(drive: Drive) -> None:
    async def main() -> None:
        async with couple() as (a, b):
            a.transport.abort()
            assert isinstance(await b.lost, ConnectionError) and "eof" not in b.told

    drive(main)


def test_truncation_is_no_eof(drive: Drive) -> None:
    """FIN without FINp, after a whole frame and after half a frame."""

    async def main() -> None:
        for tail in (b"", b"half a frame"):
            async with by_hand() as (peer, made):
                a = await peer.agree()
                await peer.send(a.send(b"data") + (a.send(tail)[:-3] if tail else b""))
                peer.sock.shutdown(socket.SHUT_WR)
                await until(lambda: made and made[0].lost.done())
                assert isinstance(await made[0].lost, TruncationError)
                assert made[0].told == ["made", "data", "lost"]
                assert bytes(made[0].got) == b"data"
                assert await peer.reset()

    drive(main)


def test_truncation_reaches_a_stream(drive: Drive) -> None:
    async def main() -> None:
        failure = asyncio.get_running_loop().create_future()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.read()
            except TruncationError as error:
                failure.set_result(error)

        def factory() -> Any:
            return asyncio.StreamReaderProtocol(pyeno.aio.reader.EnoStreamReader(), handler)

        async with by_hand(factory) as (peer, _):
            a = await peer.agree()
            await peer.send(a.send(b"data"))
            peer.sock.shutdown(socket.SHUT_WR)
            assert await failure

    drive(main)


@pytest.mark.parametrize("what", ["tag", "after FINp", "short"])
def test_forgery_aborts(drive: Drive, what: str) -> None:
    """What was authentic before is delivered, then connection_lost() has the error."""

    async def main() -> None:
        async with by_hand(Half) as (peer, made):
            a = await peer.agree()
            good = a.send(b"good", fin=what == "after FINp")
            bad = bytearray(a.send(b"bad") if what == "tag" else b"\0\0\1x")
            bad[-1] ^= 1
            await peer.send(good + bytes(bad))
            await until(lambda: made and made[0].lost.done())
            error = await made[0].lost
            assert isinstance(
                error, AuthenticationError if what == "tag" else RemoteProtocolError
            )
            assert bytes(made[0].got) == b"good" and "eof" not in made[0].told
            assert await peer.reset()
            with pytest.raises(LocalProtocolError):  # the keys are gone
                made[0].made.result()._connection.read(1)

    drive(main)


def test_init_faults_reset_before_a_protocol_is_made(drive: Drive) -> None:
    async def main() -> None:
        async with by_hand() as (peer, made):
            await peer.send(b"no Init1 at all")
            assert await peer.reset() and not made

    drive(main)


def test_silent_peers_time_out(drive: Drive) -> None:
    async def main() -> None:
        config = Config(handshake_timeout=0.1)
        async with by_hand(config=config) as (peer, made):
            started = peer.loop.time()
            assert await peer.reset() and not made
            assert 0.09 < peer.loop.time() - started < 2
        with listening() as listener, pytest.raises(HandshakeTimeoutError):
            await pyeno.open_connection(*listener.getsockname(), config=config)

    drive(main)


def test_a_failing_protocol_ends_its_connection(drive: Drive) -> None:
    class Failing(Recorder):
        def data_received(self, data: bytes) -> None:
            raise ZeroDivisionError

    async def main() -> None:
        async with couple(Recorder, Failing) as (a, b):
            a.transport.write(b"x")
            assert isinstance(await b.lost, ZeroDivisionError)
            assert isinstance(await a.lost, ConnectionError)

    drive(main)
    (complaint,) = drive.complaints
    assert isinstance(complaint["exception"], ZeroDivisionError)
    assert "data_received" in complaint["message"]
    drive.complaints.clear()


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_cancelled_while_opening(drive: Drive) -> None:
    """At every await: names, connect, the key exchange; nothing stays open."""

    async def main() -> None:
        with listening() as listener:
            before = descriptors()
            for turns in range(12):
                task = asyncio.ensure_future(pyeno.open_connection(*listener.getsockname()))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await asyncio.sleep(0.01)
            assert descriptors() == before

    drive(main)


def test_cancelled_eyeballs(drive: Drive) -> None:
    async def main() -> None:
        with listening() as listener:
            before = descriptors()
            for turns in range(10):
                task = asyncio.ensure_future(
                    pyeno.open_connection(*listener.getsockname(), happy_eyeballs_delay=0.2)
                )
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await asyncio.sleep(0.01)
            assert descriptors() == before

    drive(main)


def test_cancelled_drain_keeps_the_stream_whole(drive: Drive) -> None:
    async def main() -> None:
        block = os.urandom(3 << 20)
        async with served() as server:
            _, writer = await pyeno.open_connection(*server.sockets[0].getsockname())
            await until(lambda: server._transports)
            (far,) = server._transports
            far.pause_reading()
            written = 0
            while True:
                writer.write(block)
                written += 1
                try:
                    await asyncio.wait_for(writer.drain(), 0.01)
                except TimeoutError:
                    break
            recorder = far.get_protocol()
            far.resume_reading()
            writer.write_eof()
            await recorder.ended
            assert bytes(recorder.got) == block * written
            writer.close()
            await writer.wait_closed()

    drive(main)


def test_a_dropped_transport_is_reset(drive: Drive) -> None:
    async def main() -> None:
        async with couple() as (a, b):
            transport = b.transport
            transport._unwatch()
            b.transport = None
            with pytest.warns(ResourceWarning, match="unclosed transport"):
                transport.__del__()
            assert isinstance(await a.lost, ConnectionError)
            transport._end(None)

    drive(main)


def test_an_abandoned_cycle_is_no_end_of_stream(drive: Drive) -> None:
    """The collector cuts the link from its socket, and may close that first."""

    async def main() -> None:
        servers: list[Any] = []

        class Remembering(Recorder):
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                servers.append(transport._on_lost.__self__)

        async with by_hand(Remembering) as (peer, made):
            a = await peer.agree()
            await until(lambda: made)
            made[0].transport._unwatch()
            servers[0]._transports.clear()
            made.clear()
            with pytest.warns(ResourceWarning, match="unclosed") as seen:
                gc.collect()
            assert any("transport" in str(warning.message) for warning in seen)
            await peer.reset()
            with pytest.raises(TruncationError):
                a.receive_eof()

    drive(main)


@pytest.mark.parametrize("end", ["close", "abort", "get_protocol"])
def test_fork_leaves_the_connection_to_the_parent(drive: Drive, end: str) -> None:
    """The child's writes raise, its ends send nothing (RFC 8548 section 3.6)."""

    async def main() -> None:
        async with couple() as (a, b):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    a.transport.write(b"from the child")
                except LocalProtocolError:
                    getattr(a.transport, end)()
                    a.transport.__del__()
                    code = 0
                finally:
                    os._exit(code)
            assert os.waitpid(pid, 0)[1] == 0
            a.transport.write(b"from the parent")
            a.transport.close()
            await b.ended
            assert bytes(b.got) == b"from the parent"

    drive(main)


def test_keys_are_wiped_at_every_end(drive: Drive) -> None:
    async def main() -> None:
        for end in ("close", "abort"):
            async with couple() as (a, _):
                connection = a.transport._connection
                getattr(a.transport, end)()
                await a.lost
                with pytest.raises(LocalProtocolError):
                    connection.send(b"x")
                assert a.transport.get_extra_info("eno").encrypted

    drive(main)


KEEPALIVE = Config(keepalive=(0.05, 0.1))


def test_a_dead_peer(drive: Drive) -> None:
    """It acknowledges by TCP, and answers no rekeying (RFC 8548 section 3.9)."""

    async def main() -> None:
        async with by_hand(config=KEEPALIVE) as (peer, made):
            await peer.agree()
            error = await asyncio.wait_for(asyncio.shield(await lost_of(made)), 5)
            assert isinstance(error, PeerDeadError) and await peer.reset()

    drive(main)


async def lost_of(made: list[Recorder]) -> "asyncio.Future[BaseException | None]":
    await until(lambda: made)
    return made[0].lost


@pytest.mark.parametrize("paused", [False, True])
def test_live_peers(drive: Drive, paused: bool) -> None:
    """Who answers lives, although both are idle, and one does not read."""

    async def main() -> None:
        async with couple(config=KEEPALIVE) as (a, b):
            if paused:
                b.transport.pause_reading()
            await asyncio.sleep(0.6)
            assert a.told == b.told == ["made"]
            assert a.transport.get_extra_info("eno").generation > 1
            b.transport.resume_reading()
            a.transport.write(b"alive")
            await until(lambda: b.got == b"alive")
            assert not any(t.name == "pyeno keep-alive" for t in threading.enumerate())

    drive(main)
