"""The pure twin of ext/cython/negotiation.pyx (RFC 8547 sections 4.3, 4.5, 4.6).

offer      a SYN's option from a list of TEPs
choose     host B's answer to host A's option
negotiate  both SYN-form options -> TEP, or the reason there is none
"""

from collections import Counter
from collections.abc import Iterable
from operator import index

from pyeno._pure.eno import HEADER_LEN, Syn, to_bytes, walk
from pyeno._tepdata import ROOM_MIN, checked
from pyeno._values import Buffer, Outcome, Suboption, TepData
from pyeno._wording import (
    bad_half,
    bad_room,
    bad_sent,
    bad_tep,
    ill_formed,
    no_room,
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

Rules = dict[int, TepData]
_NO_DATA = TepData(0)


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


def _offer_valid(a: Suboption, rules: Rules) -> bool:
    """Section 4.5 rule 2 for what host A sent, judged alone."""
    if a.tep in _TCPCRYPT:
        return _well_sized(a)
    rule = rules.get(a.tep)
    return len(a.data) in rule.from_a if rule else not a.v


def _pair_valid(a: Suboption, b: Suboption, rules: Rules) -> bool:
    """Section 4.5 rule 2 for both hosts' data."""
    if not _offer_valid(a, rules):
        return False
    if rule := rules.get(b.tep):
        return len(b.data) in rule.from_b
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


def _option(subs: Iterable[tuple[int, bytes | None]], value: int) -> bytes:
    """Figure 2; a global suboption of 0 is left implicit (section 4.2), a length byte
    precedes data that are not last (section 4.4)."""
    contents = bytes([value] if value else [])
    length_byte_at = -1
    for tep, data in subs:
        length_byte_at = -1 if data is None else len(contents)
        head = [tep] if data is None else [ENO_V | (len(data) - 1), ENO_V | tep]
        contents += bytes(head) + (data or b"")
    if length_byte_at >= 0:
        contents = contents[:length_byte_at] + contents[length_byte_at + 1 :]
    return bytes([ENO_KIND, HEADER_LEN + len(contents)]) + contents


def _offered(wanted: list[int], sent: dict[int, bytes], value: int) -> bytes:
    """Data last, where order says nothing, since the last need no length byte; host B's
    order is its priority (section 4.5)."""
    order = wanted if value & GLOBAL_B else sorted(wanted, key=sent.__contains__)
    return _option([(tep, sent.get(tep)) for tep in order], value)


def offer(
    teps: Iterable[int],
    *,
    role_b: bool = False,
    aware: bool = False,
    rules: Iterable[TepData] = (),
    room: int = ENO_OPTION_MAX,
) -> bytes:
    """A SYN's ENO option for an active opener (RFC 8547 sections 4.1, 4.2, 4.5).

    ``teps`` are TEP identifiers (0x20-0x7f) in wire order, increasing priority;
    none gives a vacuous option.  ``role_b`` sets b, ``aware`` sets a.  ``rules``:
    the TEPs that have suboption data, of which host A's come last.  Beyond ``room``
    bytes the data of the least preferred TEP give way, and where these may not be
    missing that TEP, until it fits.  Raises ValueError for TEPs out of range,
    repeated, or beyond 40 bytes.
    """
    wanted = _checked(teps)
    table = checked(rules)
    if not ROOM_MIN <= room <= ENO_OPTION_MAX:
        raise bad_room(room)
    value = (GLOBAL_B if role_b else 0) | (GLOBAL_A if aware else 0)
    data = {tep: rule.b if role_b else rule.a for tep, rule in table.items()}
    sent = {tep: own for tep, own in data.items() if own is not None and tep in wanted}
    count = len(wanted)
    while len(option := _offered(wanted, sent, value)) > room:
        least = next((tep for tep in wanted if tep in sent), None)
        if least is None:
            break
        del sent[least]
        if 0 not in (table[least].from_b if role_b else table[least].from_a):
            wanted.remove(least)
    if len(option) <= room and (wanted or not count):
        return option
    if table:
        raise no_room(count, room)
    raise too_many_teps(count, room - HEADER_LEN - (1 if value else 0))


def choose(
    received: Buffer,
    teps: Iterable[int],
    *,
    aware: bool = False,
    mandatory: bool = False,
    rules: Iterable[TepData] = (),
    room: int = ENO_OPTION_MAX,
) -> tuple[bytes, Reason]:
    """A passive opener's SYN-ACK option in answer to host A's (section 4.5).

    ``received`` is A's SYN-form option, ``teps`` what this host takes, in
    increasing priority; ``aware`` sets a, ``mandatory`` demands it of A.  ``rules``:
    the TEPs that have suboption data.  Returns the option, with b = 1 and exactly
    one TEP, and ``NEGOTIATED``; or ``b""``, which means to send none, and the reason.
    Beyond ``room`` bytes data that may be missing give way, then the TEP.
    """
    remote = walk(to_bytes(received, "received"))
    wanted = _checked(teps)
    table = checked(rules)
    if not ROOM_MIN <= room <= ENO_OPTION_MAX:
        raise bad_room(room)
    value = GLOBAL_B | (GLOBAL_A if aware else 0)
    if reason := _judge(remote, value, mandatory):
        return b"", reason
    offered = _only(remote)
    reason = Reason.NO_VALID_TEP
    for tep in reversed(wanted):
        if tep not in offered or not _offer_valid(offered[tep], table):
            continue
        rule = table.get(tep, _NO_DATA)
        if len(option := _option([(tep, rule.b)], value)) <= room:
            return option, Reason.NEGOTIATED
        if 0 in rule.from_b:
            return _option([(tep, None)], value), Reason.NEGOTIATED
        reason = Reason.NO_ROOM
    return b"", reason


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
    rules: Iterable[TepData] = (),
) -> Outcome:
    """What the two SYN-form options lead to (sections 4.3, 4.5, 4.6, 4.8).

    ``sent`` is this host's option (ValueError if it is ill-formed), ``received``
    the remote one.  The Outcome's reason is ``NEGOTIATED`` or says why encryption
    is disabled; then all else but the role is void.

    ``remote_half``: the nine bytes that answer this host's resumption suboption; a
    remote one with others is ignored, as RFC 8548 section 3.5 demands.

    ``rules``: which suboption data are valid (section 4.5, rule 2); of TEPs not among
    them, tcpcrypt's aside, none are.
    """
    local = walk(to_bytes(sent, "sent"))
    remote = walk(to_bytes(received, "received"))
    if local.reason:
        raise bad_sent(ill_formed(local.raw, len(local.raw), local.reason, local.at))
    table = checked(rules)
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
        valid = sub.tep in only_a and sub.tep in only_b
        if valid and _pair_valid(only_a[sub.tep], sub, table):
            return Outcome(
                Reason.NEGOTIATED,
                role,
                bool(remote.global_suboption & GLOBAL_A),
                sub.tep | (ENO_V if sub.v else 0),
                sub.v and sub.tep in _TCPCRYPT,
                a.raw + b.raw,
            )
    return Outcome(Reason.NO_VALID_TEP, role)
