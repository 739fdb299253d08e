"""What an idle connection costs: resident memory of a process that holds many.

Each has exchanged a byte in both directions, so that nothing is left to be
made lazily.  The kernel's memory is not in it, which is the same for all.
"""

import gc
import os
import socket

from pyeno.bench import streams
from pyeno.bench.blocking import connected, echoed
from pyeno.bench.cpus import resident
from pyeno.bench.loops import Plain as LoopPlain
from pyeno.bench.loops import Streams
from pyeno.bench.pairs import Peer
from pyeno.bench.summary import Figures
from pyeno.bench.transports import Plain

WARM = 20
"""connections made before the first measurement: imports, pools, arenas"""


class Scale:
    """Bytes at both ends, from now until ``figures()``."""

    def __init__(self, peer: Peer) -> None:
        self._pids = os.getpid(), peer.pid
        self._before = self._resident()

    def _resident(self) -> list[int]:
        gc.collect()
        return [resident(pid) for pid in self._pids]

    def figures(self, count: int) -> Figures:
        """For each of ``count`` connections; ``bytes`` is the end that takes more."""
        near, far = (
            (now - before) / count
            for now, before in zip(self._resident(), self._before, strict=True)
        )
        return {"bytes": max(near, far), "near_bytes": near, "far_bytes": far}


def near(transport: Plain, peer: Peer, count: int) -> Figures:
    """Blocking sockets."""

    def opened() -> socket.socket:
        sock = connected(transport, peer)
        echoed(transport, sock)
        return sock

    held = [opened() for _ in range(WARM)]
    scale = Scale(peer)
    held += [opened() for _ in range(count)]
    return scale.figures(count)


def far(transport: Plain, listener: socket.socket, count: int) -> None:
    """Echo one byte of each connection and keep it."""
    held = []
    while True:
        sock = transport.accept(listener)
        sock.sendall(sock.recv(1))
        held.append(sock)


async def near_streams(transport: LoopPlain, peer: Peer, count: int) -> Figures:
    """asyncio streams; the far end is that of the fresh connections."""

    async def opened() -> Streams:
        reader, writer = await streams.connected(transport, peer)
        writer.write(b"a")
        await streams.expect(reader, b"a")
        return reader, writer

    held = [await opened() for _ in range(WARM)]
    scale = Scale(peer)
    held += [await opened() for _ in range(count)]
    figures = scale.figures(count)
    streams.drop(held)
    return figures
