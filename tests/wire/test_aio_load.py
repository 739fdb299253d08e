"""Loops under load: slow readers, and many connections."""

import asyncio
import contextlib
import os
from typing import Any

import pytest
from wire.looping import Driver, Ending

import pyeno
from pyeno import Config

pytestmark = pytest.mark.wire

BLOCK = os.urandom(1 << 20)
PATIENCE = 180.0
"""seconds: on a busy machine a thousand connections take half a minute"""


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


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):  # some peers reset
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def many(address: Any, count: int) -> list[Any]:
    """So many encrypted connections to it."""
    limit = asyncio.Semaphore(64)  # of SYNs at a time: the listener's queue

    async def opened() -> Any:
        async with limit:
            return await pyeno.open_connection(*address, config=Config(require=True))

    return await asyncio.gather(*(opened() for _ in range(count)))


async def all_answer(pairs: list[Any]) -> None:
    for number, (_, writer) in enumerate(pairs):
        writer.write(number.to_bytes(4))
    answers = await asyncio.gather(*(reader.readexactly(4) for reader, _ in pairs))
    assert [int.from_bytes(answer) for answer in answers] == list(range(len(pairs)))


async def close_all(pairs: list[Any]) -> None:
    for _, writer in pairs:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in pairs))


def test_a_thousand_connections(drive: Driver) -> None:
    async def main() -> None:
        async with drive.streams(echo) as (_, address):
            pairs = await many(address, 1000)
            await all_answer(pairs)
            await close_all(pairs)

    drive(main, PATIENCE)


def test_bulk_beside_thousands(drive: Driver) -> None:
    """16 MiB through one connection while 2,000 others wait, each of which then answers."""

    async def main() -> None:
        async with drive.streams(echo) as (_, address):
            pairs = await many(address, 2001)
            reader, writer = pairs.pop()

            async def send() -> None:
                for _ in range(16):
                    writer.write(BLOCK)
                    await writer.drain()
                writer.write_eof()

            sending = asyncio.ensure_future(send())
            for _ in range(16):
                assert await reader.readexactly(len(BLOCK)) == BLOCK
            assert await reader.read() == b""
            await sending
            await all_answer(pairs)
            await close_all([*pairs, (reader, writer)])

    drive(main, PATIENCE)


async def exchange(number: int, address: Any) -> str:
    """One of a load generator's connections, with a KiB there and back; how it ended.

    Every other one is of a host without ENO.
    """
    connect = pyeno.open_connection if number % 2 else asyncio.open_connection
    reader, writer = await connect(*address)
    request = number.to_bytes(4) * 256
    how = ("close", "half-close", "abort")[number % 3]
    writer.write(request[: 512 if how == "abort" else None])
    if how == "half-close":
        writer.write_eof()
        assert await reader.read() == request
    elif how == "close":
        assert await reader.readexactly(len(request)) == request
    else:
        writer.transport.abort()
    writer.close()
    await writer.wait_closed()
    return how


def test_short_connections(drive: Driver) -> None:
    """A load generator's: 600, 32 at a time; nothing is kept of any."""

    async def main() -> None:
        async with drive.streams(echo) as (server, address):
            numbers = iter(range(600))

            async def work() -> list[str]:
                return [await exchange(number, address) for number in numbers]

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work()) for _ in range(32)]
            ends = [end for task in tasks for end in task.result()]
            assert {end: ends.count(end) for end in ends} == {
                "close": 200, "half-close": 200, "abort": 200,
            }  # fmt: skip
            while server._busy():
                await asyncio.sleep(0.001)

    drive(main)


def test_slow_readers_hold_up_nobody(drive: Driver) -> None:
    """Twenty peers that do not read; what is written for them waits, others are served."""

    async def main() -> None:
        waiting: set[Any] = set()

        async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            size = int.from_bytes(await reader.readexactly(4))
            waiting.add(writer)
            with contextlib.suppress(ConnectionError):  # those that never read reset
                for _ in range(size):
                    writer.write(BLOCK)
                    await writer.drain()
            waiting.discard(writer)
            writer.close()

        async with drive.streams(pour) as (_, address):
            pairs = await many(address, 20)
            for _, writer in pairs:
                writer.transport.set_write_buffer_limits(0)
                writer.write((40).to_bytes(4))
            await asyncio.sleep(0.5)
            assert len(waiting) == 20
            sizes = [writer.transport.get_write_buffer_size() for writer in waiting]
            assert max(sizes) <= 2 * len(BLOCK)
            ((reader, quick),) = await many(address, 1)
            quick.write((1).to_bytes(4))
            assert await reader.read() == BLOCK
            slow, _ = pairs[0]
            for _ in range(40):
                assert await slow.readexactly(len(BLOCK)) == BLOCK
            assert await slow.read() == b""
            quick.close()
            for _, writer in pairs:
                writer.transport.abort()

    drive(main)
