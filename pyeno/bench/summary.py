"""From the rounds' figures to medians, spread and ratios."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

Figures = dict[str, float]
"""One run's results by name; names and units are in docs/benchmarks.md."""


def summary(values: Iterable[float]) -> Figures:
    """Median, least and greatest of the rounds; ValueError if there are none."""
    rounds = sorted(values)
    if not rounds:
        raise ValueError("no round to reduce: run at least one")
    return {
        "median": statistics.median(rounds),
        "min": rounds[0],
        "max": rounds[-1],
        "rounds": len(rounds),
    }


def summaries(rounds: Sequence[Mapping[str, float]]) -> dict[str, Figures]:
    """The summary of each figure that every round has."""
    names = rounds[0] if rounds else ()
    return {name: summary(row[name] for row in rounds) for name in names}


def ratio(one: float, other: float) -> float | None:
    """``one`` in units of ``other``; None where that has no meaning."""
    return one / other if other > 0 else None


def percentile(ordered: Sequence[float], share: int) -> float:
    """The value that ``share`` percent of the ascending values do not exceed."""
    if not ordered:
        raise ValueError("no value: measure at least one")
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]
