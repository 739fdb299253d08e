"""What transparent encryption costs: relays at both ends beside stunnel, beside none.

In one run, between two network namespaces: bulk data, new connections, memory of
a connection, redis-benchmark and pgbench; over plain TCP, through `pyeno run` at
both ends, through a pair of stunnel (TLS 1.3) in the same places, and, for Python
programs, `pyeno run --in-process`.  The near host's programs share one processor,
the far host's another.  Root; Debian's stunnel4, redis and postgresql.

    python bench/relays.py [--rounds 5] [--seconds 0.5] [--output FILE]
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from relay_places import Place, Places

from pyeno.bench.cpus import resident
from pyeno.bench.machine import describe
from pyeno.bench.summary import ratio, summary

RESULT = Path(__file__).parent / "results" / "relays.json"
PLAIN, RELAYS, STUNNEL, IN_PROCESS = "plain", "relays", "stunnel", "in-process"
FIRST = {"bulk": 64 << 20, "connections": 100}
"""the amount of the warm-up"""
HELD = 200
"""connections that memory is measured with"""

Figures = dict[str, float]
Rounds = dict[str, dict[str, list[Figures]]]
"""by scenario and place"""


class Bench:
    """All scenarios over all places, and what came of them."""

    def __init__(self, places: Places, seconds: float) -> None:
        self._places = places
        self._seconds = seconds
        self._amounts: dict[tuple[str, str], int] = {}
        self.rounds: Rounds = {}

    def scenarios(self) -> Iterator[tuple[str, Place, Callable[[Place], Figures]]]:
        for kind in FIRST:
            for name in (PLAIN, RELAYS, STUNNEL, IN_PROCESS):
                yield kind, self._places[name], lambda place, kind=kind: self._ends(kind, place)
        for kind, measure in (("redis", self._redis), ("pgbench", self._pgbench)):
            for name in (PLAIN, RELAYS, STUNNEL):
                yield kind, self._places[name], measure

    def round(self, *, warm_up: bool = False) -> None:
        """Every scenario in every place, in turn."""
        for kind, place, measure in self.scenarios():
            figures = measure(place)
            key = kind, place.name
            if key[0] in FIRST:
                self._amounts[key] = max(1, int(figures["per_second"] * self._seconds))
            if not warm_up:
                self.rounds.setdefault(kind, {}).setdefault(place.name, []).append(figures)

    def _ends(self, kind: str, place: Place) -> Figures:
        amount = self._amounts.get((kind, place.name), FIRST[kind])
        figures: Figures = json.loads(place.ends(kind, amount))
        return figures

    def _redis(self, place: Place) -> Figures:
        host, port = place.address("redis")
        many = int(20000 * self._seconds)
        words = ["redis-benchmark", "-h", host, "-p", port, "-t", "get", "-c", 20, "-n", many]
        rows = place.near([*words, "--csv"]).decode().splitlines()
        row = dict(zip(*(line.replace('"', "").split(",") for line in rows[:2]), strict=True))
        return {"per_second": float(row["rps"]), "p50_ms": float(row["p50_latency_ms"])}

    def _pgbench(self, place: Place) -> Figures:
        host, port = place.address("postgres")
        many = int(1000 * self._seconds)
        words = [self._places.postgres("pgbench"), "-h", host, "-p", port, "-U", "postgres"]
        out = place.near([*words, "-n", "-S", "-c", 4, "-t", many, "postgres"]).decode()
        (rate,) = (line.split()[2] for line in out.splitlines() if line.startswith("tps"))
        return {"per_second": float(rate)}


def memory(place: Place) -> dict[str, Figures]:
    """Bytes of a connection at the end that takes more, idle and with all that it takes
    waiting to be read."""
    found = {}
    with held(place, 1 + HELD) as process:
        pids = place.between()
        # what the first connection loads is no connection's
        before = {pid: resident(pid) for pid in pids}
        for state in ("idle", "active"):
            say(process)
            growth = dict.fromkeys(pids.values(), 0)
            for pid, side in pids.items():
                growth[side] += resident(pid) - before[pid]
            found[state] = {"bytes": max(growth.values()) / HELD}
    return found


@contextmanager
def held(place: Place, many: int) -> Iterator["subprocess.Popen[bytes]"]:
    """So many connections, of which the first is there."""
    with place.holding(many) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


def say(process: "subprocess.Popen[bytes]") -> None:
    """Let it go on to the next state, and wait until it is there."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    process.stdout.readline()


def document(bench: Bench, held_bytes: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """Medians, ratios and every round."""
    scenarios: dict[str, Any] = {}
    for kind, places in bench.rounds.items():
        medians = {
            place: summary(row["per_second"] for row in rows)["median"]
            for place, rows in places.items()
        }
        scenarios[kind] = {
            place: {
                "summary": summary(row["per_second"] for row in rows),
                "against_plain": ratio(medians[place], medians[PLAIN]),
                "against_stunnel": ratio(medians[place], medians[STUNNEL]),
                "rounds": rows,
            }
            for place, rows in places.items()
        }
    return told | {"scenarios": scenarios, "memory": held_bytes}


def lines(found: dict[str, Any]) -> Iterator[str]:
    """For people."""
    for kind, places in found["scenarios"].items():
        for place, row in places.items():
            yield (
                f"{kind:<12} {place:<11} {row['summary']['median']:>16,.0f} /s  "
                f"{row['against_plain']:.2f} x plain  {row['against_stunnel']:.2f} x stunnel"
            )
    for place, states in found["memory"].items():
        for state, row in states.items():
            yield f"memory       {place:<11} {row['bytes']:>16,.0f} bytes, {state}"


def version(*command: str) -> str:
    """The line of a program's own words that says which it is."""
    done = subprocess.run(command, capture_output=True, text=True)
    return next(line for line in (done.stdout + done.stderr).splitlines() if line.strip())


def versions(places: Places) -> dict[str, str]:
    return {
        "stunnel": version("stunnel4", "-version"),
        "redis": version("redis-server", "--version"),
        "postgresql": version(places.postgres("postgres"), "--version"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a run (default 0.5)")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    begun = time.monotonic()
    with ExitStack() as stack:
        places = stack.enter_context(Places())
        told = {"machine": describe() | versions(places), "rounds": options.rounds}
        bench = Bench(places, options.seconds)
        bench.round(warm_up=True)
        for number in range(options.rounds):
            print(f"round {number + 1}, {time.monotonic() - begun:.0f} s", file=sys.stderr)
            bench.round()
        held_bytes = {name: memory(places[name]) for name in (RELAYS, STUNNEL)}
    found = document(bench, held_bytes, told)
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    for line in lines(found):
        print(line)


if __name__ == "__main__":
    main()
