"""Interleaved rounds: in each, every transport runs every scenario once, in turn,
so that what else the machine does hits all alike."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from pyeno.bench import workers
from pyeno.bench.cpus import Cpus
from pyeno.bench.errors import BenchError
from pyeno.bench.kinds import Kind
from pyeno.bench.pairs import run_pair
from pyeno.bench.places import Place
from pyeno.bench.scenarios import Meeting, Scenario
from pyeno.bench.summary import Figures

Say = Callable[[str], None]
GROWTH, WARM_UPS = 16, 5
"""by how much an amount may grow from one warm-up to the next, and how many there are"""
LIMIT = 240.0
"""seconds that no run takes"""


class Settings(NamedTuple):
    """How much is measured."""

    rounds: int = 5
    seconds: float = 0.3
    """that a run is to last"""
    stage_seconds: float = 0.04
    budget: float | None = None
    """seconds for warm-up and rounds, of which one is measured in any case"""


class Cell:
    """One scenario on one transport, and its rounds so far."""

    def __init__(self, scenario: Scenario, kind: Kind) -> None:
        self.scenario, self.kind = scenario, kind
        self.rounds: list[dict[str, Figures]] = []
        self._amount = scenario.amount

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.scenario.name}, {self.kind.name}"

    def warm_up(self, place: Place, cpus: Cpus, seconds: float) -> None:
        """Find the amount that takes so long."""
        if self._amount is not None:
            return
        self._amount = self.scenario.start
        for _ in range(WARM_UPS):
            before, figures = self._amount, self._run(place, cpus)[self.scenario.name]
            wish = figures["per_second"] * seconds
            # one interruption in a short run says little about a long one
            self._amount = self._fitting(min(wish, before * GROWTH))
            if figures["seconds"] >= seconds / 4:
                return

    def run(self, place: Place, cpus: Cpus, seconds: float) -> None:
        """One round more."""
        result = self._run(place, cpus)
        self.rounds.append(result)
        if self.scenario.amount is None:
            self._amount = self._fitting(result[self.scenario.name]["per_second"] * seconds)

    def _fitting(self, amount: float) -> int:
        unit = self.scenario.unit
        return max(1, int(amount) // unit) * unit

    def _run(self, place: Place, cpus: Cpus) -> dict[str, Figures]:
        assert self._amount is not None
        where = cpus.together if self.scenario.one_cpu else cpus
        try:
            result: dict[str, Figures] = run_pair(
                Meeting(self.scenario, self.kind, self._amount), place, where, LIMIT
            )
        except BenchError as error:
            raise BenchError(f"{self.name}: {error}") from None
        return result


def cells(scenarios: Sequence[Scenario], kinds: Sequence[Kind]) -> list[Cell]:
    """Every scenario on every transport that it is for."""
    return [
        Cell(scenario, kind)
        for scenario in scenarios
        for kind in kinds
        if scenario.pair(kind) is not None
    ]


def measure(
    table: Sequence[Cell], place: Place, cpus: Cpus, settings: Settings, say: Say
) -> int:
    """Fill the cells; how many rounds there were.  BenchError, OSError."""
    begun = time.monotonic()
    for cell in table:
        say(f"warming up: {cell.name}")
        cell.warm_up(place, cpus, settings.seconds)
    for turn in _turns(settings, begun):
        for cell in table:
            say(f"round {turn}: {cell.name}")
            cell.run(place, cpus, settings.seconds)
    return turn


def measure_stages(
    cpus: Cpus, settings: Settings, notes: list[str], say: Say
) -> dict[str, dict[str, list[float]]]:
    """Nanoseconds of each round by case and implementation."""
    with ExitStack() as stack:
        say("stages")
        able = workers.start(stack, cpus.far, notes)
        figures: dict[str, dict[str, list[float]]] = {}
        for worker in able:
            for case in worker.cases:
                figures.setdefault(case, {})[worker.name] = []
        by_name = {worker.name: worker for worker in able}
        for turn in range(settings.rounds):
            say(f"round {turn + 1}: stages")
            for case, row in figures.items():
                for name, values in row.items():
                    values.append(by_name[name].run(case, settings.stage_seconds))
    return figures


def _turns(settings: Settings, begun: float) -> Iterator[int]:
    """Numbers from 1, as many as wanted and as there is time for."""
    first = time.monotonic()
    for turn in range(1, settings.rounds + 1):
        yield turn
        now = time.monotonic()
        if settings.budget and now + (now - first) / turn > begun + settings.budget:
            return
