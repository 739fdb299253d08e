"""Detach the BPF programs and unload them (root).

Connections that are encrypted stay so; new ones are plain TCP."""

import argparse

from pyeno import attach
from pyeno.cli.status import show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which."""
    parser.add_argument("--pin", metavar="DIR", default=attach.PIN, help="a bpffs directory")
    parser.add_argument("--json", action="store_true", help="report as one JSON object")


def run(options: argparse.Namespace) -> int:
    """0 once detached, also if nothing was attached."""
    show(attach.detach(options.pin), options.json)
    return 0
