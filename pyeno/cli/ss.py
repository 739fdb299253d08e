"""List this host's ENO connections: encrypted, or plain although ENO was tried.

Of other users' processes only root sees them; no relay and no daemon is
needed. PORT: only those with one of these ports, at either end."""

import argparse
import json
import sys
from collections.abc import Iterable
from typing import Any

from pyeno import namespaces, tep
from pyeno.addresses import peer_name
from pyeno.ss import Connection, holders, look
from pyeno.ss.table import LISTEN

HEAD = ("STATE", "LOCAL", "PEER", "ENO", "ROLE", "SESSION ID", "RESUMED", "PROGRAM")
SESSION_ID_DIGITS = 16
"""of at least 66: enough to tell two connections apart by eye"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which."""
    parser.add_argument("ports", type=_port, nargs="*", metavar="PORT")
    parser.add_argument(
        "-a", "--all", action="store_true", help="also those for which nobody asked for ENO"
    )
    parser.add_argument(
        "-l", "--listening", action="store_true", help="listeners, not connections"
    )
    parser.add_argument(
        "--netns",
        metavar="NAME",
        help="a network namespace: its name, or a process in it",
    )
    parser.add_argument("--json", action="store_true", help="report as one JSON object")


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: write a port, 1 to 65535")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """0 once listed, even if there is none."""
    if options.netns is not None:
        namespaces.enter(namespaces.find(options.netns))
    found, unseen = look(ports=options.ports)
    wanted = [
        one for one in found
        if (one.row.state == LISTEN) is options.listening and (one.tried or options.all)
    ]  # fmt: skip
    if options.json:
        listed = [as_dict(connection) for connection in wanted]
        print(json.dumps({"connections": listed, "unseen": unseen}))
        return 0
    for line in lines(wanted):
        print(line)
    if unseen:
        print(
            f"pyeno ss: {unseen} more could not be looked at: their processes are other users' "
            "(ask as root), or not to be seen from here",
            file=sys.stderr,
        )
    return 0


def as_dict(connection: Connection) -> dict[str, Any]:
    """The contract's fields."""
    ends = {"local": peer_name(connection.row.local), "peer": None}
    if connection.row.state != LISTEN:
        ends["peer"] = peer_name(connection.row.peer)
    return ends | connection.as_dict()


def lines(connections: Iterable[Connection]) -> list[str]:
    """A table as wide as its widest words."""
    table = [HEAD, *map(_words, connections)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def _words(connection: Connection) -> tuple[str, ...]:
    row, result = connection.row, connection.result
    encrypted = connection.encrypted
    return (
        row.state,
        peer_name(row.local),
        "-" if row.state == LISTEN else peer_name(row.peer),
        _eno(connection),
        result.role.value if encrypted else "-",
        connection.session_id.hex()[:SESSION_ID_DIGITS] if connection.session_id else "-",
        ("yes" if result.resumed else "no") if encrypted else "-",
        _programs(connection),
    )


def _programs(connection: Connection) -> str:
    """Who has it; of a relay's, whom it serves."""
    having, served = (
        ", ".join(f"{holders.program(one.pid)} ({one.pid})" for one in holding)
        for holding in (connection.holders, connection.serves)
    )
    return f"{served} by {having}" if served else having


def _eno(connection: Connection) -> str:
    """The TEP, those of a listener, or why there is none."""
    if connection.encrypted:
        return tep.name(connection.result.tep_byte)
    if connection.teps:
        return ",".join(map(tep.name, connection.teps))
    return f"plain: {connection.reason.slug}" if connection.reason is not None else "-"
