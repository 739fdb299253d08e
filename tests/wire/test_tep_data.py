"""Suboption data of TEPs other than tcpcrypt's, on the wire (RFC 8547 sections 4.4, 4.5)."""

from collections.abc import Callable

import pytest
from oracle import eno
from wire.connect import (
    assert_encrypted,
    assert_plain,
    connection,
    disconnect,
    teps,
)
from wire.held import crossing
from wire.netns import Wire
from wire.tepdata import SIXTEEN, TWELVE, answer, has, offer, says

from pyeno import attach, kernel
from pyeno.constants import Reason, Role, State

pytestmark = pytest.mark.wire
SYN_ONLY = "tcp flags & (syn|ack) == syn"
SYN_ACK = "tcp flags & (syn|ack) == syn|ack"
FIRST = "numgen inc mod 100000 == 0"


# -- both ways -------------------------------------------------------------------------


@pytest.mark.rfc("8547:4.4-1", "8547:4.4-2", "8547:4.5-2", "8547:4.8-3", "8547:4.8-4")
@pytest.mark.parametrize("family", ["ip4", "ip6"])
@pytest.mark.parametrize(
    ("active", "passive", "syn", "syn_ack"),
    [
        ("30", "30", "4506b0616161", "450501b062"),
        ("30", "2330", "4506b0616161", "450501b062"),
        ("3023", "2330", "450723b0616161", "450501b062"),
        ("303223", "3032", "450b2382b0616161b27879", "451401b2" + SIXTEEN.hex()),
        ("303223", "3230", "450b2382b0616161b27879", "450501b062"),
        ("303223", "30", "450b2382b0616161b27879", "450501b062"),
        ("303223", "3023", "450b2382b0616161b27879", "45040123"),
        ("31", "31", "450fb1" + TWELVE.hex(), "45040131"),
    ],
)
def test_data_both_ways(
    wire: Wire, family: str, active: str, passive: str, syn: str, syn_ack: str
) -> None:
    offered, answered = bytes.fromhex(syn), bytes.fromhex(syn_ack)
    assert offered == offer(active) and answered == answer(offered, passive)
    with connection(wire, has(active), has(passive), to=getattr(wire.b, family)) as ends:
        assert_encrypted(ends, offered, answered)
        assert not ends.active.resumed and not ends.passive.resumed
        assert [s.eno for s in ends.seen.syns()] == [(offered,)]
        assert [s.eno for s in ends.seen.syn_acks()] == [(answered,)]
        assert kernel.raw_option(ends.a) == offered
        assert kernel.raw_option(ends.b) == answered


def test_what_would_be_sent(wire: Wire) -> None:
    """TCP_ENO_RAW of a socket that has not connected: as much as 40 bytes hold."""
    for order, more in (("30313233", {}), ("3032", {"role_b": True}), ("23", {})):
        with wire.a.socket() as sock:
            has(order, **more)(sock)
            assert kernel.raw_option(sock) == offer(order, bool(more), 40)


@pytest.mark.parametrize("bits", [0, 1])
def test_the_application_aware_bit_takes_its_byte(wire: Wire, bits: int) -> None:
    aware = {"self_aware": bits}
    with connection(wire, has("3031", **aware), has("3031", **aware)) as ends:
        offered = offer("3031", bits << 1)
        assert_encrypted(ends, offered, answer(offered, "3031", 1 | bits << 1))
    # 2 + 5 + 13: with a global suboption it is one too many
    assert len(offered) == (16 if bits else 20)


# -- what is not valid -------------------------------------------------------------------


def with_data(tep: int, size: int | None, others: str = "", value: int | None = None) -> str:
    sub = tep if size is None else eno.Suboption(tep, 1, bytes(size))
    return eno.encode([*bytes.fromhex(others), sub], value).hex()


@pytest.mark.rfc("8547:4.5-1", "8547:4.5-2", "8547:4.6-5")
@pytest.mark.parametrize("size", [None, 0, 1, 2, 3, 4, 16])
def test_host_a_sends_too_little_or_too_much(wire: Wire, size: int | None) -> None:
    """From host A 2 and 3 bytes are valid: else the other TEP, if there is one."""
    valid = size in (2, 3)
    both, alone = with_data(0x30, size, "23"), with_data(0x30, size)
    with connection(wire, says(both), has("2330")) as ends:
        chosen = "450501b062" if valid else "45040123"
        assert_encrypted(ends, bytes.fromhex(both), bytes.fromhex(chosen))
    with connection(wire, says(alone), has("2330")) as ends:
        if valid:
            assert_encrypted(ends, bytes.fromhex(alone), bytes.fromhex("450501b062"))
        else:
            assert_plain(ends, Reason.SYN_ACK_WITHOUT_ENO, Reason.NO_VALID_TEP)


@pytest.mark.rfc("8547:4.5-1", "8547:4.5-2", "8547:4.5-6", "8547:4.6-5")
@pytest.mark.parametrize("size", [None, 0, 1, 2, 3, 15])
def test_host_b_sends_too_little_or_too_much(wire: Wire, size: int | None) -> None:
    """From host B 1 and 2 bytes are valid: else its TEP before that, if there is one."""
    valid = size in (1, 2)
    both, alone = with_data(0x30, size, "23", 1), with_data(0x30, size, "", 1)
    with connection(wire, has("2330"), says(both)) as ends:
        for result in (ends.active, ends.passive):
            assert result.state is State.ENCRYPTED, ends
            assert result.tep_byte == (0xB0 if valid else 0x23)
            assert result.transcript == offer("2330") + bytes.fromhex(both)
    with connection(wire, has("2330"), says(alone)) as ends:
        if valid:
            assert_encrypted(ends, offer("2330"), bytes.fromhex(alone))
        else:
            assert_plain(ends, Reason.NO_VALID_TEP, Reason.NO_VALID_TEP)


@pytest.mark.rfc("8547:4.5-2")
def test_without_a_rule_data_are_never_valid(wire: Wire) -> None:
    with connection(wire, has("3023"), teps("2330")) as ends:
        assert_encrypted(ends, offer("3023"), bytes.fromhex("45040123"))
    with connection(wire, has("30"), teps("30")) as ends:
        assert_plain(ends, Reason.SYN_ACK_WITHOUT_ENO, Reason.NO_VALID_TEP)
    with connection(wire, teps("30"), has("30")) as ends:
        assert_plain(ends, Reason.SYN_ACK_WITHOUT_ENO, Reason.NO_VALID_TEP)


@pytest.mark.rfc("8547:4.5-3")
def test_repeated(wire: Wire) -> None:
    """Whatever the data: no TEP with an entry defines repetition."""
    syn = "450c81b0616181b0616123"
    twice = bytes((0x45, len(bytes.fromhex(syn)))).hex() + syn[4:]
    with connection(wire, says(twice), has("2330")) as ends:
        assert_encrypted(ends, bytes.fromhex(twice), bytes.fromhex("45040123"))


@pytest.mark.rfc("8547:5.1-9")
@pytest.mark.parametrize("v", [0, 1])
def test_the_tep_byte_is_host_bs(wire: Wire, v: int) -> None:
    """v = 1 with no data counts as no data, as v = 0 does."""
    said = f"450401{v << 7 | 0x32:02x}"
    with connection(wire, has("32"), says(said)) as ends:
        assert_encrypted(ends, offer("32"), bytes.fromhex(said))
        assert ends.active.tep_byte == ends.passive.tep_byte == v << 7 | 0x32


# -- retransmissions, simultaneous open, policy ------------------------------------------------


@pytest.mark.rfc("8547:4.6-7")
@pytest.mark.parametrize(("at", "which"), [("b", SYN_ONLY), ("a", SYN_ACK)])
def test_lost_segments(wire: Wire, at: str, which: str) -> None:
    with (
        getattr(wire, at).rules(f"{which} {FIRST} drop"),
        connection(wire, has("303123"), has("2330")) as ends,
    ):
        sent = ends.seen.syns() if which is SYN_ONLY else ends.seen.syn_acks()
        assert len(sent) > 1 and len({s.eno for s in sent}) == 1
        offered = offer("303123")
        assert_encrypted(ends, offered, answer(offered, "2330"))


@pytest.mark.parametrize("role_b_at", [0, 1])
def test_simultaneous_open(wire: Wire, role_b_at: int) -> None:
    """Host B's data are those of its role, though it opened actively; its order counts."""
    ports = 47000 + 2 * role_b_at
    setups = [has("3023", role_b=role_b_at == i) for i in range(2)]
    syns = [offer("3023", int(role_b_at == i)) for i in range(2)]
    with crossing(wire, setups[0], setups[1], ports) as ends:
        for i, sock in enumerate(ends):
            result = kernel.result(sock)
            assert result.state is State.ENCRYPTED, result
            assert result.role is (Role.B if i == role_b_at else Role.A)
            assert result.tep_byte == 0x23
            assert result.transcript == syns[1 - role_b_at] + syns[role_b_at]
    setups = [has("2330", role_b=role_b_at == i) for i in range(2)]
    with crossing(wire, setups[0], setups[1], ports + 100) as ends:
        assert [kernel.result(sock).tep_byte for sock in ends] == [0xB0, 0xB0]


def test_simultaneous_open_with_unknown_data(wire: Wire) -> None:
    setups = has("3023"), teps("2330", role_b=True)
    with crossing(wire, *setups, 47200) as ends:
        # b's 0x30 has v = 0, where 1 or 2 bytes are valid; a's 0x30 has data b does not know
        assert [kernel.result(sock).tep_byte for sock in ends] == [0x23, 0x23]


def test_host_policy(wire: Wire, change: Callable[..., attach.Status]) -> None:
    """A TEP the administrator forbids is left out, data and all."""
    change(teps=(0x23, 0x32))
    with connection(wire, has("323023"), has("323023")) as ends:
        assert_encrypted(ends, offer("3223"), bytes.fromhex("45040123"))
    with connection(wire, has("30"), has("30")) as ends:
        assert_plain(ends, Reason.HOST_POLICY, Reason.HOST_POLICY)
    change(teps=None)
    with connection(wire, has("303223"), has("322330")) as ends:
        assert_encrypted(ends, offer("303223"), bytes.fromhex("450501b062"))


def test_connecting_again(wire: Wire) -> None:
    """A socket's data are for all its connections, a listener's for all it accepts."""
    with connection(wire, has("3023"), has("2330")) as ends:
        assert ends.active.tep_byte == 0xB0
        for _ in range(2):
            disconnect(ends.a)
            with wire.b.socket() as listener:
                has("2330")(listener)
                listener.bind((wire.b.ip4, 0))
                listener.listen()
                ends.a.connect(listener.getsockname())
                for end in (ends.a, listener.accept()[0]):
                    assert kernel.result(end).transcript.startswith(offer("3023"))
                    end is ends.a or end.close()
