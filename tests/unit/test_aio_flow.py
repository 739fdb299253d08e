"""Backpressure between loops: nobody holds more than he was told to."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest
from unit.looped import Buffered, Drive, Recorder, by_hand, couple, served, until

import pyeno
from pyeno import Config

pytestmark = pytest.mark.usefixtures("negotiated")

BLOCK = os.urandom(1 << 20)


@pytest.mark.parametrize("far", [Recorder, Buffered])
def test_a_paused_reader_stops_the_writer(drive: Drive, far: Callable[[], Any]) -> None:
    async def main() -> None:
        async with couple(Recorder, far) as (a, b):
            transport = a.transport
            b.transport.pause_reading()
            assert not b.transport.is_reading()
            written = 0
            while "pause" not in a.told:
                transport.write(BLOCK)
                written += 1
                await asyncio.sleep(0.001)
            low, high = transport.get_write_buffer_limits()
            assert transport.get_write_buffer_size() > high and (low, high) == (16384, 65536)
            for _ in range(50):
                await asyncio.sleep(0.001)
            assert not b.got and a.told == ["made", "pause"]
            b.transport.pause_reading()
            b.transport.resume_reading()
            b.transport.resume_reading()
            await until(lambda: "resume" in a.told)
            assert transport.get_write_buffer_size() <= low
            transport.close()
            await b.ended
            assert bytes(b.got) == BLOCK * written

    drive(main)


@pytest.mark.parametrize("far", [Recorder, Buffered])
def test_pausing_inside_a_callback(drive: Drive, far: type[Recorder]) -> None:
    """What is left of the received bytes comes after resume_reading(), and no sooner."""

    class Sipping(far):  # type: ignore[misc, valid-type]
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            assert self.transport.is_reading()
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(0.0005, self.transport.resume_reading)

    async def main() -> None:
        async with couple(Recorder, Sipping) as (a, b):
            a.transport.write(BLOCK[:150_000])
            a.transport.write_eof()
            await b.ended
            assert bytes(b.got) == BLOCK[:150_000]

    drive(main)


def test_pause_holds_back_the_end(drive: Drive) -> None:
    async def main() -> None:
        async with couple() as (a, b):
            b.transport.pause_reading()
            a.transport.write(b"last")
            a.transport.write_eof()
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert b.told == ["made"]
            b.transport.resume_reading()
            await b.ended
            assert b.told[:3] == ["made", "data", "eof"]

    drive(main)


def test_drain_waits_for_a_slow_reader(drive: Drive) -> None:
    """End to end with streams: the writer is never more than the buffers ahead."""

    async def main() -> None:
        total, ahead, taken = 20 << 20, [0], [0]
        done = asyncio.get_running_loop().create_future()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(1 << 16):
                taken[0] += len(data)
                if taken[0] % 3 == 0:
                    await asyncio.sleep(0)
            writer.close()
            done.set_result(None)

        protocol = lambda: asyncio.StreamReaderProtocol(  # noqa: E731
            pyeno.aio.reader.EnoStreamReader(), handler
        )
        async with served(protocol) as server:
            _, writer = await pyeno.open_connection(*server.sockets[0].getsockname())
            sent = 0
            while sent < total:
                writer.write(BLOCK)
                await writer.drain()
                sent += len(BLOCK)
                ahead[0] = max(ahead[0], sent - taken[0])
            writer.write_eof()
            await done
            assert taken[0] == total and ahead[0] < total
            writer.close()
            await writer.wait_closed()

    drive(main)


def test_limits_can_be_zero(drive: Drive) -> None:
    async def main() -> None:
        async with couple() as (a, b):
            a.transport.set_write_buffer_limits(high=0)
            b.transport.pause_reading()
            while "pause" not in a.told:
                a.transport.write(BLOCK)
            assert a.transport.get_write_buffer_size() > 0
            b.transport.resume_reading()
            await until(lambda: "resume" in a.told)
            assert a.transport.get_write_buffer_size() == 0
            a.transport.set_write_buffer_limits(low=10)
            assert a.transport.get_write_buffer_limits() == (10, 40)

    drive(main)


def test_rekeys_are_answered_in_order(drive: Drive) -> None:
    """Both hosts under load raise generations; nobody's answer gets lost (section 3.8)."""

    async def main() -> None:
        async with couple(config=Config(rekey_bytes=200_000)) as (a, b):
            a.keep_open = b.keep_open = True
            for _ in range(3):
                a.transport.write(BLOCK)
                b.transport.write(BLOCK)
                await asyncio.sleep(0)
            a.transport.write_eof()
            b.transport.write_eof()
            await asyncio.gather(a.ended, b.ended)
            assert bytes(a.got) == bytes(b.got) == BLOCK * 3
            assert a.transport.get_extra_info("eno").generation > 5

    drive(main)


def test_a_rekey_is_answered_by_who_only_listens(drive: Drive) -> None:
    async def main() -> None:
        async with by_hand() as (peer, made):
            a = await peer.agree()
            a.rekey()
            await peer.send(a.send(b"under the next key"))
            while a.generation > a._keys.opener.generation:
                a.receive_data(await peer.receive())
                assert a.read(100) == b""
            assert bytes(made[0].got) == b"under the next key"

    drive(main)


def test_urgent_data_do_not_stop_the_stream(drive: Drive) -> None:
    """The urgent byte is left out, as of the loops' own transports (RFC 8548 section 3.7)."""

    async def main() -> None:
        for far in (Recorder, Buffered):
            async with by_hand(far) as (peer, made):
                a = await peer.agree()
                await peer.send(a.send(b"!", urgent=True) + a.send(b"before!", urgent=True))
                await peer.send(a.send(b"after") + a.send(b"", fin=True))
                await until(lambda: made and made[0].ended.done())
                assert bytes(made[0].got) == b"beforeafter"

    drive(main)


def test_a_rekey_is_answered_before_the_reply(drive: Drive) -> None:
    """What the protocol owes precedes what the application writes meanwhile."""

    class Replying(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.write(b"reply")

    async def main() -> None:
        async with by_hand(Replying) as (peer, _):
            a = await peer.agree()
            a.rekey()
            await peer.send(a.send(b"under the next key"))
            while not (data := a.read(100)):
                a.receive_data(await peer.receive())
            assert data == b"reply" and a.remote_generation == 1

    drive(main)


def test_a_probe_waits_behind_what_waits(drive: Drive) -> None:
    """A paused host with unsent frames answers once these are sent, and not between them."""

    async def main() -> None:
        async with by_hand(config=Config(keepalive=(0.02, 60))) as (peer, made):
            a = await peer.agree()
            await until(lambda: made)
            made[0].transport.pause_reading()
            while made[0].told[-1] != "pause":
                made[0].transport.write(BLOCK)
                await asyncio.sleep(0.001)
            size = len(BLOCK) * 8
            made[0].transport.write(bytes(size))
            a.rekey()
            await peer.send(a.data_to_send())
            await asyncio.sleep(0.1)
            got = 0
            while got < size or a.unanswered:
                a.receive_data(await peer.receive())
                while part := a.read(1 << 20):
                    got += len(part)

    drive(main)
