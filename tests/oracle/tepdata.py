"""Suboption data in too little room (RFC 8547 sections 4.2, 4.4, 4.5), by trying everything.

Which data give way is pyeno's choice, documented in docs/socket-options.md: those of the
least preferred TEPs.  So the option is the first that fits of these: all TEPs with their
data, all but the least preferred one with data, and so on.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from . import eno

ROOM = 40


class Definition(NamedTuple):
    """Of one TEP: what this host sends as A and B, None for v = 0; the valid sizes of both."""

    sent: tuple[bytes | None, bytes | None]
    sizes: tuple[range, range]


Definitions = Mapping[int, Definition]


def sizes(definitions: Definitions) -> eno.Sizes:
    return {tep: rule.sizes for tep, rule in definitions.items()}


def _encoded(subs: Sequence[tuple[int, bytes | None]], global_byte: int | None) -> bytes:
    """A length byte before data, but for the last suboption's (section 4.4)."""
    return eno.encode(
        [
            tep if data is None else eno.Suboption(tep, 1, data, place != len(subs) - 1)
            for place, (tep, data) in enumerate(subs)
        ],
        global_byte,
    )


def offered(
    teps: Sequence[int], definitions: Definitions, global_byte: int, room: int = ROOM
) -> bytes | None:
    """The SYN's option; None if nothing fits."""
    host = global_byte & 1
    with_data = [t for t in teps if t in definitions and definitions[t].sent[host] is not None]
    for gone in range(len(with_data) + 1):
        subs: list[tuple[int, bytes | None]] = []
        for tep in teps:
            if tep not in with_data:
                subs.append((tep, None))
            elif tep not in with_data[:gone]:
                subs.append((tep, definitions[tep].sent[host]))
            elif 0 in definitions[tep].sizes[host]:
                subs.append((tep, None))
        if not host:  # A's order says nothing
            subs = [s for s in subs if s[1] is None] + [s for s in subs if s[1] is not None]
        option = _encoded(subs, global_byte or None)
        if len(option) <= room and bool(subs) == bool(teps):
            return option
    return None


def answered(
    syn: bytes,
    teps: Sequence[int],
    definitions: Definitions,
    global_byte: int,
    room: int = ROOM,
) -> bytes | None:
    """The SYN-ACK's option in answer to a well-formed one; None if no TEP is valid and fits."""
    for tep in reversed(teps):
        for data in dict.fromkeys(
            (definitions[tep].sent[1] if tep in definitions else None, None)
        ):
            option = _encoded([(tep, data)], global_byte)
            valid = eno.validity(
                tep, eno.parse(syn), eno.parse(option), True, None, sizes(definitions)
            )
            if valid and len(option) <= room:
                return option
    return None
