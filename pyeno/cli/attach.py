"""Load the BPF programs and attach them to a cgroup (root).

Once attached, unprivileged programs in that cgroup use ENO, until `pyeno
detach` or the next boot."""

import argparse

from pyeno import attach
from pyeno.cli.status import show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to."""
    parser.add_argument("--cgroup", metavar="PATH", help="a cgroup2 (default: its root)")
    parser.add_argument("--pin", metavar="DIR", default=attach.PIN, help="a bpffs directory")
    parser.add_argument("--json", action="store_true", help="report as one JSON object")


def run(options: argparse.Namespace) -> int:
    """0 once attached, also if it was so before."""
    show(attach.attach(options.cgroup, options.pin), options.json)
    return 0
