"""Which program a relay's connection serves, as the relays that run tell."""

from collections.abc import Iterable
from typing import TypeAlias

from pyeno import namespaces
from pyeno.relay import control
from pyeno.ss.table import Address, Row

Ends: TypeAlias = tuple[Address, Address]
"""local, peer"""


def serving(rows: Iterable[Row]) -> dict[Ends, Row]:
    """By the ends of a relay's connection, the socket of the program behind it."""
    told = _told()
    if not told:
        return {}
    by_ends = {(row.local, row.peer): row for row in rows}
    by_local = {local: row for (local, peer), row in by_ends.items() if peer[1]}
    found = {}
    for ends, program, near in told:
        row = by_local.get(program) if near is None else by_ends.get((program, near))
        if row is not None:
            found[ends] = row
    return found


def _told() -> list[tuple[Ends, Address, Address | None]]:
    here = list(namespaces.identity())
    return [
        ((_address(local), _address(peer)), _address(program), near and _address(near))
        for answer in control.ask("programs")
        if answer.value is not None and answer.value["netns"] == here
        for local, peer, program, near in answer.value["ends"]
    ]


def _address(told: list[str | int]) -> Address:
    host, port = told[:2]
    return str(host), int(port)
