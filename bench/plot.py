"""Pictures of one benchmark, as SVG.

pyeno bench --output RESULT.json
python bench/plot.py RESULT.json [--to docs/pictures]
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from svg import Bar, Curve, Panel, bars, curves, picture

Document = dict[str, Any]
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
LOOPS = {"asyncio": "asyncio", "uvloop": "uvloop"}
OTHERS = ("pyeno-other", "pyeno-third")


def rows(document: Document, part: str, family: str) -> Iterator[tuple[str, str, Any]]:
    """Label, style and figures of the rows of a family that are compared."""
    names = document["compared"].get(family, {})
    labels = {
        names.get("plain"): ("plain TCP", "plain"),
        names.get("tls"): ("TLS 1.3", "tls"),
        "tls1.3-aes-128-gcm": ("TLS 1.3, AES-128", "tls-other"),
        names.get("pyeno"): ("pyeno", "pyeno"),
    }
    block = document["scenarios"].get(part, {"transports": {}})
    for name, row in block["transports"].items():
        if row["family"] == family and name in labels:
            yield (*labels[name], row["summary"])


def number(value: float) -> str:
    """Three digits or so."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def bar_panel(
    document: Document, part: str, family: str, title: str, unit: str, scale: float = 1.0,
    figure: str = "per_second", high: str | None = None,
) -> list[Panel]:  # fmt: skip
    """One panel, none if it was not measured; ``high``: a figure that ends the line."""
    found = []
    for label, style, summary in rows(document, part, family):
        here = summary[figure]
        value, low = here["median"] / scale, here["min"] / scale
        top = (summary[high]["median"] if high else here["max"]) / scale
        low = low if high is None else value
        found.append(Bar(label, style, value, low, top, number(value)))
    return [bars(title, unit, found)] if found else []


def throughput(document: Document) -> list[Panel]:
    """Bulk over blocking sockets and loops, and small messages."""
    unit = "GB/s; more is better"
    panels = []
    for part, size in (("bulk-1m", "1 MiB"), ("bulk-256k", "256 KiB"), ("bulk-16k", "16 KiB")):
        title = f"Blocking sockets, {size} writes"
        panels += bar_panel(document, part, "sockets", title, unit, 1e9)
    title = "Blocking sockets, 1 KiB messages"
    panels += bar_panel(document, "pipelined", "sockets", title, unit, 1e9)
    for family, name in LOOPS.items():
        title = f"{name} streams, 256 KiB writes"
        panels += bar_panel(document, "bulk-256k", family, title, unit, 1e9)
    return panels


def latency(document: Document) -> list[Panel]:
    """Round trips; the line ends at the 99th percentile."""
    unit = "µs; line: to 99th percentile"
    panels = []
    for family, name in {"sockets": "Blocking sockets", **LOOPS}.items():
        for part, where in (("ping-pong-1cpu", "one CPU"), ("ping-pong-2cpu", "two CPUs")):
            title = f"{name}, {where}"
            panels += bar_panel(
                document, part, family, title, unit, figure="p50_us", high="p99_us"
            )
    return panels


def connections(document: Document) -> list[Panel]:
    """Connections a second, and what they hold."""
    unit = "per second; more is better"
    panels = bar_panel(document, "fresh", "sockets", "Connections, key exchange", unit)
    panels += bar_panel(document, "resumed", "sockets", "Connections, resumed", unit)
    for family, name in LOOPS.items():
        title = f"{name}: connections, key exchange"
        panels += bar_panel(document, "fresh", family, title, unit)
    unit = "KiB; less is better"
    for family, name in {"sockets": "Blocking sockets", "asyncio": "asyncio streams"}.items():
        title = f"{name}: an idle connection"
        panels += bar_panel(document, "idle", family, title, unit, 1024, "bytes")
    return panels


def concurrency(document: Document) -> list[Panel]:
    """CPU for each byte, as connections grow."""
    levels = [int(p.split("-")[1]) for p in document["scenarios"] if p.startswith("crowd-")]
    if len(levels) < 2:
        return []
    panels = []
    for family, name in LOOPS.items():
        points: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for level in levels:
            for label, style, summary in rows(document, f"crowd-{level}", family):
                cost = summary["cpu_ns"]["median"]
                points.setdefault((label, style), []).append((level, cost))
        lines = [Curve(*key, line) for key, line in points.items()]
        if lines:
            ticks = [(float(level), f"{level:,}") for level in levels]
            title, unit = f"{name}, 16 KiB messages", "CPU ns a byte, both ends"
            panels.append(curves(title, unit, lines, ticks, "connections at once"))
    return panels


def case_label(case: str, name: str) -> str:
    """A stage's case in a few words, and who took it if that is no twin."""
    what = case.partition(": ")[2].partition(", AES")[0].partition(", CHACHA")[0]
    for long, short in (("seal and open", "frame,"), (" in a SYN's TCP options", ""),
                        (", pair and ES", "")):  # fmt: skip
        what = what.replace(long, short)
    return what if name == "pure" else f"{what}, {name}"


def times_faster(document: Document) -> list[Panel]:
    """How much longer everybody else takes than the compiled core."""
    aead = document["machine"]["aead"]
    found = []
    for case, by_name in document["stages"].items():
        if case.startswith("frame: ") and not case.endswith(aead):
            continue
        for name, row in by_name.items():
            times = row["against_native"]
            if name == "native" or times is None:
                continue
            style = "pure" if name == "pure" else "tls"
            label = case_label(case, name)
            found.append(Bar(label, style, times, times, times, number(times)))
    title = "Time of pure Python, dpkt, scapy"
    return [bars(title, "× the compiled core's", found)] if found else []


def frames(document: Document) -> list[Panel]:
    """Sealing and opening, by size of the frame."""
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for case, found in document["stages"].items():
        if not case.startswith("frame: "):
            continue
        size, aead = int(case.split()[4]), case.split(", ")[1]
        for twin in found:
            nanoseconds = found[twin]["summary"]["median"]
            points.setdefault((aead, twin), []).append((size, size / nanoseconds))
    best = document["machine"]["aead"]
    shades = dict(zip([best, *sorted({a for a, _ in points} - {best})], ("pyeno", *OTHERS),
                      strict=False))  # fmt: skip
    lines = [
        Curve(f"{aead.replace('_', '-')}, {twin}", shades[aead] if twin == "native" else "pure",
              line)
        for (aead, twin), line in points.items() if twin == "native" or aead == best
    ]  # fmt: skip
    ticks = [(64.0, "64"), (1400.0, "1400"), (16384.0, "16384"), (65518.0, "65518")]
    if not lines:
        return []
    title, unit = "Seal and open one frame", "GB/s"
    drawn = curves(title, unit, lines, ticks, "bytes in one frame", log_y=True)
    return [drawn, *times_faster(document)]


DRAWN = {
    "throughput": ("Throughput", throughput),
    "latency": ("One byte there and back", latency),
    "connections": ("Connections", connections),
    "concurrency": ("Many connections in one event loop", concurrency),
    "frames": ("The compiled core", frames),
}


def footnote(document: Document) -> str:
    """Where the figures come from."""
    machine, settings = document["machine"], document["settings"]
    return (
        f"{machine['cpu']}, {settings['place']}, medians of {settings['rounds']} rounds; "
        f"Linux {machine['kernel']}, Python {machine['python']}, pyeno {machine['pyeno']}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, metavar="RESULT.json")
    parser.add_argument("--to", type=Path, default=PICTURES, metavar="DIR")
    options = parser.parse_args()
    document = json.loads(options.result.read_text())
    options.to.mkdir(parents=True, exist_ok=True)
    for name, (title, panels_of) in DRAWN.items():
        panels = panels_of(document)
        if panels:
            path = options.to / f"{name}.svg"
            path.write_text(picture(title, footnote(document), panels))
            print(path)


if __name__ == "__main__":
    main()
