"""Two Negotiators, a wire, and as much of TCP as the handshake needs; no sockets.

``meet`` runs one connection to its end, ``agreed`` checks that both hosts hold
the same, ``expected`` says from RFC 8547 section 4.5 alone what should come out.
"""

import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from pyeno._values import Outcome, Suboption, TepData
from pyeno.constants import Role
from pyeno.negotiation import EncryptionDisabled, Negotiator, Progress, Segment
from pyeno.option import encode

SYN, SYN_ACK, ACK = Segment.SYN, Segment.SYN_ACK, Segment.ACK
Options = Sequence[bytes]
Opener = tuple[bool, bool]
# (number of the transmission, sending host, segment, its options) -> deliveries
Wire = Callable[[int, int, Segment, Options], list[Options]]


# (state, received segment) -> (next state, answer)
ACCEPTED: dict[tuple[str, Segment], tuple[str, Segment | None]] = {
    ("LISTEN", SYN): ("SYN_RECEIVED", SYN_ACK),
    ("SYN_SENT", SYN): ("SYN_RECEIVED", SYN_ACK),
    ("SYN_SENT", SYN_ACK): ("ESTABLISHED", ACK),
    ("SYN_RECEIVED", SYN): ("SYN_RECEIVED", SYN_ACK),
    ("SYN_RECEIVED", ACK): ("ESTABLISHED", None),
}
BY_ACTIVE_OPENERS = ACCEPTED | {("SYN_RECEIVED", SYN_ACK): ("ESTABLISHED", ACK)}
REPEATED = {"SYN_SENT": SYN, "SYN_RECEIVED": SYN_ACK}


class Host:
    """RFC 9293 section 3.10.7's handshake, watched for what section 4.6 demands of it."""

    def __init__(self, eno: Negotiator, passive: bool) -> None:
        self.eno, self.passive = eno, passive
        self.tcp = "LISTEN" if passive else "CLOSED"
        self.heard_non_syn = False
        self.syn_form = b""

    def send(self, segment: Segment) -> Options:
        option = self.eno.send(segment)
        if self.eno.progress is Progress.DISABLED:
            assert option == b"", "4.6: refrain from sending any further ENO options"
        elif not self.heard_non_syn:
            assert option, "4.6: MUST include an ENO option in every TCP segment"
        if option and segment is not ACK:
            assert option == (self.syn_form or option), "4.6: MUST NOT alter"
            self.syn_form = option
        elif option:
            assert option == b"\x45\x02", "4.1: the contents MUST be zero bytes"
        return [option] if option else []

    def receive(self, segment: Segment, options: Options) -> Segment | None:
        """Returns the segment to answer with."""
        if self.tcp == "ESTABLISHED":
            self.eno.receive(segment, options)
            self.heard_non_syn |= segment is ACK
            return None if segment is ACK else ACK  # a duplicate: challenge ACK
        row = (ACCEPTED if self.passive else BY_ACTIVE_OPENERS).get((self.tcp, segment))
        if row is None:
            return None
        self.tcp, answer = row
        self.eno.receive(segment, options)
        self.heard_non_syn |= segment is ACK
        return answer

    def timer(self, peer: "Host") -> Segment | None:
        """What to send when nothing is under way."""
        if self.tcp == "ESTABLISHED":
            return None if peer.heard_non_syn else ACK  # data, until acknowledged
        return REPEATED.get(self.tcp)


class World:
    """Two hosts and the wire between them."""

    def __init__(
        self, hosts: tuple[Host, Host], wire: Wire, order: random.Random | None
    ) -> None:
        self.hosts, self.wire, self.order = hosts, wire, order
        self.under_way: list[tuple[int, Segment, Options]] = []
        self.transmissions = 0

    def send(self, host: int, segment: Segment) -> None:
        options = self.hosts[host].send(segment)
        for delivered in self.wire(self.transmissions, host, segment, options):
            self.under_way.append((1 - host, segment, delivered))
        self.transmissions += 1

    def run(self) -> None:
        for number, host in enumerate(self.hosts):
            if not host.passive:
                host.tcp = "SYN_SENT"
                self.send(number, SYN)
        for _ in range(60):
            while self.under_way:
                place = self.order.randrange(len(self.under_way)) if self.order else 0
                number, segment, options = self.under_way.pop(place)
                answer = self.hosts[number].receive(segment, options)
                if answer is not None:
                    self.send(number, answer)
            due = [(n, host.timer(self.hosts[1 - n])) for n, host in enumerate(self.hosts)]
            if all(segment is None for _, segment in due):
                return
            for number, wanted in due:
                if wanted is not None:
                    self.send(number, wanted)
        raise AssertionError("TCP itself never finished")


def clean(number: int, host: int, segment: Segment, options: Options) -> list[Options]:
    return [options]


@cache
def encoded(offer: tuple[Suboption, ...], value: int) -> bytes:
    return encode(offer, global_suboption=value or None)


class Side(NamedTuple):
    """How one host is configured."""

    passive: bool
    b: bool
    aware: bool
    mandatory: bool
    offer: tuple[Suboption, ...]
    choosing: bool = False
    """a passive opener that answers with one TEP, as section 4.5 says it SHOULD"""
    rules: tuple[TepData, ...] = ()
    """which suboption data are valid besides tcpcrypt's; alike for both hosts"""

    def host(self) -> Host:
        option = encoded(self.offer, self.b | self.aware << 1)
        demand = self.mandatory
        if self.choosing:
            teps = [sub.tep for sub in self.offer]
            eno = Negotiator.passive(teps, aware=self.aware, mandatory=demand, rules=self.rules)
        elif self.passive:
            eno = Negotiator.passive(
                mandatory=demand, answer=lambda _: option, rules=self.rules
            )
        else:
            eno = Negotiator.active(option, mandatory=demand, rules=self.rules)
        return Host(eno, self.passive)


Result = Outcome | EncryptionDisabled


def meet(
    one: Side, other: Side, wire: Wire = clean, order: random.Random | None = None
) -> tuple[Result, Result]:
    """Run the handshake to its end on both hosts."""
    hosts = one.host(), other.host()
    World(hosts, wire, order).run()
    results = hosts[0].eno.result, hosts[1].eno.result
    assert results[0] is not None and results[1] is not None
    return results[0], results[1]


def agreed(one: Side, other: Side, results: tuple[Result, Result]) -> int | None:
    """The TEP byte both hosts hold, or None if both have encryption disabled."""
    mine, theirs = results
    if isinstance(mine, EncryptionDisabled) or isinstance(theirs, EncryptionDisabled):
        assert type(mine) is type(theirs), results
        return None
    assert mine.tep_byte == theirs.tep_byte and mine.resumed == theirs.resumed
    assert mine.transcript == theirs.transcript
    assert mine.role is theirs.role.opposite
    assert mine.role is (Role.B if one.b else Role.A)
    assert (mine.peer_aware, theirs.peer_aware) == (other.aware, one.aware)
    return mine.tep_byte


# What section 4.5 says should come out, from the sets of suboptions alone.


def acceptable(a: list[Suboption], b: list[Suboption], rules: tuple[TepData, ...] = ()) -> bool:
    """4.5 rules 1-3 for one identifier; RFC 8548 section 3.5 for tcpcrypt's data."""
    if len(a) != 1 or len(b) != 1:
        return False
    for rule in rules:
        if rule.tep == a[0].tep:
            return len(a[0].data) in rule.from_a and len(b[0].data) in rule.from_b
    if not 0x21 <= a[0].tep <= 0x24:
        return not a[0].v and not b[0].v
    resumes = a[0].v and b[0].v and len(a[0].data) >= 9 and 9 <= len(b[0].data) <= 17
    return len(a[0].data) <= 17 and (not b[0].v or resumes)


def expected(one: Side, other: Side) -> int | None:
    refused = any(x.mandatory and not y.aware for x, y in ((one, other), (other, one)))
    if one.b == other.b or refused:
        return None
    offers = {side.b: side.offer for side in (one, other)}
    for sub in reversed(offers[True]):
        sent = [[s for s in offers[b] if s.tep == sub.tep] for b in (False, True)]
        if acceptable(*sent, one.rules):
            return sub.tep | sub.v << 7
    return None
