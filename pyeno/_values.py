"""Frozen values that the stages exchange; no behaviour."""

from typing import NamedTuple, TypeAlias

from pyeno.constants import Reason, Role

Buffer: TypeAlias = bytes | bytearray | memoryview


class Suboption(NamedTuple):
    """One TEP suboption of a SYN-form option (RFC 8547 section 4.4)."""

    tep: int
    """glt, 0x20-0x7f"""
    v: bool = False
    """the high bit: suboption data follow"""
    data: bytes = b""
    """at most 38 bytes; may be empty although v is set"""
    length_byte: bool = False
    """whether a length byte introduced it"""


class TepData(NamedTuple):
    """What a TEP other than tcpcrypt's puts into its suboptions, and what it takes there
    (RFC 8547 sections 4.4, 4.5)."""

    tep: int
    a: bytes | None = None
    """1-16 bytes that this host sends as host A; None: v = 0"""
    b: bytes | None = None
    """the same as host B"""
    from_a: range = range(1)
    """how many bytes host A, whichever host that is, may send; v = 0 counts as none"""
    from_b: range = range(1)
    """the same of host B"""


class Outcome(NamedTuple):
    """What two SYN-form options lead to (RFC 8547 sections 4.3, 4.5, 4.8)."""

    reason: Reason
    """``NEGOTIATED``, or why encryption is disabled; the rest then is void"""
    role: Role
    """this host's role"""
    peer_aware: bool = False
    """the remote application-aware bit"""
    tep_byte: int = 0
    """the negotiated TEP as host B sent it, "v" included"""
    resumed: bool = False
    """both hosts sent well-sized resumption suboptions for it"""
    transcript: bytes = b""
    """A's option, then B's, kind and length bytes included"""
