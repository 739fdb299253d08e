"""Show TCP-ENO and tcpcrypt between two network namespaces of this machine (root).

Sends a file each way, draws what was captured as a ladder, and proves that the
file's text is not on the wire, that both ends have the same session ID, and
that a peer without ENO gets plain TCP."""

import argparse
import json
import sys
from pathlib import Path

from pyeno.cli.signals import end_as_interrupted
from pyeno.demo import needs, report, story


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much, and how to report."""
    parser.add_argument(
        "--size", type=_mebibytes, default=64, metavar="MIB", help="of each file (default 64)"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the captures in DIR")
    parser.add_argument("--json", action="store_true", help="report as one JSON object")


def _mebibytes(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r}: write a number of MiB, 1 to 1024")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """0 if every proof holds; 1 if one does not, or something is missing."""
    size = options.size << 20
    lacks = needs.lacks(size)
    if lacks:
        _tell_lacks(lacks, options.json)
        return 1
    end_as_interrupted()
    told = story.tell(size, options.keep, _say)
    if options.json:
        print(json.dumps(told.as_dict()))
    else:
        report.show(told)
    return 0 if told.ok else 1


def _tell_lacks(lacks: list[needs.Lack], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ok": False, "missing": [lack._asdict() for lack in lacks]}))
        return
    for lack in lacks:
        print(f"pyeno demo: {lack.detail}\n    mend: {lack.remedy}", file=sys.stderr)


def _say(progress: str) -> None:
    if sys.stderr.isatty():
        print(f"... {progress}", file=sys.stderr, flush=True)
