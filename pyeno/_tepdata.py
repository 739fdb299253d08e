"""Tables of suboption data (RFC 8547 sections 4.4, 4.5), checked for whoever takes them.

Both twins of the negotiation, and ``struct eno_tep_data`` of ext/wire/eno_tep_data.h
for the kernel.
"""

import struct
from collections.abc import Iterable
from typing import Final

from pyeno._values import TepData
from pyeno._wording import (
    bad_data,
    bad_sizes,
    bad_tep,
    not_tep_data,
    own_data,
    repeated_tep,
    tcpcrypts_data,
    too_many_rules,
)
from pyeno.constants import ENO_GLT, ENO_OPTION_MAX, ENO_TEP_MIN, Role

RULES_MAX: Final = 4
SENT_MAX: Final = 16
"""bytes of data in one suboption: what a SYN-ACK has room for beside timestamps"""
RECEIVED_MAX: Final = ENO_OPTION_MAX - 3
"""kind, length and TEP identifier take the rest"""

ROOM_MIN: Final = 4
"""header, global suboption, TEP identifier"""

_ENTRY = struct.Struct("=7Bx16s16s")
_TCPCRYPT = range(0x21, 0x25)


def _sent(place: int, tep: int, role: Role, data: bytes | None, sizes: range) -> bytes | None:
    """What one role sends, held against what is valid from it."""
    if (
        not isinstance(sizes, range)
        or sizes.step != 1
        or not sizes
        or sizes.start < 0
        or sizes[-1] > RECEIVED_MAX
    ):
        raise bad_sizes(place, tep, role, sizes, RECEIVED_MAX)
    given = None if data is None else bytes(memoryview(data))
    if given is not None and not 1 <= len(given) <= SENT_MAX:
        raise bad_data(place, tep, role, len(given), SENT_MAX)
    if len(given or b"") not in sizes:
        raise own_data(place, tep, role, len(given or b""), sizes)
    return given


def checked(rules: Iterable[TepData]) -> dict[int, TepData]:
    """By TEP; ValueError for what cannot be meant."""
    table: dict[int, TepData] = {}
    for place, rule in enumerate(rules):
        if not isinstance(rule, TepData):
            raise not_tep_data(place, rule)
        tep = rule.tep
        if place == RULES_MAX:
            raise too_many_rules(RULES_MAX)
        if not ENO_TEP_MIN <= tep <= ENO_GLT:
            raise bad_tep(place, tep)
        if tep in _TCPCRYPT:
            raise tcpcrypts_data(place, tep)
        if tep in table:
            raise repeated_tep(place, tep)
        a = _sent(place, tep, Role.A, rule.a, rule.from_a)
        b = _sent(place, tep, Role.B, rule.b, rule.from_b)
        table[tep] = TepData(tep, a, b, rule.from_a, rule.from_b)
    return table


def packed(rules: Iterable[TepData]) -> bytes:
    """``struct eno_tep_data`` of each; ValueError as by :func:`checked`."""
    return b"".join(
        _ENTRY.pack(
            rule.tep, len(rule.a or b""), len(rule.b or b""),
            rule.from_a.start, rule.from_b.start, rule.from_a[-1], rule.from_b[-1],
            rule.a or b"", rule.b or b"",
        )
        for rule in checked(rules).values()
    )  # fmt: skip
