"""A whole benchmark, from settings to document."""

from typing import Any

from pyeno.bench.cpus import Cpus
from pyeno.bench.kinds import FAMILIES, kinds, preload
from pyeno.bench.machine import describe, installed
from pyeno.bench.places import place
from pyeno.bench.progress import Progress
from pyeno.bench.report import document
from pyeno.bench.rounds import Settings, cells, measure, measure_stages
from pyeno.bench.scenarios import QUICK, STAGES, Scenario, scenarios
from pyeno.limits import raise_limit

FULL = Settings()
SHORT = Settings(rounds=5, seconds=0.06, stage_seconds=0.005, budget=40.0)


def hold(
    wanted: tuple[str, ...] | None, rounds: int | None, quick: bool, veth: bool
) -> dict[str, Any]:
    """Measure and reduce.  Raises BenchError, KernelError, DemoError, OSError; what
    was attached and made for it is taken away in any case."""
    settings = SHORT if quick else FULL
    if rounds is not None:
        settings = settings._replace(rounds=rounds, budget=None)
    names = wanted or (QUICK if quick else None)
    notes: list[str] = []
    chosen = fitting([s for s in scenarios(quick) if names is None or s.name in names], notes)
    notes += [f"{name} is not installed: pip install {name}" for name in FAMILIES[2:]
              if not installed(name)]  # fmt: skip
    cpus = Cpus.choose()
    if cpus.near == cpus.far:
        notes.append("both ends share one processor: this process may use no other")
    table = cells(chosen, kinds())
    with_stages = names is None or STAGES in names
    machine = describe()
    preload()
    progress = Progress(len(table) * (settings.rounds + 1) + with_stages * settings.rounds)
    try:
        with place(veth) as where:
            done = measure(table, where, cpus, settings, progress.step) if table else 0
            stages = measure_stages(cpus, settings, notes, progress.step) if with_stages else {}
    finally:
        progress.done()
    told = {
        "place": where.name,
        "own_attachment": where.cgroup is not None,
        "cpus": cpus._asdict(),
        "rounds": done or settings.rounds,
        "seconds": settings.seconds,
        "quick": quick,
    }
    return document(machine, told, table, stages, notes)


def fitting(chosen: list[Scenario], notes: list[str]) -> list[Scenario]:
    """Those scenarios, with no more connections than there may be descriptors."""
    wanted = max((scenario.connections for scenario in chosen), default=0)
    allowed = raise_limit(wanted)
    if allowed < wanted:
        notes.append(
            f"only {allowed:,} of {wanted:,} connections: raise the limit of open files "
            f"(ulimit -n {wanted + 100})"
        )
    return [scenario.within(allowed) for scenario in chosen]
