"""Say whether the BPF programs are attached, and where.

Exit status 0 if they are, 1 if not. Only root can look into the default pin
directory; for everybody else the answer is whether this process can use ENO."""

import argparse
import json

from pyeno import attach, doctor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which."""
    parser.add_argument("--pin", metavar="DIR", default=attach.PIN, help="a bpffs directory")
    parser.add_argument("--json", action="store_true", help="report as one JSON object")


def show(status: attach.Status, as_json: bool) -> None:
    """Print a status as JSON or in words."""
    if as_json:
        print(json.dumps(status.as_dict()))
        return
    for name, value in (status.as_dict() | {"policy": status.policy}).items():
        if value not in (None, []):
            print(f"{name:<12} {words(value)}")


def words(value: object) -> str:
    """Yes or no; lists of programs by name, id and tag."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(f"{one['name']} (id {one['id']}, tag {one['tag']})" for one in value)
    return str(value)


def run(options: argparse.Namespace) -> int:
    """0 if attached."""
    status = attach.status(options.pin)
    if not status.attached and options.pin == attach.PIN and doctor.covered():
        detail = f"attached for this process; where, {options.pin} does not tell here"
        status = status._replace(attached=True, detail=detail)
    show(status, options.json)
    return 0 if status.attached else 1
