"""The pure twin of ext/cython/option.pyx: parse, find, encode (RFC 8547 section 4)."""

from collections.abc import Iterable
from operator import index
from typing import final

from pyeno._pure.eno import HEADER_LEN, LENGTH_NNNNN, Syn, to_bytes, walk
from pyeno._values import Buffer, Suboption
from pyeno._wording import bad_global, bad_tep, describe, ill_formed, overlong_header, refused
from pyeno.constants import (
    ENO_GLT,
    ENO_KIND,
    ENO_OPTION_MAX,
    ENO_TEP_MIN,
    ENO_V,
    GLOBAL_A,
    GLOBAL_B,
    GLOBAL_Z,
)

_EOL, _NOP = 0, 1

# enum eno_refusal of ext/wire/eno_encode.h
_DATA_WITHOUT_V, _LENGTH_BYTE_WITHOUT_V, _LENGTH_BYTE_RANGE, _OPTION_FULL = range(1, 5)


@final
class Option:
    """One SYN-form ENO option, taken apart; made by parse() and never changed."""

    __slots__ = ("_syn",)
    _syn: Syn

    def __init__(self) -> None:
        raise TypeError("Option: made by parse(), not by hand")

    @property
    def raw(self) -> bytes:
        """The whole option as received, kind and length bytes included."""
        return self._syn.raw

    @property
    def global_suboption(self) -> int:
        """The first global suboption; 0 if none was sent (section 4.2)."""
        return self._syn.global_suboption

    @property
    def explicit_global(self) -> bool:
        """Whether a global suboption was sent at all (section 4.2)."""
        return bool(self._syn.globals)

    @property
    def a(self) -> bool:
        """The application-aware bit (section 4.2)."""
        return bool(self.global_suboption & GLOBAL_A)

    @property
    def b(self) -> bool:
        """The passive role bit: True is role B (sections 4.2, 4.3)."""
        return bool(self.global_suboption & GLOBAL_B)

    @property
    def z(self) -> int:
        """The reserved bits z1-z3 in their place, 0x00-0x1c; to be ignored (section 4.2)."""
        return self.global_suboption & GLOBAL_Z

    @property
    def vacuous(self) -> bool:
        """Whether there is no TEP suboption (section 4.6)."""
        return not self._syn.teps

    @property
    def teps(self) -> tuple[Suboption, ...]:
        """The TEP suboptions in the order sent."""
        return self._syn.teps

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Option):
            return NotImplemented
        return self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return describe(self.raw, self.global_suboption, tuple(s.tep for s in self.teps))


def parse(option: Buffer, /) -> Option:
    """Take a whole SYN-form ENO option apart (RFC 8547 sections 4.1, 4.2, 4.4).

    Raises IllFormedOptionError with reason and offset.
    """
    syn = walk(to_bytes(option, "option"))
    if syn.reason:
        raise ill_formed(syn.raw, len(syn.raw), syn.reason, syn.at)
    made = Option.__new__(Option)
    made._syn = syn
    return made


def data_of(option: Buffer, tep: int, /) -> bytes | None:
    """The suboption data of a TEP in a SYN-form ENO option (RFC 8547 section 4.4), or None.

    As parse() and a search of its ``teps``; of a repeated TEP it is the first.
    """
    return next((sub.data for sub in parse(option).teps if sub.tep == tep), None)


def find(tcp_options: Buffer, /) -> tuple[bytes, ...]:
    """All ENO options among a TCP header's option bytes (at most 40), in order.

    An EOL or an impossible length ends the search, as in TCP implementations.
    A SYN with more than one counts as having none (RFC 8547 section 4.1).
    """
    options = to_bytes(tcp_options, "tcp_options")
    if len(options) > ENO_OPTION_MAX:
        raise overlong_header(len(options))
    found = []
    at = 0
    while at < len(options) and options[at] != _EOL:
        if options[at] == _NOP:
            at += 1
            continue
        end = at + options[at + 1] if at + 1 < len(options) else at
        if end < at + HEADER_LEN or end > len(options):
            break
        if options[at] == ENO_KIND:
            found.append(options[at:end])
        at = end
    return tuple(found)


def _suboption(item: Suboption | int, place: int, last: bool, room: int) -> bytes:
    """One TEP suboption's bytes (sections 4.1 and 4.4)."""
    sub = item if isinstance(item, Suboption) else Suboption(item)
    tep, v, data, length_byte = sub
    tep = index(tep)
    if not ENO_TEP_MIN <= tep <= ENO_GLT:
        raise bad_tep(place, tep)
    v, introduced = bool(v), bool(length_byte) or (bool(v) and not last)
    data = to_bytes(data, "data")
    size = len(data)
    if data and not v:
        raise refused(place, tep, _DATA_WITHOUT_V, size)
    if introduced and not v:
        raise refused(place, tep, _LENGTH_BYTE_WITHOUT_V, size)
    if introduced and not 1 <= size <= LENGTH_NNNNN + 1:
        raise refused(place, tep, _LENGTH_BYTE_RANGE, size)
    if introduced + 1 + size > room:
        raise refused(place, tep, _OPTION_FULL, size)
    length = bytes([ENO_V | (size - 1)]) if introduced else b""
    return length + bytes([tep | ENO_V if v else tep]) + data


def encode(
    suboptions: Iterable[Suboption | int], *, global_suboption: int | None = None
) -> bytes:
    """Build a SYN-form ENO option (RFC 8547 sections 4.1, 4.2, 4.4).

    ``suboptions`` are Suboption values or plain TEP identifiers, in increasing
    priority.  Length bytes are inserted only where needed.  ValueError says
    which suboption cannot be sent, and why.
    """
    items = list(suboptions)
    contents = bytearray()
    if global_suboption is not None:
        value = index(global_suboption)
        if not 0 <= value < ENO_TEP_MIN:
            raise bad_global(value)
        contents.append(value)
    for place, item in enumerate(items):
        room = ENO_OPTION_MAX - HEADER_LEN - len(contents)
        contents += _suboption(item, place, place == len(items) - 1, room)
    return bytes([ENO_KIND, HEADER_LEN + len(contents)]) + contents
