"""The small world with sessions to resume (RFC 8548 section 3.5).

Whatever two hosts propose, and whoever knows what, they end agreed on TEP,
transcript, resumption and opposite roles, or both with encryption disabled.
"""

from collections.abc import Iterator
from itertools import permutations, product
from typing import NamedTuple

import pytest
from two_hosts import Host, agreed, meet

from pyeno._values import Outcome, Suboption
from pyeno.constants import Reason
from pyeno.negotiation import EncryptionDisabled, Negotiator
from pyeno.option import encode, parse

TEPS = (0x21, 0x23, 0x30)
HALF = 9
HOSTS = (0, 1)
Halves = dict[int, tuple[bytes, bytes]]


def session(name: bytes) -> Halves:
    """By TEP: the halves that host 0 and host 1 send."""
    return {
        tep: (b"h0 %4x %c" % (tep, name[0]), b"h1 %4x %c" % (tep, name[0])) for tep in TEPS[:2]
    }


SHARED = session(b"s")
FORGOTTEN = session(b"f"), session(b"g")  # known to host 0, and to host 1, alone
NONCES = (b"", b"eight by")
Offer = tuple[Suboption, ...]


class Side(NamedTuple):
    """One host; ``half``: what would answer the session it proposes."""

    number: int
    passive: bool
    b: bool
    offer: Offer
    half: bytes | None = None
    aware: bool = False
    mandatory: bool = False

    def host(self) -> Host:
        if self.passive:
            return Host(Negotiator.passive(answer=self.answer), True)
        option = encode(self.offer, global_suboption=int(self.b) or None)
        return Host(Negotiator.active(option, remote_half=self.half), False)

    def answer(self, received: bytes) -> bytes:
        """Resumes what names a session known here, or else the last TEP it has as well."""
        taken = self.resumed(parse(received).teps) or self.fresh(parse(received).teps)
        return encode([taken], global_suboption=1) if taken else b""

    def resumed(self, teps: Offer) -> Suboption | None:
        for sub in teps:
            if sub.v and sub.data[:HALF] == SHARED[sub.tep][1 - self.number]:
                ours = next((mine for mine in self.offer if mine.tep == sub.tep), None)
                if ours is not None:
                    return Suboption(sub.tep, True, SHARED[sub.tep][self.number] + b"nonce")
        return None

    def fresh(self, teps: Offer) -> Suboption | None:
        offered = {sub.tep for sub in teps}
        both = [Suboption(sub.tep) for sub in self.offer if sub.tep in offered]
        return both[-1] if both else None


class Rude(Side):
    """A passive opener that answers with its offer, whatever it was asked."""

    __slots__ = ()

    def answer(self, received: bytes) -> bytes:
        return encode(self.offer, global_suboption=1)


def offers(number: int) -> Iterator[tuple[Offer, bytes | None]]:
    """Up to three TEPs in any order; at most one proposes a session, of either kind."""
    for count in range(4):
        for teps in permutations(TEPS, count):
            yield tuple(map(Suboption, teps)), None
            for tep, sessions in product(
                set(teps) & SHARED.keys(), (SHARED, FORGOTTEN[number])
            ):
                data = sessions[tep][number] + NONCES[teps.index(tep) % 2]
                yield (
                    tuple(
                        Suboption(each, True, data, each != teps[-1])
                        if each == tep
                        else Suboption(each)
                        for each in teps
                    ),
                    sessions[tep][1 - number],
                )


OFFERS = tuple(tuple(offers(number)) for number in HOSTS)
PASSIVE = tuple(tuple(map(Suboption, teps)) for n in range(4) for teps in permutations(TEPS, n))


def outcome(a: Suboption, b: Suboption) -> bool | None:
    """Whether one TEP that both sent is resumed; None if it is not valid."""
    if not b.v:
        return False
    pair = {a.data[:HALF], b.data[:HALF]}
    known = SHARED.get(a.tep)
    return True if a.v and known and pair == set(known) else None


def expected(one: Side, other: Side) -> int | None:
    """The TEP byte, from both offers as they are sent."""
    sides = {side.b: side for side in (one, other)}
    if len(sides) != 2:
        return None
    sent = {b: side.offer for b, side in sides.items()}
    if sides[True].passive and sent[False]:
        answer = sides[True].answer(encode(sent[False]))
        sent[True] = parse(answer).teps if answer else ()
    for sub in reversed(sent[True]):
        theirs = next((a for a in sent[False] if a.tep == sub.tep), None)
        if theirs is not None and outcome(theirs, sub) is not None:
            return sub.tep | sub.v << 7
    return None


def ends_as_expected(one: Side, other: Side) -> int | None:
    results = meet(one, other)  # type: ignore[arg-type]
    tep_byte = agreed(one, other, results)  # type: ignore[arg-type]
    assert tep_byte == expected(one, other), (one, other, results)
    if tep_byte is not None:
        assert isinstance(results[0], Outcome)
        assert results[0].resumed == (tep_byte >= 0x80)
    return tep_byte


def test_every_proposal_to_a_passive_opener() -> None:
    """Known, forgotten or no session, beside other TEPs, in any order."""
    assert len(OFFERS[0]) == 1 + 3 + 2 * 2 + 6 + 8 * 2 + 6 + 12 * 2
    met = [
        ends_as_expected(Side(0, False, False, *mine), Side(1, True, True, theirs))
        for mine, theirs in product(OFFERS[0], PASSIVE)
    ]
    assert {None, 0x21, 0x23, 0x30, 0xA1, 0xA3} == set(met)


@pytest.mark.parametrize("b", [(False, False), (False, True), (True, False), (True, True)])
def test_every_simultaneous_open(b: tuple[bool, bool]) -> None:
    """ "two hosts that simultaneously send SYN segments with compatible resumption
    suboptions MAY resume the associated session"."""
    met = {
        ends_as_expected(Side(0, False, b[0], *mine), Side(1, False, b[1], *theirs))
        for mine, theirs in product(*OFFERS)
    }
    assert met == ({None, 0x21, 0x23, 0x30, 0xA1, 0xA3} if b[0] != b[1] else {None})


WRONG = tuple(
    Suboption(tep, True, half + nonce)
    for tep, sessions, nonce in product(SHARED, (SHARED, *FORGOTTEN), NONCES)
    for half in sessions[tep]
)


def test_an_answer_that_was_not_asked_for() -> None:
    """ "it MUST ignore that suboption": as the only one, it disables encryption."""
    met = 0
    for mine, wrong in product(OFFERS[0], WRONG):
        active, passive = Side(0, False, False, *mine), Rude(1, True, True, (wrong,))
        if not active.offer:
            continue
        tep_byte = agreed(active, passive, meet(active, passive))  # type: ignore[arg-type]
        proposed = next((sub for sub in active.offer if sub.v), None)
        right = proposed and proposed.tep == wrong.tep and wrong.data[:HALF] == active.half
        assert tep_byte == (0x80 | wrong.tep if right else None)
        met += tep_byte is not None
    assert met > 20


@pytest.mark.parametrize("half", [b"", b"8 bytes.", b"10 bytes.."])
def test_a_proposal_knows_its_answer(half: bytes) -> None:
    """Nine bytes, or the caller is mistaken; nothing was sent."""
    with pytest.raises(ValueError, match="remote_half"):
        Negotiator.active(encode([Suboption(0x21, True, b"nine byte")]), remote_half=half)


def test_the_reason() -> None:
    active = Side(0, False, False, *OFFERS[0][5])
    assert active.half is not None
    wrong = Rude(1, True, True, (Suboption(active.offer[0].tep, True, b"anything9"),))
    results = meet(active, wrong)  # type: ignore[arg-type]
    assert results[0] == EncryptionDisabled(Reason.NO_VALID_TEP)
    assert results[1] == EncryptionDisabled(Reason.ACK_WITHOUT_ENO)
