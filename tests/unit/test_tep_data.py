"""Suboption data of TEPs other than tcpcrypt's: RFC 8547 sections 4.4, 4.5.  Both twins."""

import errno
import socket
from collections.abc import Iterator
from importlib import import_module
from itertools import permutations, product
from types import ModuleType
from typing import Any

import pytest
from oracle import OracleError, eno, tepdata
from oracle.tepdata import Definition

from pyeno import _tepdata, kernel, negotiation
from pyeno._values import Outcome
from pyeno.constants import Reason, Role
from pyeno.errors import KernelError
from pyeno.negotiation import EncryptionDisabled, Negotiator, Segment, TepData

SYN, SYN_ACK, ACK = Segment
TWINS = {name: import_module(f"pyeno._{name}.negotiation") for name in ("native", "pure")}
H = bytes.fromhex
EIGHT = bytes(range(8))
RULE = TepData(0x30, EIGHT, b"bb", range(1, 9), range(3))


@pytest.fixture(params=TWINS)
def twin(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """One twin, also beneath the Negotiator."""
    for name in ("choose", "negotiate", "offer"):
        monkeypatch.setattr(negotiation, name, getattr(TWINS[request.param], name))
    yield TWINS[request.param]


# what a table may say


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([TepData(0x1F)], "place 0.*0x1f.*0x20-0x7f"),
        ([TepData(0x30), TepData(0xB0)], "place 1.*0xb0.*without v"),
        ([TepData(0x23)], "0x23.*session resumption"),
        ([TepData(0x30), TepData(0x31), TepData(0x30)], "place 2.*0x30 came before"),
        ([TepData(tep) for tep in range(0x30, 0x35)], "more than 4 TEPs"),
        ([TepData(0x30, b"", None, range(9))], "0 bytes of data as host A.*None for v = 0"),
        ([TepData(0x30, bytes(17), None, range(38))], "17 bytes of data as host A.*1 to 16"),
        ([TepData(0x30, None, bytes(17), range(1), range(38))], "17 bytes of data as host B"),
        ([TepData(0x30, None, None, range(39))], "from host A.*between 0 and 37"),
        ([TepData(0x30, None, None, range(1), range(-1, 2))], "from host B.*between 0"),
        ([TepData(0x30, None, None, range(0))], "range\\(0, 0\\) bytes from host A"),
        ([TepData(0x30, None, None, range(0, 9, 2))], "without gaps"),
        ([TepData(0x30, b"four", None, range(4))], "host A.*4 bytes.*0 to 3 are valid"),
        ([TepData(0x30, None, None, range(1, 5))], "host A.*0 bytes.*1 to 4 are valid"),
        ([TepData(0x30, None, b"x", range(1), range(2, 3))], "host B.*1 bytes.*2 to 2"),
    ],
)  # fmt: skip
def test_bad_tables(twin: ModuleType, rules: list[TepData], says: str) -> None:
    """Bad identifiers, repetition (section 4.5 rule 3), sizes; data of one's own not valid."""
    with socket.socket() as sock:
        for call in (
            lambda: twin.offer([0x30], rules=rules),
            lambda: twin.choose(H("450323"), [0x30], rules=rules),
            lambda: twin.negotiate(H("450323"), H("45040123"), rules=rules),
            lambda: Negotiator.active(H("450323"), rules=rules),
            lambda: kernel.configure(sock, teps=b"\x30", data=rules),
        ):
            with pytest.raises(ValueError, match=says):
                call()


@pytest.mark.parametrize("room", [-1, 0, 3, 41, 300])
def test_bad_rooms(twin: ModuleType, room: int) -> None:
    for call in (
        lambda: twin.offer([0x30], room=room),
        lambda: twin.choose(H("450330"), [0x30], room=room),
    ):
        with pytest.raises(ValueError, match=f"room={room}: .* 4 to 40 bytes"):
            call()


def test_struct_eno_tep_data() -> None:
    """ext/wire/eno_tep_data.h, field by field."""
    rules = [RULE, TepData(0x7F, None, bytes(16), range(1), range(16, 38))]
    assert _tepdata.packed(rules) == (
        bytes((0x30, 8, 2, 1, 0, 8, 2, 0)) + EIGHT.ljust(16, b"\0") + b"bb".ljust(16, b"\0")
        + bytes((0x7F, 0, 16, 0, 16, 0, 37, 0)) + bytes(32)
    )  # fmt: skip
    assert _tepdata.packed(()) == b""


# offer: sections 4.1, 4.2, 4.4, 4.5


@pytest.mark.rfc("8547:4.1-6", "8547:4.4-2")
@pytest.mark.parametrize(
    ("teps", "flags", "option"),
    [
        ([0x30], {}, "450bb0" + EIGHT.hex()),
        # the last data need no length byte, and order says nothing of host A
        ([0x30, 0x23], {}, "450c23b0" + EIGHT.hex()),
        ([0x30, 0x40, 0x23], {}, "45112387b0" + EIGHT.hex() + "c0010203"),
        # it is host B's priority
        ([0x30, 0x23], {"role_b": True}, "45080181b0626223"),
        ([0x23, 0x30], {"role_b": True, "aware": True}, "45070323b06262"),
        ([0x23], {}, "450323"),
        # the data of the least preferred TEP give way, then that TEP
        ([0x30, 0x40, 0x23], {"room": 16}, "450723c0010203"),
        ([0x40, 0x30, 0x23], {"room": 16}, "450d4023b0" + EIGHT.hex()),
        ([0x30, 0x40, 0x23], {"room": 6}, "45044023"),
        ([0x30, 0x23], {"role_b": True, "room": 6}, "4505013023"),
    ],
)
def test_offers(twin: ModuleType, teps: list[int], flags: Any, option: str) -> None:
    rules = [RULE, TepData(0x40, b"\1\2\3", None, range(38))]
    assert twin.offer(teps, rules=rules, **flags).hex() == option


@pytest.mark.parametrize(("teps", "room"), [([0x30], 10), ([0x30, *range(0x40, 0x50)], 17)])
def test_offers_without_room(twin: ModuleType, teps: list[int], room: int) -> None:
    with pytest.raises(ValueError, match=f"{len(teps)} TEPs do not fit into {room} bytes"):
        twin.offer(teps, rules=[RULE], room=room)


WORLD = {
    0x30: Definition((b"aaa", b"b"), (range(4), range(1, 3))),
    0x31: Definition((bytes(16), None), (range(16, 17), range(1))),
    0x32: Definition((b"x", bytes(16)), (range(1, 5), range(17))),
}
ORDERS = [order for n in range(5) for order in permutations((0x23, *WORLD), n)]


def tables(definitions: dict[int, Definition]) -> list[TepData]:
    return [TepData(tep, *rule.sent, *rule.sizes) for tep, rule in definitions.items()]


@pytest.mark.parametrize("value", range(4))
def test_every_offer(twin: ModuleType, value: int) -> None:
    """Against trying everything: all orders, all rooms, both roles."""
    rules = tables(WORLD)
    short = 0
    for order, room in product(ORDERS, range(4, 41)):
        wanted = tepdata.offered(order, WORLD, value, room)
        flags = {"role_b": bool(value & 1), "aware": bool(value & 2)}
        try:
            assert twin.offer(order, rules=rules, room=room, **flags) == wanted, (order, room)
        except ValueError:
            assert wanted is None, (order, room)
            short += 1
    assert short > 20


# choose and negotiate: section 4.5


def received() -> Iterator[bytes]:
    """Host A's options: data of many sizes for one or two TEPs, also repeated ones."""
    for size in (None, 0, 1, 3, 4, 5, 16, 17, 37):
        for tep in WORLD:
            sub = tep if size is None else eno.Suboption(tep, 1, bytes(size))
            yield eno.encode([sub])
            if size is None or size < 34:
                yield eno.encode([0x23, 0x31, sub])
            if size and size < 33:
                first = eno.Suboption(tep, 1, bytes(size), True)
                yield eno.encode([first, 0x23])
                yield eno.encode([first, tep])


RECEIVED = list(received())


@pytest.mark.rfc("8547:4.5-2", "8547:4.5-3", "8547:4.5-4", "8547:4.5-5")
def test_every_answer(twin: ModuleType) -> None:
    """Against trying everything: the one TEP that is valid, of highest priority, and fits."""
    rules = tables(WORLD)
    answers = set()
    for syn, order, room in product(RECEIVED, ORDERS, (4, 5, 20)):
        wanted = tepdata.answered(syn, order, WORLD, 1, room)
        option, reason = twin.choose(syn, order, rules=rules, room=room)
        assert option == (wanted or b""), (syn.hex(), order, room)
        answers.add((option, reason))
        if not option:
            roomy = tepdata.answered(syn, order, WORLD, 1)
            assert reason is (Reason.NO_ROOM if roomy else Reason.NO_VALID_TEP)
            continue
        for mine, theirs in ((syn, option), (option, syn)):
            outcome = twin.negotiate(mine, theirs, rules=rules)
            assert outcome.reason is Reason.NEGOTIATED and not outcome.resumed
            assert (outcome.tep_byte, outcome.transcript) == (option[3], syn + option)
    # 0x23, 0x30 and 0x31, 0x32 with data and without; two reasons
    assert len(answers) == 1 + 2 + 2 + 2


@pytest.mark.rfc("8547:4.5-1", "8547:4.5-2", "8547:4.5-3", "8547:4.5-6", "8547:5.1-9")
def test_every_pair_of_sizes(twin: ModuleType) -> None:
    """Both hosts' suboptions as the oracle judges them, several TEPs in both."""
    rules, sizes = tables(WORLD), tepdata.sizes(WORLD)
    met = {True: 0, False: 0}
    for syn, other in product(RECEIVED, RECEIVED):
        if len(other) > 39:
            continue
        answer = bytes((0x45, len(other) + 1, 1)) + other[2:]
        outcome = twin.negotiate(syn, answer, rules=rules)
        try:
            wanted = eno.negotiate(syn, answer, sizes=sizes)
            assert outcome == Outcome(
                Reason.NEGOTIATED, Role.A, False, wanted.tep_byte, False, wanted.transcript
            )
        except OracleError:
            assert outcome.reason is Reason.NO_VALID_TEP
        met[outcome.reason is Reason.NEGOTIATED] += 1
    assert met[True] > 500 and met[False] > 500


@pytest.mark.rfc("8547:4.5-2")
@pytest.mark.parametrize("size", range(38))
def test_sizes_by_role(twin: ModuleType, size: int) -> None:
    """What is valid from host A is not what is valid from host B, whichever this host is."""
    rules = [TepData(0x30, b"12", b"12345", range(2, 5), range(5, 31))]
    for a, b in ((size, 5), (2, size)):
        if a + 3 > 40 or b + 4 > 40:
            continue
        syn = eno.encode([eno.Suboption(0x30, 1, bytes(a))])
        answer = eno.encode([eno.Suboption(0x30, 1, bytes(b))], 1)
        valid = a in range(2, 5) and b in range(5, 31)
        for sent, came, role in ((syn, answer, Role.A), (answer, syn, Role.B)):
            outcome = twin.negotiate(sent, came, rules=rules)
            assert (outcome.reason is Reason.NEGOTIATED) is valid
            assert outcome.role is role


def test_the_tep_byte_is_host_bs(twin: ModuleType) -> None:
    """RFC 8547 section 5.1: v as host B sent it, whatever host A's was."""
    rules = [TepData(0x30, None, None, range(3), range(3))]
    for v_a, v_b in product((0, 1), (0, 1)):
        syn, answer = bytes((0x45, 3, v_a << 7 | 0x30)), bytes((0x45, 4, 1, v_b << 7 | 0x30))
        assert twin.negotiate(syn, answer, rules=rules).tep_byte == v_b << 7 | 0x30


# whole handshakes


def opened(one: Negotiator, other: Negotiator) -> list[Any]:
    """Three-way; both results, and that retransmissions carry the same bytes."""
    syn = one.send(SYN)
    other.receive(SYN, [syn])
    syn_ack = other.send(SYN_ACK)
    assert one.send(SYN) == syn and other.send(SYN_ACK) == syn_ack
    one.receive(SYN_ACK, [syn_ack] if syn_ack else [])
    ack = one.send(ACK)
    other.receive(ACK, [ack] if ack else [])
    return [one.result, other.result]


def test_three_way(twin: ModuleType) -> None:
    rules = [RULE]
    syn = twin.offer([0x23, 0x30], rules=rules)
    results = opened(
        Negotiator.active(syn, rules=iter(rules)),
        Negotiator.passive([0x23, 0x30], rules=iter(rules)),
    )
    for result, role in zip(results, Role, strict=True):
        assert result == Outcome(
            Reason.NEGOTIATED, role, False, 0xB0, False, syn + H("450601b06262")
        )


def test_a_host_that_does_not_know_the_data_takes_another_tep(twin: ModuleType) -> None:
    syn = twin.offer([0x23, 0x30], rules=[RULE])
    results = opened(Negotiator.active(syn, rules=[RULE]), Negotiator.passive([0x23, 0x30]))
    assert [result.tep_byte for result in results] == [0x23, 0x23]


def test_an_answer_of_ones_own(twin: ModuleType) -> None:
    """``answer`` is asked for options that some TEP's rule makes valid, and judged by it."""
    syn = twin.offer([0x30], rules=[RULE])
    for option, valid in (("450501b062", True), ("450701b0626262", False)):
        passive = Negotiator.passive(answer=lambda _, o=option: H(o), rules=[RULE])
        results = opened(Negotiator.active(syn, rules=[RULE]), passive)
        assert all(isinstance(result, Outcome) is valid for result in results)
    passive = Negotiator.passive(answer=lambda _: H("45040130"))
    assert opened(Negotiator.active(syn, rules=[RULE]), passive) == [
        EncryptionDisabled(Reason.SYN_ACK_WITHOUT_ENO), EncryptionDisabled(Reason.NO_VALID_TEP)
    ]  # fmt: skip


def test_simultaneous_open(twin: ModuleType) -> None:
    hosts = [
        Negotiator.active(twin.offer([0x30, 0x23], rules=[RULE], role_b=b), rules=[RULE])
        for b in (False, True)
    ]
    syns = [host.send(SYN) for host in hosts]
    for host, came in zip(hosts, reversed(syns), strict=True):
        host.receive(SYN, [came])
    assert [host.send(SYN_ACK) for host in hosts] == syns
    for host, came in zip(hosts, reversed(syns), strict=True):
        host.receive(SYN_ACK, [came])
        assert host.send(ACK) == H("4502")
        assert isinstance(host.result, Outcome) and host.result.tep_byte == 0x23


# pyeno.kernel


class Kernel:
    """setsockopt as the attached programs answer it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: int) -> None:
        self.calls: list[tuple[int, bytes]] = []
        self.answers = {getattr(kernel, name): error for name, error in answers.items()}
        monkeypatch.setattr(kernel, "_setsockopt", self.set)

    def set(self, sock: object, level: int, option: int, value: bytes) -> None:
        self.calls.append((option, value))
        if error := self.answers.get(option):
            raise OSError(error, "as told")


def test_one_call_more_where_there_are_data(monkeypatch: pytest.MonkeyPatch) -> None:
    attached = Kernel(monkeypatch)
    with socket.socket() as sock:
        assert kernel.configure(sock, teps=b"\x30", data=[RULE])
        assert kernel.configure(sock, teps=b"\x23")
    config = bytes((2, 0, 0, 255)) + bytes(8)
    assert attached.calls == [
        (kernel.TCP_ENO_CONFIG, config + b"\x30"),
        (kernel.TCP_ENO_TEP_DATA, _tepdata.packed([RULE])),
        (kernel.TCP_ENO_CONFIG, config + b"\x23"),
    ]


def test_older_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Better no ENO than a TEP without its data; and what to do."""
    attached = Kernel(monkeypatch, TCP_ENO_TEP_DATA=errno.ENOPROTOOPT)
    with socket.socket() as sock, pytest.raises(KernelError, match=r"older.*pyeno attach") as e:
        kernel.configure(sock, teps=b"\x30", data=[RULE])
    assert e.value.errno == errno.ENOPROTOOPT
    assert attached.calls[-1] == (kernel.TCP_ENO_CONFIG, bytes((2, 0, 0, 255)) + bytes(8))


def test_nothing_attached(monkeypatch: pytest.MonkeyPatch) -> None:
    attached = Kernel(monkeypatch, TCP_ENO_CONFIG=errno.ENOPROTOOPT)
    with socket.socket() as sock:
        assert not kernel.configure(sock, teps=b"\x30", data=[RULE])
    assert len(attached.calls) == 1


def test_other_errors_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    attached = Kernel(monkeypatch, TCP_ENO_TEP_DATA=errno.ENOMEM)
    with socket.socket() as sock, pytest.raises(OSError, match="as told"):
        kernel.configure(sock, teps=b"\x30", data=[RULE])
    assert attached.calls[-1][1][12:] == b""
