"""The list of scenarios, and how a scenario meets a transport in one run."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pyeno.bench import blocking, crowd, idle, streams
from pyeno.bench.errors import BenchError
from pyeno.bench.kinds import Kind
from pyeno.bench.loops import factory
from pyeno.bench.pairs import Peer
from pyeno.bench.summary import Figures

KIB, MIB = 1 << 10, 1 << 20
STAGES = "stages"
"""the one that is no scenario of two ends: see ``stages.py``"""
QUICK = (
    "bulk-1m", "bulk-256k", "pipelined", "ping-pong-1cpu", "fresh", "resumed", "crowd", "idle",
    STAGES,
)  # fmt: skip
"""what ``--quick`` measures unless told otherwise"""


class Part(NamedTuple):
    """One block of the table: what a run of a scenario gives for it."""

    name: str
    title: str
    figure: str
    """the one that counts"""
    unit: str
    less: bool = False
    """less of it is better"""
    beside: str | None = "cpu_ns"
    """another one that is shown"""


class Pair(NamedTuple):
    """Both ends of a scenario in one family of transports."""

    near: Callable[..., Any]
    far: Callable[..., Any]


@dataclass(frozen=True)
class Scenario:
    """What is done; ``amount`` is fixed or, if None, found so that a run lasts."""

    name: str
    parts: tuple[Part, ...]
    sockets: Pair | None
    loops: Pair | None
    amount: int | None = None
    unit: int = 1
    """an adapted amount is a multiple of this"""
    start: int = 1
    """the first amount to try"""
    one_cpu: bool = False
    resume: bool = False
    levels: tuple[int, ...] = ()
    """of the crowd, which has a part for each"""

    @property
    def connections(self) -> int:
        """That one process holds at the same time."""
        if self.levels:
            return max(self.levels)
        return self.amount + idle.WARM if self.amount is not None else 1

    def within(self, allowed: int) -> "Scenario":
        """The same with no more connections than that."""
        if self.connections <= allowed:
            return self
        if not self.levels:
            return replace(self, amount=max(1, allowed - idle.WARM))
        levels = tuple(n for n in self.levels if n <= allowed) or (1,)
        return replace(self, levels=levels, parts=self.parts[: len(levels)])

    def pair(self, kind: Kind) -> Pair | None:
        """What a kind of transport does; None: nothing."""
        return self.sockets if kind.family == "sockets" else self.loops


class Meeting:
    """One scenario on one transport with one amount (:class:`pyeno.bench.pairs.Run`)."""

    def __init__(self, scenario: Scenario, kind: Kind, amount: int) -> None:
        self.eno = kind.eno
        pair = scenario.pair(kind)
        if pair is None:
            raise BenchError(f"{scenario.name} is not for {kind.name}")
        self._scenario, self._kind, self._pair, self._amount = scenario, kind, pair, amount

    def near(self, peer: Peer) -> dict[str, Figures]:
        """The figures of each part."""
        scenario, transport = self._scenario, self._kind.make(self._scenario.resume)
        if scenario.levels:
            figures = self._run(crowd.near(transport, peer, scenario.levels, self._amount))
            return {f"{scenario.name}-{level}": row for level, row in figures.items()}
        result = self._pair.near(transport, peer, self._amount)
        if self._kind.family != "sockets":
            result = self._run(result)
        return {scenario.name: result}

    def far(self, host: str, announce: Callable[[int], None]) -> None:
        """Serve until killed."""
        transport = self._kind.make(self._scenario.resume)
        listener = transport.listen(host)
        if self._kind.family != "sockets":
            self._run(self._serve(transport, listener, announce))
            return
        announce(listener.getsockname()[1])
        self._pair.far(transport, listener, self._amount)

    async def _serve(self, transport: Any, listener: Any, announce: Any) -> None:
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._pair.far(reader, writer, self._amount)
            except Exception as error:
                if not failed.done():
                    failed.set_exception(error)

        listener.setblocking(False)
        server = await transport.serve(handler, listener)
        announce(listener.getsockname()[1])
        await failed
        server.close()

    def _run(self, main: Any) -> Any:
        # not closed: the process ends with the run, and uvloop closes no loop whose
        # connections are open
        self._loop = factory(self._kind.family)()
        asyncio.set_event_loop(self._loop)
        return self._loop.run_until_complete(main)


def _stream(name: str, title: str, size: int) -> Scenario:
    return Scenario(
        name,
        (Part(name, title, "per_second", "bytes/s"),),
        Pair(blocking.near_stream(size), blocking.far_stream),
        Pair(streams.near_stream(size), streams.far_stream),
        unit=size,
        start=2 * KIB * size if size < 16 * KIB else 16 * MIB,
    )


def _duplex(name: str, title: str, size: int) -> Scenario:
    return Scenario(
        name,
        (Part(name, title, "per_second", "bytes/s"),),
        Pair(blocking.near_duplex(size), blocking.far_duplex(size)),
        Pair(streams.near_duplex(size), streams.far_duplex(size)),
        unit=2 * size,
        start=16 * MIB,
    )


def _ping_pong(name: str, title: str, one_cpu: bool) -> Scenario:
    return Scenario(
        name,
        (Part(name, title, "p50_us", "µs", less=True, beside="p99_us"),),
        Pair(blocking.near_ping_pong, blocking.far_ping_pong),
        Pair(streams.near_ping_pong, streams.far_echo),
        start=500,
        one_cpu=one_cpu,
    )


def _connections(
    name: str, title: str, near: Any, loops: Pair | None, resume: bool
) -> Scenario:
    return Scenario(
        name,
        (Part(name, title, "per_second", "connections/s"),),
        Pair(near, blocking.far_echo),
        loops,
        start=30,
        resume=resume,
    )


def _crowd(levels: tuple[int, ...], messages: int) -> Scenario:
    return Scenario(
        "crowd",
        tuple(
            Part(
                f"crowd-{level}",
                f"{level:,} connection{'s' if level > 1 else ''} at once, 16 KiB messages",
                "cpu_ns",
                "CPU ns/byte",
                less=True,
                beside="per_second",
            )
            for level in levels
        ),
        None,
        Pair(crowd.near, crowd.far),
        amount=messages,
        levels=levels,
    )


def _idle(count: int) -> Scenario:
    title = "an idle connection, the end that takes more"
    return Scenario(
        "idle",
        (Part("idle", title, "bytes", "bytes", less=True, beside=None),),
        Pair(idle.near, idle.far),
        Pair(idle.near_streams, streams.far_echo),
        amount=count,
    )


def scenarios(quick: bool = False) -> list[Scenario]:
    """All of them; ``quick``: smaller crowds, fewer idle connections."""
    sizes = {"1m": MIB, "256k": 256 * KIB, "16k": 16 * KIB}
    words = {"1m": "1 MiB", "256k": "256 KiB", "16k": "16 KiB"}
    levels = (1, 100) if quick else (1, 100, 1000, 10000)
    return [
        *(_stream(f"bulk-{n}", f"bulk, {words[n]} writes", sizes[n]) for n in sizes),
        *(_duplex(f"duplex-{n}", f"both ways, {words[n]} writes", sizes[n]) for n in sizes),
        _stream("pipelined", "1 KiB messages, pipelined", KIB),
        _ping_pong("ping-pong-1cpu", "1-byte round trip, both ends on one CPU", True),
        _ping_pong("ping-pong-2cpu", "1-byte round trip, on two CPUs", False),
        _connections(
            "fresh", "connect, echo a byte, close", blocking.near_fresh,
            Pair(streams.near_fresh, streams.far_echo), False,
        ),
        _connections("resumed", "the same, resumed", blocking.near_resumed, None, True),
        _crowd(levels, 1000 if quick else 10000),
        _idle(200 if quick else 2000),
    ]  # fmt: skip


def names() -> dict[str, str]:
    """What ``--scenario`` takes, with a title for each."""
    found = {scenario.name: scenario.parts[0].title for scenario in scenarios()}
    found["crowd"] = "1 to 10,000 connections at once, 16 KiB messages"
    return found | {STAGES: "each stage, compiled and pure; options also by dpkt and scapy"}
