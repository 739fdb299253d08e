"""Bulk over asyncio streams: pyeno beside the loop's plain TCP and its TLS 1.3,
on the standard loop and on uvloop, over loopback.

Two processes pinned to two CPUs, one event loop each; in every round each
transport runs once, in turn.  Beside bytes per second of wall time: bytes per
second of each end's CPU time, of which the lower bounds the former on a quiet
machine, and which a busy one disturbs less.  pyeno must be attached
(``pyeno attach``).

    python bench/loops.py [--rounds 5] [--size 262144]
"""

import argparse
import asyncio
import os
import socket
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop
from machine import keep, summary
from macro import FAR, HOST, NEAR, forked
from transports import Tls

import pyeno

TOTAL = 1 << 28
FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
TLS = Tls()
REQUIRE = pyeno.Config(require=True)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Plain:
    """The loop's own streams."""

    name = "plain"

    async def serve(self, handler: Handler, listener: socket.socket) -> Any:
        return await asyncio.start_server(handler, sock=listener)

    async def connect(self, address: Any) -> Any:
        return await asyncio.open_connection(*address)

    def listen(self) -> socket.socket:
        return socket.create_server((HOST, 0))


class LoopTls(Plain):
    """The loop's own TLS 1.3."""

    name = "tls1.3"

    async def serve(self, handler: Handler, listener: socket.socket) -> Any:
        return await asyncio.start_server(handler, sock=listener, ssl=TLS.passive)

    async def connect(self, address: Any) -> Any:
        context: ssl.SSLContext = TLS.active
        return await asyncio.open_connection(*address, ssl=context, server_hostname="bench")


class Eno(Plain):
    """pyeno; a connection that is not encrypted is an error, not a result."""

    name = "pyeno"

    async def serve(self, handler: Handler, listener: socket.socket) -> Any:
        return await pyeno.start_server(handler, sock=listener)

    async def connect(self, address: Any) -> Any:
        return await pyeno.open_connection(*address, config=REQUIRE)

    def listen(self) -> socket.socket:
        return pyeno.create_server((HOST, 0), config=REQUIRE)


def run(factory: Callable[[], Any], main: Awaitable[float]) -> tuple[float, float]:
    """What it returns, and the CPU seconds it took."""

    async def timed() -> tuple[float, float]:
        started = time.process_time()
        return await main, time.process_time() - started

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(timed())


async def receive(transport: Plain, listener: socket.socket) -> float:
    done = asyncio.get_running_loop().create_future()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        total = 0
        while total < TOTAL:
            total += len(await reader.read(1 << 18))
        writer.write(b"!")
        await reader.read(1)
        writer.close()
        done.set_result(None)

    server = await transport.serve(handler, listener)
    await done
    server.close()
    return 0.0


async def send(transport: Plain, address: Any, size: int) -> float:
    reader, writer = await transport.connect(address)
    data = bytes(size)
    started = time.perf_counter()
    for _ in range(TOTAL // size):
        writer.write(data)
        await writer.drain()
    assert await reader.read(1) == b"!"
    elapsed = time.perf_counter() - started
    writer.close()
    return TOTAL / elapsed


def bulk(transport: Plain, factory: Callable[[], Any], size: int) -> dict[str, float]:
    """Bytes per second: of wall time, of the sender's CPU, of the receiver's."""
    source, sink = os.pipe()
    with transport.listen() as listener:

        def far() -> None:
            listener.setblocking(False)
            _, cpu = run(factory, receive(transport, listener))
            os.write(sink, str(cpu).encode())

        pid = forked(far)
        wall, near = run(factory, send(transport, listener.getsockname(), size))
        os.waitpid(pid, 0)
    cpu = float(os.read(source, 100))
    os.close(source)
    os.close(sink)
    return {"wall": wall, "sender": TOTAL / near, "receiver": TOTAL / cpu}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=1 << 18, help="bytes in one write")
    parser.add_argument("--name", default="loops", help="of the file under results/")
    options = parser.parse_args()
    os.sched_setaffinity(0, {NEAR})
    report: dict[str, Any] = {"size": options.size, "cpus": [NEAR, FAR]}
    for loop, factory in FACTORIES.items():
        transports = [Plain(), LoopTls(), Eno()]
        rounds: dict[str, list[dict[str, float]]] = {each.name: [] for each in transports}
        for turn in range(options.rounds):
            for transport in transports:
                rounds[transport.name].append(bulk(transport, factory, options.size))
            print(f"{loop}: round {turn + 1} of {options.rounds} done", file=sys.stderr)
        report[loop] = {
            name: {what: summary(row[what] for row in rows) for what in rows[0]}
            for name, rows in rounds.items()
        }
        for name, rows in report[loop].items():
            figures = "  ".join(
                f"{what} {row['median'] / 1e9:5.2f} GB/s"
                f" {row['median'] / report[loop]['plain'][what]['median']:5.2f} plain"
                f" {row['median'] / report[loop]['tls1.3'][what]['median']:5.2f} TLS"
                for what, row in rows.items()
            )
            print(f"{loop:<8} {name:<7} {figures}")
    print(keep(options.name, {"what": __doc__, "figures": report}))


if __name__ == "__main__":
    main()
