"""The scenarios over asyncio streams: what each end does in one run.

The same exchanges as in ``blocking.py``, on one event loop at each end.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from pyeno.bench.blocking import DONE, READ, ended, latency
from pyeno.bench.cpus import Stopwatch
from pyeno.bench.loops import Plain, Streams
from pyeno.bench.pairs import Peer
from pyeno.bench.summary import Figures

Near = Callable[[Plain, Peer, int], Awaitable[Figures]]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


async def connected(transport: Plain, peer: Peer) -> Streams:
    """One connection, ready for data, and what it should be."""
    reader, writer = await transport.connect(peer.address)
    transport.check(writer)
    return reader, writer


def drop(crowd: Iterable[Streams]) -> None:
    """Reset them all."""
    for _, writer in crowd:
        writer.transport.abort()


async def write(writer: asyncio.StreamWriter, size: int, amount: int) -> None:
    """``amount`` bytes in writes of ``size``, each of them drained."""
    data = bytes(size)
    for _ in range(amount // size):
        writer.write(data)
        await writer.drain()


async def read(reader: asyncio.StreamReader, amount: int) -> None:
    """So many bytes, as they come."""
    while amount > 0:
        data = await reader.read(min(READ, amount))
        if not data:
            raise ended()
        amount -= len(data)


async def expect(reader: asyncio.StreamReader, byte: bytes) -> None:
    """This one byte."""
    if await reader.read(1) != byte:
        raise ended()


# -- one way, both ways --------------------------------------------------------------


def near_stream(size: int) -> Near:
    """Send ``amount`` bytes in writes of ``size``; done when the last has arrived."""

    async def near(transport: Plain, peer: Peer, amount: int) -> Figures:
        reader, writer = await connected(transport, peer)
        with Stopwatch(peer.pid) as watch:
            await write(writer, size, amount)
            await expect(reader, DONE)
        return watch.figures(amount)

    return near


async def far_stream(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, amount: int
) -> None:
    """Receive so many bytes, then say so."""
    await read(reader, amount)
    writer.write(DONE)
    await reader.read(1)


def near_duplex(size: int) -> Near:
    """``amount`` bytes, half of them in each direction, in writes of ``size``."""

    async def near(transport: Plain, peer: Peer, amount: int) -> Figures:
        reader, writer = await connected(transport, peer)
        with Stopwatch(peer.pid) as watch:
            await asyncio.gather(write(writer, size, amount // 2), read(reader, amount // 2))
            await expect(reader, DONE)
        return watch.figures(amount)

    return near


def far_duplex(size: int) -> Handler:
    """The other half."""

    async def far(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, amount: int
    ) -> None:
        await asyncio.gather(write(writer, size, amount // 2), read(reader, amount // 2))
        writer.write(DONE)
        await reader.read(1)

    return far


# -- requests and answers ------------------------------------------------------------


async def near_ping_pong(transport: Plain, peer: Peer, amount: int) -> Figures:
    """``amount`` round trips of one byte, each one timed."""
    times, clock = [], time.perf_counter_ns
    reader, writer = await connected(transport, peer)
    with Stopwatch(peer.pid) as watch:
        for _ in range(amount):
            begun = clock()
            writer.write(b"a")
            await expect(reader, b"a")
            times.append(clock() - begun)
    return watch.figures(amount) | latency(times)


async def far_echo(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, amount: int
) -> None:
    """Send back what comes, until the end of the stream."""
    while data := await reader.read(1):
        writer.write(data)
    writer.close()


async def near_fresh(transport: Plain, peer: Peer, amount: int) -> Figures:
    """Connect, one byte echoed, close; one after another."""
    _, writer = await connected(transport, peer)
    writer.close()
    with Stopwatch(peer.pid) as watch:
        for _ in range(amount):
            reader, writer = await transport.connect(peer.address)
            writer.write(b"a")
            await expect(reader, b"a")
            writer.close()
            await writer.wait_closed()
    return watch.figures(amount)
