"""Two hosts, every way they can meet (RFC 8547 sections 4.2-4.8).

However they are configured, and whatever the wire does, they end agreed on TEP,
transcript and opposite roles, or both with encryption disabled.  The one
exception is section 9's type-2 failure: ENO stripped only from the last ACK
segment.
"""

import random
from collections.abc import Iterator
from itertools import (
    chain,
    combinations,
    combinations_with_replacement,
    permutations,
    product,
)

import pytest
from two_hosts import ACK, SYN, SYN_ACK, Opener, Options, Side, Wire, agreed, expected, meet

from pyeno._values import Outcome, Suboption, TepData
from pyeno.constants import Reason
from pyeno.negotiation import EncryptionDisabled, Segment
from pyeno.option import encode

# Every side of the small world.

PLAIN = tuple(Suboption(tep) for tep in (0x21, 0x23, 0x30))
DATA = (
    Suboption(0x21, True, b"identifynonce_21"),
    Suboption(0x23, True, b"identify9"),
    Suboption(0x30, True, b"other"),
)


def offers(most: int) -> Iterator[tuple[Suboption, ...]]:
    """Up to ``most`` different TEPs, each with or without data, in any order."""
    for teps in chain.from_iterable(permutations(range(3), n) for n in range(most + 1)):
        for with_data in product((PLAIN, DATA), repeat=len(teps)):
            last = len(teps) - 1
            yield tuple(
                sub[tep]._replace(length_byte=sub is DATA and place != last)
                for place, (tep, sub) in enumerate(zip(teps, with_data, strict=True))
            )


UPTO_2, OFFERS = tuple(offers(2)), tuple(offers(3))
BITS = tuple(product((False, True), repeat=2))
CONFIGURED = tuple(product(BITS, OFFERS))  # ((aware, mandatory), offer)
PASSIVE = (True, True)  # section 4.2: b MUST be 1 for all passive openers
# (passive, b) of both hosts: three-way handshakes, then simultaneous opens
OPENS = [((False, b), PASSIVE) for b in (False, True)]
OPENS += [((False, b), (False, c)) for b, c in BITS if b <= c]
GOOD = [
    (Side(False, False, False, False, offer), Side(*other, True, False, offer))
    for other in (PASSIVE, (False, True))
    for offer in (PLAIN[:2], (PLAIN[2], DATA[1]))
]
NAMES = ["three-way fresh", "three-way resumed", "crossing fresh", "crossing resumed"]
every_open = pytest.mark.parametrize("first, second", OPENS, ids=str)
good_sides = pytest.mark.parametrize("sides", GOOD, ids=NAMES)


def meets_as_expected(one: Side, other: Side) -> bool:
    tep_byte = agreed(one, other, meet(one, other))
    assert tep_byte == expected(one, other), (one, other)
    return tep_byte is not None


@pytest.mark.rfc(
    "8547:4.2-8",
    "8547:4.3-1",
    "8547:4.3-3",
    "8547:4.5-1",
    "8547:4.5-6",
    "8547:4.6-5",
    "8547:4.6-6",
    "8547:4.6-15",
)
@every_open
def test_every_pair(first: Opener, second: Opener) -> None:
    """RFC 8547 sections 4.2-4.6, 4.8: all roles, a bits, mandatory modes and offers."""
    assert len(OFFERS) == 1 + 3 * 2 + 6 * 4 + 6 * 8
    if first == second:  # either may be called the first
        configured = combinations_with_replacement(CONFIGURED, 2)
    else:
        configured = product(CONFIGURED, CONFIGURED)
    met = [
        meets_as_expected(Side(*first, *mine, a), Side(*second, *theirs, b))
        for (mine, a), (theirs, b) in configured
    ]
    assert any(met) == (first[1] != second[1])


# host A may send the five bytes or none, host B must send them; or the other way round
RULES = [
    (TepData(0x30, None, b"other", range(6), range(5, 6)),),
    (TepData(0x30, b"other", None, range(5, 6), range(6)),),
]


@pytest.mark.rfc("8547:4.5-2")
@pytest.mark.parametrize("rules", RULES, ids=["B sends", "A sends"])
@every_open
def test_every_pair_with_suboption_data(
    first: Opener, second: Opener, rules: tuple[TepData, ...]
) -> None:
    """RFC 8547 section 4.5 rule 2: sizes by role, whoever opened, in whatever order."""
    met = [
        meets_as_expected(
            Side(*first, False, False, a, rules=rules),
            Side(*second, False, False, b, rules=rules),
        )
        for a, b in product(OFFERS, OFFERS)
    ]
    assert any(met) == (first[1] != second[1])


@pytest.mark.parametrize("b", BITS, ids=str)
def test_nobody_is_first_in_a_simultaneous_open(b: tuple[bool, bool]) -> None:
    """RFC 8547 section 4.2: whichever host is called the first, it ends the same."""
    for place, ((mine, x), (theirs, y)) in enumerate(product(CONFIGURED, CONFIGURED)):
        if place % 97:
            continue
        one, other = Side(False, b[0], *mine, x), Side(False, b[1], *theirs, y)
        assert meet(other, one) == meet(one, other)[::-1]


@pytest.mark.rfc("8547:4.5-4", "8547:4.5-5")
def test_every_choice_of_a_passive_opener() -> None:
    """RFC 8547 section 4.5: the SYN-ACK's only TEP is the best valid one."""
    taken = [o for o in OFFERS if not any(sub.v for sub in o)]
    assert len(taken) == 1 + 3 + 6 + 6
    for mine, theirs, a, b in product(BITS, BITS, OFFERS, taken):
        passive = Side(*PASSIVE, *theirs, b, choosing=True)
        meets_as_expected(Side(False, False, *mine, a), passive)


@pytest.mark.rfc("8547:4.5-3")
def test_sampled_repetition() -> None:
    """RFC 8547 section 4.5 rule 3: an identifier sent twice is not valid."""
    draw = random.Random(8547)
    met = 0
    for _ in range(4000):
        first, second = draw.choice(OPENS)
        a, b = ((*draw.choices(PLAIN, k=2), *draw.choice(OFFERS)) for _ in range(2))
        mine, theirs = draw.choice(BITS), draw.choice(BITS)
        met += meets_as_expected(Side(*first, *mine, a), Side(*second, *theirs, b))
    assert met > 50


# Lossy, duplicating, reordering wires: same end as the lossless one.

FIRST_SIX = [set(c) for n in range(7) for c in combinations(range(6), n)]


@good_sides
def test_every_loss_and_duplication(sides: tuple[Side, Side]) -> None:
    """RFC 8547 section 4.6: identical retransmissions make loss harmless."""
    wanted = expected(*sides)
    assert wanted is not None
    for lost, doubled in product(FIRST_SIX, FIRST_SIX):

        def wire(n: int, host: int, segment: Segment, options: Options) -> list[Options]:
            return [] if n in lost else [options] * (1 + (n in doubled))  # noqa: B023

        assert agreed(*sides, meet(*sides, wire)) == wanted


@good_sides
def test_sampled_reordering(sides: tuple[Side, Side]) -> None:
    """RFC 8547 section 4.6: any order, with loss and duplicates, ends the same."""
    for seed in range(1000):
        draw = random.Random(seed)

        def wire(n: int, host: int, segment: Segment, options: Options) -> list[Options]:
            copies = 1 if n > 12 else draw.choice((0, 1, 1, 2))  # noqa: B023
            return [options] * copies

        assert agreed(*sides, meet(*sides, wire, draw)) == expected(*sides)


# Stripping wires: every subset of segment kinds and directions.

KINDS = tuple(product((0, 1), Segment))
STRIPS = [frozenset(c) for n in range(7) for c in combinations(KINDS, n)]


def stripping(stripped: frozenset[tuple[int, Segment]]) -> Wire:
    return lambda n, host, segment, options: [[] if (host, segment) in stripped else options]


def type_2(sides: tuple[Side, Side], stripped: frozenset[tuple[int, Segment]]) -> int | None:
    """Section 9: the host that alone has encryption enabled, if one has.

    Its peer's first ACK segment (4.6 rule 1) came stripped, after the SYNs had
    passed; in a simultaneous open the crossing SYN-ACKs are those ACK segments.
    """
    if stripped & {(0, SYN), (1, SYN)}:
        return None
    if sides[1].passive:
        return 0 if (0, ACK) in stripped and (1, SYN_ACK) not in stripped else None
    from_each = [(host, SYN_ACK) in stripped for host in (0, 1)]
    return from_each.index(True) if from_each[0] != from_each[1] else None


@pytest.mark.rfc("8547:4.6-4")
@good_sides
def test_every_stripping(sides: tuple[Side, Side]) -> None:
    """RFC 8547 section 4.6 rule 1, figures 10 and 11; section 9 for type 2."""
    three_way, failures = sides[1].passive, 0
    for stripped in STRIPS:
        # a passive opener sends no SYN-only segment, an active one here no SYN-ACK
        if three_way and stripped & {(0, SYN_ACK), (1, SYN)}:
            continue
        results = meet(*sides, stripping(stripped))
        alone = type_2(sides, stripped)
        if alone is None:
            harmless = {(1, ACK)} if three_way else {(0, ACK), (1, ACK)}
            assert (agreed(*sides, results) is not None) == (stripped <= harmless)
        else:
            failures += 1
            assert isinstance(results[alone], Outcome)
            reason = Reason.ACK_WITHOUT_ENO if three_way else Reason.SYN_ACK_WITHOUT_ENO
            assert results[1 - alone] == EncryptionDisabled(reason)
    assert failures


@good_sides
def test_every_stripping_with_loss(sides: tuple[Side, Side]) -> None:
    """RFC 8547 sections 4.6, 9: only its stripped ACK segments leave one host alone."""
    for stripped, lost in product(STRIPS, FIRST_SIX):
        strip = stripping(stripped)

        def wire(n: int, host: int, segment: Segment, options: Options) -> list[Options]:
            return [] if n in lost else strip(n, host, segment, options)  # noqa: B023

        results = meet(*sides, wire)
        enabled = [n for n, result in enumerate(results) if isinstance(result, Outcome)]
        if len(enabled) != 1:
            agreed(*sides, results)
            continue
        alone = enabled[0]
        assert stripped & {(alone, SYN_ACK), (alone, ACK)}
        assert results[1 - alone] in (
            EncryptionDisabled(Reason.ACK_WITHOUT_ENO),
            EncryptionDisabled(Reason.SYN_ACK_WITHOUT_ENO),
        )


def test_an_echo_never_encrypts() -> None:
    """RFC 8547 section 4.6 rule 3: who echoes unknown options echoes b."""
    for offer, b, (aware, mandatory) in product(UPTO_2, (False, True), BITS):
        one = Side(False, b, aware, mandatory, offer)
        option = encode(offer, global_suboption=b | aware << 1 or None)

        def echo(n: int, host: int, segment: Segment, options: Options) -> list[Options]:
            return [[option] if segment is SYN_ACK else options]  # noqa: B023

        active, passive = meet(one, Side(*PASSIVE, False, False, ()), echo)
        assert active == EncryptionDisabled(Reason.SAME_ROLE)
        assert isinstance(passive, EncryptionDisabled)


@pytest.mark.rfc("8547:4.1-8")
def test_options_repeated_in_a_syn() -> None:
    """RFC 8547 section 4.1: more than one ENO option counts as none."""
    for repeated in (SYN, SYN_ACK):

        def wire(n: int, host: int, segment: Segment, options: Options) -> list[Options]:
            return [[*options, *options] if segment is repeated else options]  # noqa: B023

        for sides in GOOD:
            results = meet(*sides, wire)
            assert agreed(*sides, results) is None
            assert EncryptionDisabled(Reason.REPEATED_OPTION) in results
