"""The report as text: two ladders, then the proofs."""

import os
import sys
import textwrap
from typing import TextIO

from pyeno.demo.ladder import BOLD, GREEN, RED, Style, render
from pyeno.demo.proofs import Proof
from pyeno.demo.story import Report

_WIDTH = 96
_IN = "    "


def style_for(stream: TextIO) -> Style:
    """Colours on a terminal only, and never with NO_COLOR (no-color.org)."""
    colour = stream.isatty() and not os.environ.get("NO_COLOR")
    return Style(colour and os.environ.get("TERM") != "dumb", _can("│▶…", stream), _WIDTH)


def _can(glyphs: str, stream: TextIO) -> bool:
    try:
        glyphs.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def lines(report: Report, style: Style) -> list[str]:
    """The whole report."""
    told = [style.paint("TCP-ENO and tcpcrypt, as captured on A's interface", BOLD), ""]
    told += render(report.eno.conversation, report.eno.steps, style)
    told += ["", style.paint("The same program to a peer without ENO", BOLD), ""]
    told += render(report.plain.conversation, report.plain.steps, style)
    told.append("")
    for proof in report.proofs:
        told += _proof_lines(proof, style)
    told.append(_rates(report))
    verdict = "all of it holds" if report.ok else "NOT everything holds"
    colour = GREEN if report.ok else RED
    told.append(style.paint(f"{verdict} ({report.seconds:.1f} s)", colour))
    if not style.unicode:
        told = [line.replace("…", "...").encode("ascii", "replace").decode() for line in told]
    return told


def _proof_lines(proof: Proof, style: Style) -> list[str]:
    verdict = style.paint("ok", GREEN) if proof.ok else style.paint("FAILED", RED)
    told = [f"{style.paint(proof.claim, BOLD)}: {verdict}"]
    for reason in proof.because:
        told += textwrap.wrap(reason, style.width, initial_indent=_IN, subsequent_indent=_IN)
    return [*told, ""]


def _rates(report: Report) -> str:
    rates = [
        f"{way['from']} to {way['to']} {way['megabytes_per_second_under_capture']} MB/s"
        for way in report.transfers
    ]
    return f"rates, both ways at once and under capture: {', '.join(rates)}"


def show(report: Report) -> None:
    """Print it on standard output."""
    print("\n".join(lines(report, style_for(sys.stdout))))
