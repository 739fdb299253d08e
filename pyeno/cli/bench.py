"""Measure pyeno beside plain TCP and TLS 1.3 on this machine.

Every figure side by side in one run: blocking sockets, asyncio, uvloop if it is
installed; the stages compiled and pure.  As root it attaches ENO for itself, to
a cgroup of its own, and takes that away again."""

import argparse
import json
from pathlib import Path
from typing import Any

from pyeno.bench import held, needs, table
from pyeno.bench.scenarios import names
from pyeno.cli.signals import end_as_interrupted
from pyeno.errors import KernelError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure, how often, and how to report."""
    parser.add_argument("--quick", action="store_true", help="all of it in under a minute")
    parser.add_argument(
        "--rounds", type=_rounds, metavar="N", help="(default 5; quick: what fits)"
    )
    parser.add_argument(
        "--scenario", type=_scenarios, metavar="NAME,…", help="only these (see --list)"
    )
    parser.add_argument(
        "--veth", action="store_true",
        help="between two network namespaces, not over loopback (root)",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    parser.add_argument("--json", action="store_true", help="report as one JSON object")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the JSON there too")


def _rounds(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: write a number of rounds, 1 to 1000")
    return int(text)


def _scenarios(text: str) -> tuple[str, ...]:
    known = names()
    wanted = tuple(text.split(","))
    for name in wanted:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r}: choose from {', '.join(known)}")
    return wanted


def run(options: argparse.Namespace) -> int:
    """0 if everything was measured; 1 if it could not be."""
    if options.list:
        _list(options.json)
        return 0
    lack = needs.lack(options.veth)
    if lack is not None:
        raise KernelError(None, f"{lack.detail}: run '{lack.remedy}'")
    if options.output is not None:
        options.output.touch()  # now, not after minutes
    end_as_interrupted()
    document = held.hold(options.scenario, options.rounds, options.quick, options.veth)
    _tell(document, options)
    return 0


def _list(as_json: bool) -> None:
    titles = names()
    if as_json:
        print(json.dumps(titles))
        return
    for name, title in titles.items():
        print(f"{name:<16} {title}")


def _tell(document: dict[str, Any], options: argparse.Namespace) -> None:
    text = json.dumps(document, indent=1)
    if options.output is not None:
        options.output.write_text(text + "\n")
    if options.json:
        print(text)
        return
    for line in table.lines(document):
        print(line)
