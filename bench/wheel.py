"""What users install against what was measured: a wheel beside pip's own build.

Run by the Python of an environment that holds the wheel; ``--against`` is the
Python of one that holds what ``pip install`` makes of the sources on this
machine.  The stages of the compiled core, in a process of each environment, and
``pyeno bench --scenario bulk-1m`` of each are measured in turn, round by round.
Needs what ``pyeno bench`` needs: an attached ENO, or root.

    python bench/wheel.py --against OTHER/bin/python [--rounds 7] [--least 0.9]
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from pyeno.bench.machine import describe
from pyeno.bench.summary import summary
from pyeno.bench.workers import Worker

WHEEL, SOURCES = "wheel", "sources"
RESULT = Path(__file__).parent / "results" / "wheel.json"
BULK, BULK_ROUNDS = "bulk-1m", 3
STAGE_SECONDS = 0.03
BENCH_SECONDS = 120.0
PER_SECOND = "bytes/s"
"""the one unit of which more is better"""

Figures = dict[str, dict[str, list[float]]]
"""of each round, by name and build"""


def in_turn(rounds: int) -> Iterator[tuple[str, str]]:
    """Which build goes first, which second."""
    for turn in range(rounds):
        yield (WHEEL, SOURCES) if turn % 2 else (SOURCES, WHEEL)
        print(f"round {turn + 1} of {rounds} done", file=sys.stderr)


def measure_stages(pythons: dict[str, str], rounds: int) -> Figures:
    """Nanoseconds of every case that ``pyeno bench`` has."""
    cpu = max(os.sched_getaffinity(0))
    figures: Figures = {}
    for order in in_turn(rounds):
        # new processes: where memory happens to lie favours one or the other
        with ExitStack() as stack:
            workers = {
                build: stack.enter_context(Worker("native", cpu, python)).ready()
                for build, python in pythons.items()
            }
            for case in workers[WHEEL].cases:
                row = figures.setdefault(f"{case}, ns", {build: [] for build in pythons})
                for build in order:
                    row[build].append(workers[build].run(case, STAGE_SECONDS))
    return figures


def bulk(python: str) -> dict[str, float]:
    """One round of ``pyeno bench``: its encrypted blocking connections."""
    command = [python, "-m", "pyeno", "bench", "--scenario", BULK, "--rounds", "1", "--json"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, text=True, timeout=BENCH_SECONDS
    )
    transports = json.loads(done.stdout)["scenarios"][BULK]["transports"]
    figures = {}
    for name, row in transports.items():
        if name.startswith("pyeno-"):
            figures[f"{BULK}, {name}, {PER_SECOND}"] = row["rounds"][0]["per_second"]
            figures[f"{BULK}, {name}, CPU ns a byte"] = row["rounds"][0]["cpu_ns"]
    return figures


def measure_bulk(pythons: dict[str, str], rounds: int) -> Figures:
    """Over loopback, through the public API."""
    figures: Figures = {}
    for order in in_turn(rounds):
        for build in order:
            for name, value in bulk(pythons[build]).items():
                row = figures.setdefault(name, {build: [] for build in pythons})
                row[build].append(value)
    return figures


def compared(name: str, rows: dict[str, list[float]]) -> dict[str, Any]:
    """Medians and spread, and how fast the wheel is, above 1 being faster: in the
    median of the rounds, in each of which one followed the other at once, and at best."""
    more = name.endswith(PER_SECOND)
    report: dict[str, Any] = {build: summary(values) for build, values in rows.items()}
    best = "max" if more else "min"
    ratios = {
        "median": median(w / s for w, s in zip(rows[WHEEL], rows[SOURCES], strict=True)),
        "best": report[WHEEL][best] / report[SOURCES][best],
    }
    return report | {"speed": {of: r if more else 1 / r for of, r in ratios.items()}}


def line(name: str, row: dict[str, Any]) -> str:
    wheel, sources, speed = row[WHEEL]["median"], row[SOURCES]["median"], row["speed"]
    return (
        f"{name:<55} wheel {wheel:>15,.4g} sources {sources:>15,.4g}"
        f"  speed {speed['median']:.2f} (best rounds {speed['best']:.2f})"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", required=True, help="Python of the other environment")
    parser.add_argument("--rounds", type=int, default=7, help="of the stages")
    parser.add_argument(
        "--least", type=float, default=0.0, help="overall speed below which it fails"
    )
    options = parser.parse_args()
    # neither must import the source tree it happens to be started in
    os.environ["PYTHONSAFEPATH"] = "1"
    pythons = {WHEEL: sys.executable, SOURCES: options.against}
    figures = measure_stages(pythons, options.rounds) | measure_bulk(pythons, BULK_ROUNDS)
    report = {name: compared(name, rows) for name, rows in figures.items()}
    for name, row in report.items():
        print(line(name, row))
    document = {"machine": describe(), "figures": report}
    RESULT.write_text(json.dumps(document, indent=1) + "\n")
    print(RESULT)
    # of all: on a busy machine any one may be off by a third in either direction
    overall = geometric_mean(max(row["speed"].values()) for row in report.values())
    print(f"overall speed {overall:.2f}")
    if overall < options.least:
        print(f"bench: the wheel is too slow: {overall:.2f} < {options.least}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
