"""The document that a benchmark leaves: plain values, as ``--json`` prints them.

docs/benchmarks.md describes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyeno._crypto import default_aeads
from pyeno.bench.kinds import FAMILIES, Kind, eno_name
from pyeno.bench.rounds import Cell
from pyeno.bench.scenarios import Part
from pyeno.bench.summary import Figures, ratio, summaries, summary
from pyeno.bench.yardsticks import yardsticks

FORMAT = 1
"""raised whenever a reader of older documents would misread"""


def document(
    machine: dict[str, Any],
    settings: dict[str, Any],
    cells: Sequence[Cell],
    stages: Mapping[str, Mapping[str, Sequence[float]]],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Everything that was measured, reduced, with ratios and yardsticks."""
    made: dict[str, Any] = {
        "format": FORMAT,
        "machine": machine,
        "settings": settings,
        "notes": [*notes, *left_out(cells)],
        "compared": compared({cell.kind.name: cell.kind for cell in cells}),
        "scenarios": _scenarios(cells),
        "stages": {case: _stage(rows) for case, rows in stages.items()},
    }
    made["yardsticks"] = [yardstick.as_dict() for yardstick in yardsticks(made)]
    return made


def left_out(cells: Sequence[Cell]) -> list[str]:
    """A note for each part that a scenario could not have on a transport."""
    return [
        f"{part.name} was too much for {cell.kind.name}, in time or memory"
        for cell in cells
        for part in cell.scenario.parts
        if not any(part.name in result for result in cell.rounds)
    ]


def compared(kinds: Mapping[str, Kind]) -> dict[str, dict[str, str]]:
    """By family, the rows that yardsticks compare; pyeno's is the fastest AEAD's."""
    aead = default_aeads()[0]
    found = {}
    for family in FAMILIES:
        kind = kinds.get(eno_name(family, aead))
        if kind is not None:
            found[family] = {"plain": kind.plain, "tls": kind.tls, "pyeno": kind.name}
    return found


def _scenarios(cells: Sequence[Cell]) -> dict[str, Any]:
    parts: dict[str, tuple[Part, list[Cell]]] = {}
    for cell in cells:
        for part in cell.scenario.parts:
            parts.setdefault(part.name, (part, []))[1].append(cell)
    return {name: _block(part, group) for name, (part, group) in parts.items()}


def _block(part: Part, cells: Iterable[Cell]) -> dict[str, Any]:
    every = {
        cell.kind: [result[part.name] for result in cell.rounds if part.name in result]
        for cell in cells
    }
    rounds = {kind: rows for kind, rows in every.items() if rows}
    reduced = {kind: summaries(rows) for kind, rows in rounds.items()}
    medians = {kind.name: row[part.figure]["median"] for kind, row in reduced.items()}
    return {
        "title": part.title,
        "figure": part.figure,
        "unit": part.unit,
        "less_is_better": part.less,
        "beside": part.beside,
        "transports": {
            kind.name: _row(kind, reduced[kind], medians) | {"rounds": rows}
            for kind, rows in rounds.items()
        },
    }


def _row(
    kind: Kind, reduced: dict[str, Figures], medians: Mapping[str, float]
) -> dict[str, Any]:
    mine = medians[kind.name]

    def against(name: str) -> float | None:
        return ratio(mine, medians[name]) if name in medians else None

    return {
        "family": kind.family,
        "summary": reduced,
        "against_plain": against(kind.plain),
        "against_tls": against(kind.tls),
    }


def _stage(rows: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Nanoseconds by implementation, and how much longer each takes than the compiled core."""
    reduced = {name: summary(values) for name, values in rows.items()}
    native = reduced.get("native")
    return {
        name: {
            "rounds": list(values),
            "summary": reduced[name],
            "against_native": ratio(reduced[name]["median"], native["median"])
            if native
            else None,
        }
        for name, values in rows.items()
    }
