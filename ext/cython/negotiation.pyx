"""The compiled twin of pyeno/_pure/negotiation.py: ext/wire/eno_negotiate.h for Python."""

from libc.string cimport memcpy, memset

from eno cimport *
from eno_negotiate cimport *

from operator import index

from pyeno._tepdata import ROOM_MIN, packed
from pyeno._values import Outcome
from pyeno._wording import (
    bad_half, bad_room, bad_sent, bad_tep, ill_formed, no_room, repeated_tep, too_many_teps,
)
from pyeno.constants import Reason, Role

cdef tuple REASONS = tuple([Reason(number) for number in range(ENO_REASON_COUNT)])
cdef object new = tuple.__new__
cdef object ROLE_A = Role.A, ROLE_B = Role.B

# 0x20-0x7f without repetition
cdef enum:
    TEPS_MAX = 96


cdef int load_teps(object teps, eno_u8 *out) except -1:
    """TEP identifiers without repetition (section 4.5, rule 3); returns how many."""
    cdef eno_u8 seen[128]
    cdef int count = 0
    memset(seen, 0, sizeof(seen))
    for item in teps:
        tep = index(item)
        if not ENO_TEP_MIN <= tep <= ENO_GLT:
            raise bad_tep(count, tep)
        if seen[<eno_u8>tep]:
            raise repeated_tep(count, tep)
        seen[<eno_u8>tep] = 1
        out[count] = tep
        count += 1
    return count


cdef int load_rules(object rules, eno_tep_table *table) except -1:
    """What pyeno/_tepdata.py checked and packed, for C."""
    memset(table, 0, sizeof(table[0]))
    if type(rules) is tuple and not rules:
        return 0
    entries = packed(rules)
    memcpy(table, <const char *>entries, len(entries))
    return len(entries)


cdef int load_room(object room) except -1:
    if not ROOM_MIN <= room <= ENO_OPTION_MAX:
        raise bad_room(room)
    return room


def offer(teps, *, role_b=False, aware=False, rules=(), room=ENO_OPTION_MAX):
    """A SYN's ENO option for an active opener (RFC 8547 sections 4.1, 4.2, 4.5).

    ``teps`` are TEP identifiers (0x20-0x7f) in wire order, increasing priority;
    none gives a vacuous option.  ``role_b`` sets b, ``aware`` sets a.  ``rules``:
    the TEPs that have suboption data, of which host A's come last.  Beyond ``room``
    bytes the data of the least preferred TEP give way, and where these may not be
    missing that TEP, until it fits.  Raises ValueError for TEPs out of range,
    repeated, or beyond 40 bytes.
    """
    cdef eno_u8 wanted[TEPS_MAX]
    cdef eno_offering o
    cdef eno_tep_table table
    cdef int count = load_teps(teps, wanted)
    cdef int with_data = load_rules(rules, &table)
    cdef int most = load_room(room)
    cdef eno_u8 value = (ENO_GLOBAL_B if role_b else 0) | (ENO_GLOBAL_A if aware else 0)
    cdef eno_u8 size = eno_offer(&o, &table, wanted, <eno_u8>count, value, <eno_u8>most)
    if not size and with_data:
        raise no_room(count, most)
    if not size:
        raise too_many_teps(count, most - ENO_HEADER_LEN - (1 if value else 0))
    return o.option[:size]


def choose(received, teps, *, aware=False, mandatory=False, rules=(), room=ENO_OPTION_MAX):
    """A passive opener's SYN-ACK option in answer to host A's (section 4.5).

    ``received`` is A's SYN-form option, ``teps`` what this host takes, in
    increasing priority; ``aware`` sets a, ``mandatory`` demands it of A.  ``rules``:
    the TEPs that have suboption data.  Returns the option, with b = 1 and exactly
    one TEP, and ``NEGOTIATED``; or ``b""``, which means to send none, and the reason.
    Beyond ``room`` bytes data that may be missing give way, then the TEP.
    """
    cdef eno_u8 wanted[TEPS_MAX]
    cdef eno_u8 option[40]
    cdef eno_u8 size
    cdef eno_syn remote
    cdef eno_tep_table table
    cdef eno_reason reason
    memset(&remote, 0, sizeof(remote))
    load(received, &remote, "received")
    eno_syn_parse(&remote)
    cdef int count = load_teps(teps, wanted)
    load_rules(rules, &table)
    cdef int most = load_room(room)
    cdef bint self_aware = aware, mandatory_aware = mandatory
    reason = eno_choose(&remote, wanted, <eno_u8>count, self_aware, mandatory_aware, &table,
                        <eno_u8>most, option, &size)
    return option[:size], REASONS[reason]


cdef int load_half(object half, eno_u8 *out) except -1:
    """RFC 8548 section 3.5: nine bytes of a resumption identifier."""
    given = bytes(memoryview(half))
    if len(given) != TCPCRYPT_RESUME_HALF:
        raise bad_half(len(given))
    memcpy(out, <const char *>given, TCPCRYPT_RESUME_HALF)
    return 0


def negotiate(sent, received, *, mandatory=False, remote_half=None, rules=()):
    """What the two SYN-form options lead to (sections 4.3, 4.5, 4.6, 4.8).

    ``sent`` is this host's option (ValueError if it is ill-formed), ``received``
    the remote one.  The Outcome's reason is ``NEGOTIATED`` or says why encryption
    is disabled; then all else but the role is void.

    ``remote_half``: the nine bytes that answer this host's resumption suboption; a
    remote one with others is ignored, as RFC 8548 section 3.5 demands.

    ``rules``: which suboption data are valid (section 4.5, rule 2); of TEPs not among
    them, tcpcrypt's aside, none are.
    """
    cdef eno_u8 half[9]
    cdef eno_tep_table table
    cdef eno_syn local, remote
    cdef eno_outcome out
    cdef Py_ssize_t size
    memset(&local, 0, sizeof(local))
    memset(&remote, 0, sizeof(remote))
    memset(&out, 0, sizeof(out))
    size = load(sent, &local, "sent")
    load(received, &remote, "received")
    if eno_syn_parse(&local) != ENO_NEGOTIATED:
        raise bad_sent(ill_formed(local.option[:min(size, ENO_OPTION_MAX)], size,
                                  local.reason, local.at - 1))
    eno_syn_parse(&remote)
    load_rules(rules, &table)
    if remote_half is not None:
        load_half(remote_half, half)
        eno_ignore_other_halves(&local, &remote, half)
    eno_negotiate(&local, &remote, mandatory, &table, &out)
    role = ROLE_B if out.local_b else ROLE_A
    if out.reason != ENO_NEGOTIATED:
        return Outcome(REASONS[out.reason], role)
    mine, theirs = local.option[:local.len], remote.option[:remote.len]
    transcript = theirs + mine if out.local_b else mine + theirs
    # past the Python code of a NamedTuple's own __new__
    return new(Outcome, (REASONS[0], role, out.peer_aware != 0, out.tep_byte,
                         out.resumed != 0, transcript))
