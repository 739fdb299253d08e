"""The pure twin of ext/wire/eno.h: one SYN-form option's walk (RFC 8547 section 4).

What both pure stages, option and negotiation, are built on, as both compiled
ones are built on the header.
"""

from typing import NamedTuple

from pyeno._values import Buffer, Suboption
from pyeno.constants import ENO_GLT, ENO_KIND, ENO_OPTION_MAX, ENO_TEP_MIN, ENO_V, Reason

HEADER_LEN = 2
LENGTH_NNNNN = 0x1F


class Syn(NamedTuple):
    """One SYN-form option taken apart, as far as it is well-formed."""

    raw: bytes
    reason: Reason
    """``NEGOTIATED``, or why it is ill-formed"""
    at: int
    """the length byte to blame, if one is"""
    globals: bytes
    """every global suboption, of which only the first counts"""
    teps: tuple[Suboption, ...]

    @property
    def global_suboption(self) -> int:
        """The first one, or the implicit 0x00 (section 4.2)."""
        return self.globals[0] if self.globals else 0


def to_bytes(source: Buffer, name: str) -> bytes:
    """The bytes of a contiguous buffer; anything else is a TypeError or BufferError."""
    if isinstance(source, bytes):
        return source
    try:
        view = memoryview(source)
    except TypeError:
        raise TypeError(
            f"{name}: give a bytes-like object, not {type(source).__name__}"
        ) from None
    if not view.c_contiguous:
        raise BufferError("memoryview: underlying buffer is not C-contiguous")
    return view.tobytes()


def _with_length(raw: bytes, at: int) -> Suboption | Reason:
    """Section 4.4, figure 7: length byte, TEP identifier with v = 1, data."""
    end = at + 2 + (raw[at] & LENGTH_NNNNN) + 1
    if at + 1 >= len(raw):
        return Reason.LENGTH_BEYOND_END
    if raw[at + 1] < ENO_V | ENO_TEP_MIN:
        return Reason.LENGTH_BYTE_NOT_BEFORE_TEP
    if end > len(raw):
        return Reason.LENGTH_BEYOND_END
    return Suboption(raw[at + 1] & ENO_GLT, True, raw[at + 2 : end], True)


def walk(raw: bytes) -> Syn:
    """Take an option apart; its arms are the four rows of table 1 (section 4.1)."""
    size = len(raw)
    if not HEADER_LEN <= size <= ENO_OPTION_MAX or raw[0] != ENO_KIND or raw[1] != size:
        return Syn(raw, Reason.MALFORMED, 0, b"", ())
    global_bytes = bytearray()
    teps: list[Suboption] = []
    at = HEADER_LEN
    while at < size:
        byte = raw[at]
        if byte < ENO_TEP_MIN:  # global suboption
            global_bytes.append(byte)
            at += 1
        elif byte < ENO_V:  # TEP identifier without suboption data
            teps.append(Suboption(byte))
            at += 1
        elif byte < ENO_V | ENO_TEP_MIN:  # length byte
            found = _with_length(raw, at)
            if isinstance(found, Reason):
                return Syn(raw, found, at, bytes(global_bytes), tuple(teps))
            teps.append(found)
            at += 2 + len(found.data)
        else:  # TEP identifier followed by suboption data, to the option's end
            teps.append(Suboption(byte & ENO_GLT, True, raw[at + 1 :]))
            at = size
    return Syn(raw, Reason.NEGOTIATED, 0, bytes(global_bytes), tuple(teps))
