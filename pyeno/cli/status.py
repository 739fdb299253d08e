"""Say whether the BPF programs are attached, and where; and which relays run.

Exit status 0 if they are, 1 if not. Only root can look into the default pin
directory; for everybody else the answer is whether this process can use ENO. Only
root can ask relays."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from pyeno import attach, doctor
from pyeno.relay import control
from pyeno.relay.control import Answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which."""
    parser.add_argument("--pin", metavar="DIR", default=attach.PIN, help="a bpffs directory")
    parser.add_argument("--json", action="store_true", help="report as one JSON object")


def show(status: attach.Status, as_json: bool, relays: Sequence[Answer] | None = None) -> None:
    """Print a status as JSON or in words; and the relays, if they were asked."""
    if as_json:
        told = {} if relays is None else {"relays": [relay_dict(one) for one in relays]}
        print(json.dumps(status.as_dict() | told))
        return
    for name, value in (status.as_dict() | {"policy": status.policy}).items():
        if value not in (None, []):
            print(f"{name:<12} {words(value)}")
    for one in relays or ():
        print(f"{'relay':<12} {one.name}: {relay_words(one)}")


def relay_dict(answer: Answer) -> dict[str, Any]:
    """Its name and what it told; or why it did not."""
    return {"name": answer.name} | (answer.value or {"error": answer.error})


def relay_words(answer: Answer) -> str:
    """The same in one line."""
    if answer.value is None:
        return f"not known: {answer.error}"
    told, counters = answer.value, answer.value["counters"]
    return (
        f"{counters['open']} open; so far {counters['encrypted']} encrypted, "
        f"{counters['plain']} plain, {sum(counters['refused'].values())} failed; "
        f"for {', '.join(told['cgroups'])} (pid {told['pid']})"
    )


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
    show(status, options.json, control.ask("status"))
    return 0 if status.attached else 1
