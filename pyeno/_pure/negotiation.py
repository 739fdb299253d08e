"""The pure twin of ext/cython/negotiation.pyx (RFC 8547 sections 4.3, 4.5, 4.6).

offer      a SYN's option from a list of TEPs
choose     host B's answer to host A's option
negotiate  both SYN-form options -> TEP, or the reason there is none
"""

from collections import Counter
from collections.abc import Iterable
from operator import index

from pyeno._pure.eno import HEADER_LEN, Syn, to_bytes, walk
from pyeno._values import Buffer, Outcome, Suboption
from pyeno._wording import (
    bad_half,
    bad_sent,
    bad_tep,
    ill_formed,
    repeated_tep,
    too_many_teps,
)
from pyeno.constants import (
    ENO_GLT,
    ENO_KIND,
    ENO_OPTION_MAX,
    ENO_TEP_MIN,
    ENO_V,
    GLOBAL_A,
    GLOBAL_B,
    Reason,
    Role,
)

_TCPCRYPT = range(0x21, 0x25)
# RFC 8548 section 3.5: nine bytes of identifier, nonce of at most eight
_RESUME_HALF, _NONCE_MAX = 9, 8


def _checked(teps: Iterable[int]) -> list[int]:
    """TEP identifiers without repetition (section 4.5, rule 3)."""
    wanted: list[int] = []
    for item in teps:
        tep = index(item)
        if not ENO_TEP_MIN <= tep <= ENO_GLT:
            raise bad_tep(len(wanted), tep)
        if tep in wanted:
            raise repeated_tep(len(wanted), tep)
        wanted.append(tep)
    return wanted


def _only(syn: Syn) -> dict[int, Suboption]:
    """By glt; a repeated TEP is none, no TEP here defines repetition (rule 3)."""
    count = Counter(sub.tep for sub in syn.teps)
    return {sub.tep: sub for sub in syn.teps if count[sub.tep] == 1}


def _proposes_resumption(sub: Suboption) -> bool:
    return sub.v and len(sub.data) >= _RESUME_HALF


def _well_sized(sub: Suboption) -> bool:
    return len(sub.data) <= _RESUME_HALF + _NONCE_MAX


def _offer_valid(a: Suboption) -> bool:
    """Section 4.5 rule 2 for what host A sent, judged alone."""
    return _well_sized(a) if a.tep in _TCPCRYPT else not a.v


def _pair_valid(a: Suboption, b: Suboption) -> bool:
    """Section 4.5 rule 2 for both hosts' data."""
    if not _offer_valid(a):
        return False
    if not b.v:
        return True
    resumes = _proposes_resumption(a) and _proposes_resumption(b)
    return b.tep in _TCPCRYPT and resumes and _well_sized(b)


def _judge(remote: Syn, local_global: int, mandatory: bool) -> Reason:
    """Section 4.6: what a received SYN-form option alone rules out."""
    if remote.reason:
        return remote.reason
    if not (remote.global_suboption ^ local_global) & GLOBAL_B:
        return Reason.SAME_ROLE
    if mandatory and not remote.global_suboption & GLOBAL_A:
        return Reason.PEER_NOT_AWARE
    if not remote.teps:
        return Reason.VACUOUS
    return Reason.NEGOTIATED


def _option(teps: list[int], value: int) -> bytes:
    """Figure 2; a global suboption of 0 is left implicit (section 4.2)."""
    contents = bytes([value, *teps] if value else teps)
    return bytes([ENO_KIND, HEADER_LEN + len(contents)]) + contents


def offer(teps: Iterable[int], *, role_b: bool = False, aware: bool = False) -> bytes:
    """A SYN's ENO option for an active opener (RFC 8547 sections 4.1, 4.2, 4.5).

    ``teps`` are TEP identifiers (0x20-0x7f) in wire order, increasing priority;
    none gives a vacuous option.  ``role_b`` sets b, ``aware`` sets a.  Raises
    ValueError for TEPs out of range, repeated, or beyond 40 bytes.
    """
    wanted = _checked(teps)
    value = (GLOBAL_B if role_b else 0) | (GLOBAL_A if aware else 0)
    room = ENO_OPTION_MAX - HEADER_LEN - (1 if value else 0)
    if len(wanted) > room:
        raise too_many_teps(len(wanted), room)
    return _option(wanted, value)


def choose(
    received: Buffer, teps: Iterable[int], *, aware: bool = False, mandatory: bool = False
) -> tuple[bytes, Reason]:
    """A passive opener's SYN-ACK option in answer to host A's (section 4.5).

    ``received`` is A's SYN-form option, ``teps`` what this host takes, in
    increasing priority; ``aware`` sets a, ``mandatory`` demands it of A.
    Returns the option, with b = 1 and exactly one TEP, and ``NEGOTIATED``; or
    ``b""``, which means to send none, and the reason.
    """
    remote = walk(to_bytes(received, "received"))
    wanted = _checked(teps)
    value = GLOBAL_B | (GLOBAL_A if aware else 0)
    if reason := _judge(remote, value, mandatory):
        return b"", reason
    offered = _only(remote)
    for tep in reversed(wanted):
        if tep in offered and _offer_valid(offered[tep]):
            return _option([tep], value), Reason.NEGOTIATED
    return b"", Reason.NO_VALID_TEP


def _checked_half(half: Buffer) -> bytes:
    given = bytes(memoryview(half))
    if len(given) != _RESUME_HALF:
        raise bad_half(len(given))
    return given


def _ignored(ours: Suboption, sub: Suboption, half: bytes) -> bool:
    """RFC 8548 section 3.5: "with the same TEP and an identifier-half that does not
    match" this host's proposal."""
    both = _proposes_resumption(ours) and _proposes_resumption(sub)
    return both and sub.tep in _TCPCRYPT and sub.data[:_RESUME_HALF] != half


def negotiate(
    sent: Buffer,
    received: Buffer,
    *,
    mandatory: bool = False,
    remote_half: Buffer | None = None,
) -> Outcome:
    """What the two SYN-form options lead to (sections 4.3, 4.5, 4.6, 4.8).

    ``sent`` is this host's option (ValueError if it is ill-formed), ``received``
    the remote one.  The Outcome's reason is ``NEGOTIATED`` or says why encryption
    is disabled; then all else but the role is void.

    ``remote_half``: the nine bytes that answer this host's resumption suboption; a
    remote one with others is ignored, as RFC 8548 section 3.5 demands.
    """
    local = walk(to_bytes(sent, "sent"))
    remote = walk(to_bytes(received, "received"))
    if local.reason:
        raise bad_sent(ill_formed(local.raw, len(local.raw), local.reason, local.at))
    half = None if remote_half is None else _checked_half(remote_half)
    role = Role.B if local.global_suboption & GLOBAL_B else Role.A
    if reason := _judge(remote, local.global_suboption, mandatory):
        return Outcome(reason, role)
    a, b = (remote, local) if role is Role.B else (local, remote)
    only_a, only_b = _only(a), _only(b)
    if half is not None:
        ours, theirs = (only_b, only_a) if role is Role.B else (only_a, only_b)
        for tep in ours.keys() & theirs.keys():
            if _ignored(ours[tep], theirs[tep], half):
                del theirs[tep]
    # section 4.5: the last valid TEP identifier in host B's option
    for sub in reversed(b.teps):
        if sub.tep in only_a and sub.tep in only_b and _pair_valid(only_a[sub.tep], sub):
            return Outcome(
                Reason.NEGOTIATED,
                role,
                bool(remote.global_suboption & GLOBAL_A),
                sub.tep | (ENO_V if sub.v else 0),
                sub.v,
                a.raw + b.raw,
            )
    return Outcome(Reason.NO_VALID_TEP, role)
