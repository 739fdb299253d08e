"""The document as a table for people."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]
_NAME = 26
_SCALES = {
    "bytes/s": ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s")),
    "ns": ((1e9, "s"), (1e6, "ms"), (1e3, "µs")),
}
"""from which value on a unit is written as another one"""
_FIGURES = {"cpu_ns": ("ns", "CPU "), "p99_us": ("µs", "p99 "), "per_second": ("bytes/s", "")}
"""unit of a figure that is shown beside, and what stands before it"""


def lines(document: Document) -> Iterator[str]:
    """Everything, block by block."""
    yield from _head(document)
    for block in document["scenarios"].values():
        if not block["transports"]:
            continue
        yield ""
        yield from _block(block)
    if document["stages"]:
        yield ""
        yield from _stages(document["stages"])
    if document["yardsticks"]:
        yield ""
        yield from _yardsticks(document["yardsticks"])


def _head(document: Document) -> Iterator[str]:
    machine, settings = document["machine"], document["settings"]
    yield (
        f"pyeno {machine['pyeno']} ({machine['backend']}), Python {machine['python']}, "
        f"{machine['openssl']}"
    )
    yield f"{machine['cpu']}, {machine['cpus']} processors, Linux {machine['kernel']}"
    rounds = settings["rounds"]
    many = f"medians and extremes of {rounds} rounds" if rounds > 1 else "one round"
    yield (
        f"over {settings['place']}, ends on processors {settings['cpus']['near']} and "
        f"{settings['cpus']['far']}; {many}"
    )
    for note in document["notes"]:
        yield f"note: {note}"


def number(value: float | None) -> str:
    """Three significant digits or so: 0.35, 3.21, 64.0, 14,000."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def scaled(unit: str, values: Iterable[float]) -> tuple[float, str]:
    """What to divide a column by, and its unit then."""
    least = min(values, default=0.0)
    for scale, name in _SCALES.get(unit, ()):
        if least >= scale / 5:
            return scale, name
    return 1.0, unit


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


class _Column:
    """One figure of a block, in one unit for all rows."""

    def __init__(self, block: Mapping[str, Any], figure: str, unit: str) -> None:
        self._figure = figure
        rows = block["transports"].values()
        self._scale, self.unit = scaled(unit, (self._of(row, "median") for row in rows))

    def _of(self, row: Mapping[str, Any], what: str) -> float:
        value: float = row["summary"][self._figure][what]
        return value

    def __call__(self, row: Mapping[str, Any], what: str = "median") -> str:
        return number(self._of(row, what) / self._scale)


def _block(block: Mapping[str, Any]) -> Iterator[str]:
    better = "less" if block["less_is_better"] else "more"
    column = _Column(block, block["figure"], block["unit"])
    beside, head = None, ""
    if block["beside"]:
        unit, before = _FIGURES[block["beside"]]
        beside = _Column(block, block["beside"], unit)
        head = before + beside.unit
    yield f"{block['title']}  ({better} is better)"
    yield f"  {'':<{_NAME}}{column.unit:>14}{'extremes':>18}  × plain   × TLS{head:>10}"
    family = None
    for name, row in block["transports"].items():
        if family not in (None, row["family"]):
            yield ""
        family = row["family"]
        extremes = f"{column(row, 'min')} .. {column(row, 'max')}"
        yield (
            f"  {name:<{_NAME}}{column(row):>14}{extremes:>18}{_times(row['against_plain']):>9}"
            f"{_times(row['against_tls']):>8}{beside(row) if beside else '':>10}"
        )


def _stages(stages: Mapping[str, Any]) -> Iterator[str]:
    names = list(dict.fromkeys(name for rows in stages.values() for name in rows))
    yield "stages, one call  (ns; less is better; × native in brackets)"
    yield f"  {'':<48}" + "".join(f"{name:>18}" for name in names)
    for case, rows in stages.items():
        yield f"  {case:<48}" + "".join(f"{_stage(rows.get(name)):>18}" for name in names)


def _stage(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    times = row["against_native"]
    beside = "" if times is None or times == 1 else f" ({number(times)})"
    return number(row["summary"]["median"]) + beside


def _yardsticks(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    known = [row for row in rows if row["measured"] is not None]
    yield f"yardsticks  ({len(rows) - len(known)} of {len(rows)} not measured)"
    for row in known:
        joint = ", " if row["against"].startswith(("above", "itself")) else " against "
        what = f"{row['scenario']}: {row['transport']}{joint}{row['against']}"
        verdict = "reached" if row["reached"] else "missed"
        wanted = f"{row['bound']} {number(row['wanted'])} {row['unit']}"
        beside = "" if row["plain"] is None else f" (plain {number(row['plain'])})"
        yield f"  {what:<78}{wanted:<21}{number(row['measured']):>7}  {verdict}{beside}"
