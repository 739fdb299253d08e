"""Say whether the BPF programs are attached, and where.

Exit status 0 if they are, 1 if not."""

import argparse
import json

from pyeno import attach


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which."""
    parser.add_argument("--pin", metavar="DIR", default=attach.PIN, help="a bpffs directory")
    parser.add_argument("--json", action="store_true", help="report as one JSON object")


def show(status: attach.Status, as_json: bool) -> None:
    """Print a status as JSON or in words."""
    if as_json:
        print(json.dumps(status.as_dict()))
        return
    for name, value in status.as_dict().items():
        print(f"{name:<12} {words(value)}")


def words(value: object) -> str:
    """Lists of programs by name, id and tag; None as a dash."""
    if isinstance(value, list):
        return ", ".join(f"{one['name']} (id {one['id']}, tag {one['tag']})" for one in value)
    return "-" if value is None else str(value)


def run(options: argparse.Namespace) -> int:
    """0 if attached."""
    status = attach.status(options.pin)
    show(status, options.json)
    return 0 if status.attached else 1
