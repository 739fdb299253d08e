"""Panels of bars and curves as plain SVG, on a card that any page can carry.

The card has a background of its own, so it reads the same on light and dark
pages.  Coordinates are pixels; every panel is WIDTH wide.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

WIDTH, GAP, EDGE = 440, 28, 20
LABEL, NUMBER = 158, 58
"""room for a row's name and for its number"""
ROW, HEAD = 24, 34
PLOT_HEIGHT, PLOT_FOOT = 190, 62

# fill, and the dashes that tell curves apart without colour
STYLES = {
    "plain": ("#6e7781", ""),
    "tls": ("#bf5b04", "7 4"),
    "tls-other": ("#dd9a5c", "2 3"),
    "pyeno": ("#0b62d6", ""),
    "pyeno-other": ("#5f9df0", "7 4"),
    "pyeno-third": ("#1b9e77", "2 3"),
    "pure": ("#8250df", "1 4"),
}
_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" \
width="{width}" height="{height}" font-family="Helvetica, Arial, sans-serif" font-size="13">
<title>{title}</title>
<rect x="0.5" y="0.5" width="{inner_width}" height="{inner_height}" rx="8" fill="#fcfcfd" \
stroke="#c8ced6"/>
"""


class Bar(NamedTuple):
    """One row; ``low`` and ``high`` are the extremes."""

    label: str
    style: str
    value: float
    low: float
    high: float
    shown: str


class Curve(NamedTuple):
    """One line: x, y of each point."""

    label: str
    style: str
    points: Sequence[tuple[float, float]]


class Panel(NamedTuple):
    """Finished elements, with (0, 0) at the top left, and how high they are."""

    height: float
    elements: Sequence[str]


def text(x: float, y: float, words: str, anchor: str = "start", more: str = "") -> str:
    """One line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#1f2328" {more}>'
        f"{escape(words)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}" {more}/>'
    )


def heading(title: str, unit: str) -> list[str]:
    """A panel's title, and beside it the unit."""
    return [
        text(0, 16, title, more='font-weight="bold"'),
        text(WIDTH, 16, unit, "end", 'font-size="11"'),
    ]


def bars(title: str, unit: str, rows: Sequence[Bar]) -> Panel:
    """Horizontal bars, each with its number and a line between its extremes."""
    room = WIDTH - LABEL - NUMBER
    most = max((row.high for row in rows), default=1.0) or 1.0
    elements = heading(title, unit)
    for i, row in enumerate(rows):
        top = HEAD + i * ROW
        middle = top + ROW / 2 - 3
        length = max(1.0, row.value / most * room)
        elements += [
            text(LABEL - 8, middle + 4, row.label, "end"),
            f'<rect x="{LABEL}" y="{top}" width="{length:.1f}" height="{ROW - 6}" rx="2" '
            f'fill="{STYLES[row.style][0]}"/>',
        ]
        low, high = (LABEL + edge / most * room for edge in (row.low, row.high))
        if high - low > 2:
            elements.append(_line(low, middle, high, middle, "#1f2328", 'stroke-width="1.5"'))
        elements.append(text(max(LABEL + length, high) + 6, middle + 4, row.shown))
    return Panel(HEAD + len(rows) * ROW, elements)


def curves(
    title: str, unit: str, lines: Sequence[Curve], x_ticks: Sequence[tuple[float, str]],
    x_title: str, log_y: bool = False,
) -> Panel:  # fmt: skip
    """Lines over a logarithmic x axis, with a legend below."""
    left, right = 46.0, WIDTH - 8.0
    foot = HEAD + PLOT_HEIGHT
    values = [y for line in lines for _, y in line.points] or [1.0]
    low = 10 ** math.floor(math.log10(min(values))) if log_y else 0.0
    ticks = list(_log_ticks(low, max(values)) if log_y else _ticks(max(values)))
    first, last = (math.log10(x) for x in (x_ticks[0][0], x_ticks[-1][0]))

    def place_x(x: float) -> float:
        return left + (math.log10(x) - first) / (last - first) * (right - left)

    def place_y(y: float) -> float:
        if log_y:
            span = math.log10(ticks[-1]) - math.log10(low)
            return foot - (math.log10(y) - math.log10(low)) / span * PLOT_HEIGHT
        return foot - y / ticks[-1] * PLOT_HEIGHT

    elements = heading(title, unit)
    for y in ticks:
        elements.append(_line(left, place_y(y), right, place_y(y), "#d8dee4"))
        elements.append(text(left - 6, place_y(y) + 4, f"{y:g}", "end", 'font-size="11"'))
    for x, name in x_ticks:
        elements.append(_line(place_x(x), foot, place_x(x), foot + 4, "#6e7781"))
        elements.append(text(place_x(x), foot + 17, name, "middle", 'font-size="11"'))
    elements.append(text((left + right) / 2, foot + 32, x_title, "middle", 'font-size="11"'))
    for line in lines:
        elements += _drawn(line, [(place_x(x), place_y(y)) for x, y in line.points])
    elements += _legend(lines, foot + 50)
    legend_rows = -(-len(lines) // 2)
    return Panel(foot + PLOT_FOOT + 18 * (legend_rows - 1), elements)


def _drawn(line: Curve, points: Sequence[tuple[float, float]]) -> list[str]:
    colour, dashes = STYLES[line.style]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    drawn = [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5" '
        f'stroke-dasharray="{dashes}"/>'
    ]
    return drawn + [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
                    for x, y in points]  # fmt: skip


def _legend(lines: Sequence[Curve], top: float) -> list[str]:
    elements = []
    for i, line in enumerate(lines):
        colour, dashes = STYLES[line.style]
        x, y = (i % 2) * WIDTH / 2, top + i // 2 * 18
        more = f'stroke-width="2.5" stroke-dasharray="{dashes}"'
        elements += [_line(x, y, x + 28, y, colour, more), text(x + 36, y + 4, line.label)]
    return elements


def _ticks(most: float) -> Iterable[float]:
    """From 0 to beyond ``most``, in steps of 1, 2 or 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(most))
    step = next(s * power for s in (0.1, 0.2, 0.5, 1, 2) if s * power * 6 >= most)
    return (step * i for i in range(math.ceil(most / step) + 1))


def _log_ticks(low: float, most: float) -> Iterable[float]:
    return (low * 10**i for i in range(math.ceil(math.log10(most / low) - 1e-9) + 1))


def picture(title: str, footnote: str, panels: Sequence[Panel]) -> str:
    """All panels, two in a row, on one card."""
    columns = 2
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    width = 2 * EDGE + columns * WIDTH + (columns - 1) * GAP
    body: list[str] = [text(EDGE, EDGE + 14, title, more='font-size="17" font-weight="bold"')]
    top = EDGE + 36.0
    for row in rows:
        for column, panel in enumerate(row):
            left = EDGE + column * (WIDTH + GAP)
            body += [f'<g transform="translate({left} {top:.0f})">', *panel.elements, "</g>"]
        top += max(panel.height for panel in row) + GAP
    body.append(text(EDGE, top, footnote, more='font-size="11"'))
    height = math.ceil(top + EDGE)
    head = _HEAD.format(
        width=width, height=height, inner_width=width - 1, inner_height=height - 1,
        title=escape(title),
    )  # fmt: skip
    return head + "\n".join(body) + "\n</svg>\n"
