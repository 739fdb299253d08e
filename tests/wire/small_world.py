"""Hosts of the small world as kernel sockets, and what RFC 8547 says of them.

A ``Side`` configures a socket; ``three_way`` and ``crossed`` tell from the two
options, read by tests/oracle, how a connection of two of them must end.
"""

import random
import socket
from typing import NamedTuple

from oracle import OracleError, eno, tepdata
from oracle.tepdata import Definition

from pyeno import _tepdata, kernel
from pyeno.constants import Reason, Role, State
from pyeno.negotiation import TepData

ROOM = 36
"""bytes for ENO in a SYN without SACK, timestamps and window scale"""
OPTION_MAX = 40
TEPS = (0x21, 0x23, 0x30)
HALF = bytes(range(9))
# suboption data: resumption with nonces of 0 and 3 bytes, then what no TEP takes
DATA = (HALF, HALF + b"abc", bytes(18))
# the third TEP's: valid from both hosts, then from host A alone, then from neither
DEFINED = {0x30: Definition((b"ab", b"c"), (range(1, 4), range(3)))}
OTHER_DATA = (b"1", b"333", b"4444")
RULES = [TepData(tep, *rule.sent, *rule.sizes) for tep, rule in DEFINED.items()]
SIZES = tepdata.sizes(DEFINED)


class Side(NamedTuple):
    """How one host is configured."""

    passive: bool
    option: bytes
    """what it sends, unless a passive opener has to choose"""
    mandatory: bool
    by_teps: tuple[int, ...] = ()
    """given to the kernel as TEPs instead of as a raw option"""

    @property
    def b(self) -> int:
        return eno.parse(self.option).b

    @property
    def a(self) -> int:
        return eno.parse(self.option).a

    def configure(self, sock: socket.socket) -> None:
        aware = 2 if self.mandatory else self.a
        if self.by_teps:
            by = {"self_aware": aware, "role_b": bool(self.b) and not self.passive}
            assert kernel.configure(sock, teps=bytes(self.by_teps), data=RULES, **by)
        else:
            kernel.set_raw_option(sock, self.option)
            data = _tepdata.packed(RULES)
            sock.setsockopt(socket.IPPROTO_TCP, kernel.TCP_ENO_TEP_DATA, data)
            sock.setsockopt(socket.IPPROTO_TCP, kernel.TCP_ENO_SELF_AWARE, aware)


def drawn(draw: random.Random, passive: bool, b: bool) -> Side:
    """Any side of the small world."""
    teps = draw.sample(TEPS, draw.choice((0, 1, 1, 2, 2, 3, 3)))
    with_data = [draw.random() < 0.5 for tep in teps]
    mandatory = draw.random() < 0.2
    aware = draw.random() < (0.8 if mandatory else 0.5)
    if teps and not any(with_data) and draw.random() < 0.7:
        aware |= mandatory  # the kernel sets the bit itself
        option = tepdata.offered(teps, DEFINED, b | aware << 1)
        assert option
        return Side(passive, option, mandatory, tuple(teps))
    subs: list[eno.Suboption | int] = []
    for place, (tep, data) in enumerate(zip(teps, with_data, strict=True)):
        last = place == len(teps) - 1
        known = DATA if tep in eno.TCPCRYPT_TEPS else OTHER_DATA
        value = draw.choices(known, (4, 4, 1))[0]
        length_byte = not last or draw.random() < 0.3
        subs.append(eno.Suboption(tep, 1, value, length_byte) if data else tep)
    implicit = not b and not aware and draw.random() < 0.5
    option = eno.encode(subs, None if implicit else b | aware << 1)
    if len(option) > OPTION_MAX:
        return drawn(draw, passive, b)
    return Side(passive, option, mandatory)


class End(NamedTuple):
    """What TCP_ENO_RESULT has to say; void but for the reason unless NEGOTIATED."""

    reason: Reason
    role: Role = Role.A
    tep_byte: int = 0
    peer_aware: bool = False
    resumed: bool = False
    transcript: bytes = b""

    @classmethod
    def of(cls, result: kernel.Result) -> "End":
        encrypted = result.state is State.ENCRYPTED
        assert encrypted == (result.reason is Reason.NEGOTIATED), result
        if not encrypted:
            assert not result.transcript, result
            return cls(result.reason)
        return cls(
            result.reason, result.role, result.tep_byte, result.peer_aware, result.resumed,
            result.transcript,
        )  # fmt: skip


Ends = tuple[End, End]


def judged(mine: bytes, theirs: bytes, side: Side, passive: int | None) -> Reason:
    """Sections 4.2, 4.5, 4.6, as seen by the host that sent ``mine``."""
    remote = eno.parse(theirs)
    if remote.b == eno.parse(mine).b:
        return Reason.SAME_ROLE
    if side.mandatory and not remote.a:
        return Reason.PEER_NOT_AWARE
    if remote.vacuous:
        return Reason.VACUOUS
    try:
        eno.negotiate(mine, theirs, passive=passive, sizes=SIZES)
    except OracleError:
        return Reason.NO_VALID_TEP
    return Reason.NEGOTIATED


def encrypted(one: bytes, other: bytes, passive: int | None) -> Ends:
    """Both ends, once neither had anything against the other's option."""
    got = eno.negotiate(one, other, passive=passive, sizes=SIZES)
    roles = [Role[letter] for letter in got.roles]
    ends = [
        End(Reason.NEGOTIATED, role, got.tep_byte, bool(aware), got.mode == "resume",
            got.transcript)
        for role, aware in zip(roles, got.a_bits[::-1], strict=True)
    ]  # fmt: skip
    return ends[0], ends[1]


def chosen(side: Side, syn: bytes) -> bytes:
    """Section 4.5: the one TEP, last of its own, that a passive opener answers with."""
    return tepdata.answered(syn, side.by_teps, DEFINED, 1 | side.a << 1, ROOM) or b""


def three_way(active: Side, passive: Side) -> Ends:
    """How a three-way handshake ends: section 4.6, figures 9 to 11."""
    syn = active.option
    if len(syn) > ROOM:
        return End(Reason.NO_ROOM), End(Reason.SYN_WITHOUT_ENO)
    answer = passive.option
    there = judged(answer, syn, passive, 2)
    if passive.by_teps and there in (Reason.NEGOTIATED, Reason.NO_VALID_TEP):
        answer = chosen(passive, syn)
        there = Reason.NEGOTIATED if answer else Reason.NO_VALID_TEP
    silent = passive.by_teps or there is Reason.PEER_NOT_AWARE
    if there is not Reason.NEGOTIATED and silent:
        return End(Reason.SYN_ACK_WITHOUT_ENO), End(there)
    if len(answer) > ROOM:
        return End(Reason.SYN_ACK_WITHOUT_ENO), End(Reason.NO_ROOM)
    here = judged(syn, answer, active, 2)
    if here is not Reason.NEGOTIATED:
        return End(here), End(there or Reason.ACK_WITHOUT_ENO)
    return encrypted(syn, answer, 2)


def crossed(one: Side, other: Side) -> Ends:
    """How a simultaneous open ends: section 4.6, figure 12.

    The first "ACK segment" of rule 1 is the remote SYN-ACK, or an ACK that overtook it.
    """
    options = one.option, other.option
    lost = [len(option) > ROOM for option in options]
    if any(lost):
        here, there = (Reason.NO_ROOM if full else Reason.SYN_WITHOUT_ENO for full in lost)
        return End(here), End(there)
    here = judged(*options, one, None)
    there = judged(*options[::-1], other, None)
    if here or there:
        return End(here or Reason.ACK_WITHOUT_ENO), End(there or Reason.ACK_WITHOUT_ENO)
    return encrypted(*options, None)
