"""Many connections at once in one event loop at each end, while data flow.

One run goes through all levels: it opens connections up to the first, lets the
same number of messages go round all of them, opens more up to the next, and so
on.  The same number of messages is on its way at any moment, over some of the
connections, as with a server.  What a byte costs should not depend on the level.
"""

import asyncio
import itertools
from pathlib import Path

from pyeno.bench.blocking import DONE, ended
from pyeno.bench.cpus import Stopwatch, resident
from pyeno.bench.loops import Plain, Streams
from pyeno.bench.pairs import Peer
from pyeno.bench.streams import connected, drop, expect
from pyeno.bench.summary import Figures

MESSAGE = 1 << 14
"""bytes in one message, which the far end answers by one byte"""
BUSY = 32
"""connections that are being opened, or messages that wait for an answer, at a time"""

OPENING_SECONDS, MEMORY_SHARE = 60.0, 0.6
"""a level that would take longer to reach, or more of the free memory, is left out"""


async def near(
    transport: Plain, peer: Peer, levels: tuple[int, ...], messages: int
) -> dict[str, Figures]:
    """The figures of each level that is feasible, by its number of connections."""
    _, first = await connected(transport, peer)
    first.close()
    crowd: list[Streams] = []
    before = resident(peer.pid)
    figures: dict[str, Figures] = {}
    for level in levels:
        opened = level - len(crowd)
        if figures and not feasible(level, opened, figures[str(len(crowd))]):
            break
        with Stopwatch(peer.pid) as opening:
            await grow(transport, peer, crowd, opened)
        sent = max(level, messages)
        with Stopwatch(peer.pid) as flowing:
            await flow(crowd, sent)
        figures[str(level)] = flowing.figures(sent * MESSAGE) | {
            "opened_per_second": opened / opening.seconds,
            "opened_cpu_us": opening.cpu / opened * 1e6,
            "far_bytes": (resident(peer.pid) - before) / level,
        }
    drop(crowd)
    return figures


def feasible(level: int, more: int, last: Figures) -> bool:
    """Whether so many are opened in time and leave the host some memory, both ends
    needing what each connection has needed so far."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    words = next(line for line in lines if line.startswith("MemAvailable")).split()
    available = int(words[1]) * 1024
    return (
        more / last["opened_per_second"] < OPENING_SECONDS
        and 2 * level * last["far_bytes"] < available * MEMORY_SHARE
    )


async def grow(transport: Plain, peer: Peer, crowd: list[Streams], count: int) -> None:
    """Open ``count`` more."""
    while count > 0:
        some = min(count, BUSY)
        crowd += await asyncio.gather(*(connected(transport, peer) for _ in range(some)))
        count -= some


async def flow(crowd: list[Streams], messages: int) -> None:
    """So many messages, each connection in its turn, BUSY of them unanswered."""
    message = bytes(MESSAGE)
    turns = iter(range(messages))
    senders = min(BUSY, len(crowd))
    window = BUSY // senders

    async def send(first: int) -> None:
        # every sender has connections of its own
        for reader, writer in itertools.cycle(crowd[first::senders]):
            unanswered = 0
            for _ in itertools.islice(turns, window):
                writer.write(message)
                unanswered += 1
            if not unanswered:
                return
            for _ in range(unanswered):
                await expect(reader, DONE)

    await asyncio.gather(*map(send, range(senders)))


async def far(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, amount: int) -> None:
    """Take messages, answer each."""
    try:
        while await reader.readexactly(MESSAGE):
            writer.write(DONE)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise ended() from None
