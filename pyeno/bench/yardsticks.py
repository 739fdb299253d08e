"""What pyeno is to reach beside what one would pick instead, and what was measured.

Ratios of medians of one run.  They are told, not judged: a yardstick that is
missed is no failure of the benchmark.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pyeno.bench.stages import frame_case
from pyeno.bench.summary import ratio
from pyeno.constants import Aead

Document = Mapping[str, Any]
FLAT = 1.2
"""growth from one connection to many"""
IDLE_BYTES = 8192


class Yardstick(NamedTuple):
    """One wish."""

    scenario: str
    transport: str
    against: str
    bound: str
    """``at least`` or ``at most``"""
    wanted: float
    measured: float | None
    """None: one of the two was not measured"""
    unit: str = "×"
    plain: float | None = None
    """the same of plain TCP, where that tells what can be reached"""

    @property
    def reached(self) -> bool | None:
        """None: not known."""
        if self.measured is None:
            return None
        more = self.measured >= self.wanted
        return more if self.bound == "at least" else self.measured <= self.wanted

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return self._asdict() | {"reached": self.reached}


# scenario, family, against plain, against TLS
_SPEED = (
    ("bulk-1m", "sockets", 0.80, 3.0),
    ("bulk-256k", "sockets", 0.85, 1.6),
    ("bulk-256k", "asyncio", 0.7, 3.0),
    ("bulk-256k", "uvloop", 0.9, 1.25),
    ("pipelined", "sockets", None, 2.0),
    ("fresh", "sockets", None, 2.5),
    ("resumed", "sockets", 0.6, 6.0),
)
_LATENCY = (("ping-pong-1cpu", "sockets", 1.25, 0.8),)
_STAGES: tuple[tuple[Callable[[Aead], str], float], ...] = (
    (lambda aead: "option: parse", 30.0),
    (lambda aead: frame_case(aead, 64), 20.0),
)


def yardsticks(document: Document) -> list[Yardstick]:
    """All of them, in the order in which they were set."""
    return [
        *_speed(document),
        *_idle(document),
        *_stages(document),
        *_flat(document, "cpu_ns", "a byte", 1),
        *_flat(document, "opened_cpu_us", "a new connection", 100),
    ]


def median(document: Document, part: str, transport: str, figure: str = "") -> float | None:
    """Of a part's figure (default: the one that counts); None if it was not measured."""
    block = document["scenarios"].get(part)
    row = block and block["transports"].get(transport)
    return row["summary"][figure or block["figure"]]["median"] if row else None


def _names(document: Document, family: str) -> dict[str, str]:
    """The rows compared in a family: plain, tls, pyeno."""
    names: dict[str, str] = document["compared"].get(family, {})
    return names


def _speed(document: Document) -> Iterator[Yardstick]:
    rows = [(*row, "at least") for row in _SPEED] + [(*row, "at most") for row in _LATENCY]
    for part, family, plain, tls, bound in rows:
        names = _names(document, family)
        for what, wanted in (("tls", tls), ("plain", plain)):
            if wanted is None or not names:
                continue
            ours, theirs = (median(document, part, names[n]) for n in ("pyeno", what))
            measured = ratio(ours, theirs) if ours and theirs else None
            yield Yardstick(part, names["pyeno"], names[what], bound, wanted, measured)


def _idle(document: Document) -> Iterator[Yardstick]:
    for family in ("sockets", "asyncio"):
        names = _names(document, family)
        if not names:
            continue
        ours, plain = (median(document, "idle", names[n]) for n in ("pyeno", "plain"))
        measured = None if ours is None or plain is None else ours - plain
        yield Yardstick(
            "idle", names["pyeno"], f"above {names['plain']}", "at most", IDLE_BYTES, measured,
            "bytes",
        )  # fmt: skip


def _stages(document: Document) -> Iterator[Yardstick]:
    aead = Aead[document["machine"]["aead"]]
    for name_of, wanted in _STAGES:
        name = name_of(aead)
        rows = document["stages"].get(name, {})
        one, other = (rows.get(twin, {}).get("summary") for twin in ("pure", "native"))
        measured = ratio(one["median"], other["median"]) if one and other else None
        yield Yardstick(name, "native", "pure", "at least", wanted, measured)


def _flat(document: Document, figure: str, what: str, least: int) -> Iterator[Yardstick]:
    """The greatest cost among levels of ``least`` or more connections, against the least
    cost; plain TCP's own growth is told beside it."""
    for family in ("asyncio", "uvloop"):
        names = _names(document, family)
        if not names:
            continue
        ours, plain = (_growth(document, names[n], figure, least) for n in ("pyeno", "plain"))
        against = f"itself, {what}, as connections grow"
        yield Yardstick("crowd", names["pyeno"], against, "at most", FLAT, ours, plain=plain)


def _growth(document: Document, name: str, figure: str, least: int) -> float | None:
    levels = [part for part in document["scenarios"] if part.startswith("crowd-")]
    parts = [part for part in levels if int(part.removeprefix("crowd-")) >= least]
    costs = [cost for part in parts if (cost := median(document, part, name, figure))]
    return max(costs) / min(costs) if len(costs) > 1 else None
