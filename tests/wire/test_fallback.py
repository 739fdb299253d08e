"""When encryption must be disabled (RFC 8547 section 4.6), and lost segments."""

import contextlib
import errno
import socket
import time
from collections.abc import Iterator

import pytest
from wire.capture import Segment
from wire.connect import (
    ANSWER,
    OFFER,
    Setup,
    assert_encrypted,
    assert_plain,
    connection,
    listen,
    no_eno,
    raw,
    tcpcrypt,
    teps,
    unconfigured,
)
from wire.held import await_crossed, held
from wire.netns import Wire

from pyeno import kernel
from pyeno.constants import Reason, Role, State

pytestmark = pytest.mark.wire

STRIP = "reset tcp option 69"
SYN_ONLY = "tcp flags & (syn|ack) == syn"
SYN_ACK = "tcp flags & (syn|ack) == syn|ack"
NO_SYN = "tcp flags & (syn|ack) == ack"
FIRST = "numgen inc mod 100000 == 0"


def mandatory_raw(option: str) -> Setup:
    def setup(sock: socket.socket) -> None:
        raw(option)(sock)
        sock.setsockopt(socket.IPPROTO_TCP, kernel.TCP_ENO_SELF_AWARE, 2)

    return setup


# -- lost segments: the same bytes again ---------------------------------------------


@pytest.mark.rfc("8547:4.6-7")
def test_lost_syn(wire: Wire) -> None:
    with wire.b.rules(f"{SYN_ONLY} {FIRST} drop"), connection(wire) as ends:
        assert_encrypted(ends)
        assert [s.eno for s in ends.seen.syns()] == [(OFFER,)] * 2


@pytest.mark.rfc("8547:4.6-7")
def test_lost_syn_ack(wire: Wire) -> None:
    """Both retransmit; a repeated SYN is answered by the same option."""
    with wire.a.rules(f"{SYN_ACK} {FIRST} drop"), connection(wire) as ends:
        assert_encrypted(ends)
        answers = [s.eno for s in ends.seen.syn_acks()]
        assert len(answers) > 1 and set(answers) == {(ANSWER,)}
        assert {s.eno for s in ends.seen.syns()} == {(OFFER,)}


def test_lost_ack(wire: Wire) -> None:
    """The data that follows carries the non-SYN form too."""
    with wire.b.rules(f"{NO_SYN} {FIRST} drop"), connection(wire) as ends:
        assert_encrypted(ends)


def test_lost_ack_answered_again(wire: Wire) -> None:
    """The SYN-ACK comes again, and the ACK it draws carries ENO."""
    with wire.b.rules(f"{NO_SYN} {FIRST} drop"), connection(wire, exchange=False) as ends:
        assert_encrypted(ends)
        assert [s.eno for s in ends.seen.syn_acks()] == [(ANSWER,)] * 2
        assert all(s.eno == (b"\x45\x02",) for s in ends.seen.after())


# -- stripped on the way -------------------------------------------------------------


@pytest.mark.rfc("8547:4.6-3", "8547:4.6-4")
def test_stripped_from_the_syn(wire: Wire) -> None:
    with wire.b.rules(f"{SYN_ONLY} {STRIP}"), connection(wire) as ends:
        assert_plain(ends, Reason.SYN_ACK_WITHOUT_ENO, Reason.SYN_WITHOUT_ENO)
        assert no_eno(ends.seen.syn_acks()) and no_eno(ends.seen.after())


@pytest.mark.rfc("8547:4.6-3", "8547:4.6-4")
def test_stripped_from_the_syn_ack(wire: Wire) -> None:
    with wire.a.rules(f"{SYN_ACK} {STRIP}"), connection(wire) as ends:
        assert_plain(ends, Reason.SYN_ACK_WITHOUT_ENO, Reason.ACK_WITHOUT_ENO)
        assert no_eno(ends.seen.after())


def test_stripped_from_the_ack(wire: Wire) -> None:
    """Only b can notice: a's encryption is enabled, and its TEP must fail."""
    with wire.b.rules(f"{NO_SYN} {STRIP}"), connection(wire) as ends:
        assert ends.active.state is State.ENCRYPTED
        assert ends.passive.state is State.DISABLED
        assert ends.passive.reason is Reason.ACK_WITHOUT_ENO


def test_stripped_from_the_retransmitted_syn(wire: Wire) -> None:
    """Section 4.6: any segment up to the first ACK without ENO disables."""
    later = f"{SYN_ONLY} numgen inc mod 100000 > 0 {STRIP}"
    lost = f"{SYN_ACK} tcp option 69 exists drop"
    with wire.b.rules(later), wire.a.rules(lost), connection(wire) as ends:
        answers = [s.eno for s in ends.seen.syn_acks()]
        assert answers[0] == (ANSWER,) and answers[-1] == ()
        assert_plain(ends, Reason.SYN_ACK_WITHOUT_ENO, Reason.SYN_CHANGED)


def test_option_in_the_retransmitted_syn_only(wire: Wire) -> None:
    """The first SYN had lost it: the second may not revive it."""
    first = f"{SYN_ONLY} {FIRST} {STRIP}"
    lost = f"{SYN_ACK} {FIRST} drop"
    with wire.b.rules(first), wire.a.rules(lost), connection(wire) as ends:
        assert len(ends.seen.syn_acks()) > 1 and no_eno(ends.seen.syn_acks())
        assert_plain(ends, Reason.SYN_ACK_WITHOUT_ENO, Reason.SYN_WITHOUT_ENO)


# -- what the peer is or wants ---------------------------------------------------------


def test_peer_without_eno(wire: Wire) -> None:
    with connection(wire, passive=unconfigured) as ends:
        assert ends.active.reason is Reason.SYN_ACK_WITHOUT_ENO
        assert ends.passive == kernel.NOT_CONFIGURED
        assert no_eno(ends.seen.syn_acks()) and no_eno(ends.seen.after())
    with connection(wire, unconfigured) as ends:
        assert ends.active == kernel.NOT_CONFIGURED
        assert ends.passive.reason is Reason.SYN_WITHOUT_ENO
        assert no_eno(ends.seen.segments)


@pytest.mark.rfc(
    "8547:4.2-8",
    "8547:4.3-4",
    "8547:4.5-3",
    "8547:4.6-3",
    "8547:4.6-5",
    "8547:4.6-6",
    "8547:4.6-15",
    "8547:4.6-18",
    "8548:3.2-3",
)
@pytest.mark.parametrize(
    ("active", "passive", "reason"),
    [
        (teps("21"), teps("2223"), Reason.NO_VALID_TEP),
        (raw("4502"), tcpcrypt, Reason.VACUOUS),
        (raw("450300"), tcpcrypt, Reason.VACUOUS),
        (teps("23", role_b=True), tcpcrypt, Reason.SAME_ROLE),
        (tcpcrypt, teps("23", self_aware=2), Reason.PEER_NOT_AWARE),
        (raw("45042323"), tcpcrypt, Reason.NO_VALID_TEP),
        (raw("4503a0"), teps("20"), Reason.NO_VALID_TEP),
        (tcpcrypt, raw("450323"), Reason.SAME_ROLE),
        (tcpcrypt, mandatory_raw("45040323"), Reason.PEER_NOT_AWARE),
    ],
    ids=["none-common", "vacuous", "vacuous-global", "both-b", "not-aware", "repeated",
         "foreign-data", "raw-answer-without-b", "raw-answer-not-aware"],
)  # fmt: skip
def test_passive_opener_disables(wire: Wire, active, passive, reason: Reason) -> None:  # type: ignore[no-untyped-def]
    """Rules 2 and 3: no option in the SYN-ACK, and none afterwards."""
    with connection(wire, active, passive) as ends:
        assert_plain(ends, Reason.SYN_ACK_WITHOUT_ENO, reason)
        assert ends.seen.syns()[0].eno
        assert no_eno(ends.seen.syn_acks()) and no_eno(ends.seen.after())


@pytest.mark.rfc(
    "8547:4.2-8",
    "8547:4.5-1",
    "8547:4.6-3",
    "8547:4.6-5",
    "8547:4.6-6",
    "8547:4.6-14",
    "8547:4.6-15",
    "8547:4.6-16",
    "8547:4.6-18",
    "8548:3.2-3",
)
@pytest.mark.parametrize(
    ("active", "passive", "here", "there"),
    [
        (tcpcrypt, raw("450301"), Reason.VACUOUS, Reason.NO_VALID_TEP),
        (teps("23", self_aware=2), tcpcrypt, Reason.PEER_NOT_AWARE, Reason.ACK_WITHOUT_ENO),
        (tcpcrypt, raw("45040122"), Reason.NO_VALID_TEP, Reason.NO_VALID_TEP),
        (raw("4502"), raw("450301"), Reason.VACUOUS, Reason.VACUOUS),
    ],
    ids=["vacuous-answer", "not-aware", "none-common", "both-vacuous"],
)
def test_active_opener_disables(  # type: ignore[no-untyped-def]
    wire: Wire, active, passive, here: Reason, there: Reason
) -> None:
    """The SYN-ACK's option rules encryption out: no ENO from the ACK on."""
    with connection(wire, active, passive) as ends:
        assert_plain(ends, here, there)
        assert ends.seen.syn_acks()[0].eno
        assert no_eno(ends.seen.after())


@pytest.mark.rfc("8547:4.6-17")
def test_a_vacuous_answer_needs_an_option_to_answer(wire: Wire) -> None:
    """Section 4.6: MUST NOT send a vacuous option unless the SYN had one."""
    with connection(wire, unconfigured, raw("450301")) as ends:
        assert ends.passive.reason is Reason.SYN_WITHOUT_ENO
        assert no_eno(ends.seen.segments)


def test_syn_cookies(wire: Wire) -> None:
    """A SYN cookie's SYN-ACK carries none: nothing would remember it."""
    wire.b.sysctl("net.ipv4.tcp_syncookies", 2)
    try:
        with connection(wire) as ends:
            assert_plain(ends, Reason.SYN_ACK_WITHOUT_ENO, Reason.SYN_COOKIE)
            assert no_eno(ends.seen.syn_acks()) and no_eno(ends.seen.after())
    finally:
        wire.b.sysctl("net.ipv4.tcp_syncookies", 1)
    with connection(wire) as ends:
        assert_encrypted(ends)


def test_listener_switched_off_again(wire: Wire) -> None:
    with listen(wire.b, wire.b.ip4) as listener, wire.a.socket() as a:
        listener.setsockopt(socket.IPPROTO_TCP, kernel.TCP_ENO_ENABLED, 0)
        tcpcrypt(a)
        with wire.capture() as seen:
            a.connect(listener.getsockname())
            b, _ = listener.accept()
        with b:
            assert kernel.result(b) == kernel.NOT_CONFIGURED
            assert kernel.result(a).reason is Reason.SYN_ACK_WITHOUT_ENO
            assert no_eno(seen.syn_acks())


def test_unconfigured_sockets_are_left_alone(wire: Wire) -> None:
    with connection(wire, unconfigured, unconfigured) as ends:
        assert ends.active == ends.passive == kernel.NOT_CONFIGURED
        assert no_eno(ends.seen.segments)


# -- simultaneous open -------------------------------------------------------------------


@contextlib.contextmanager
def crossing(wire: Wire, role_a: bool, role_b: bool) -> Iterator[tuple[socket.socket, ...]]:
    """Both ends connect, and their SYNs cross."""
    ports = {wire.a: 47011, wire.b: 47012}
    with contextlib.ExitStack() as stack:
        ends = []
        for host, role in ((wire.a, role_a), (wire.b, role_b)):
            sock = stack.enter_context(host.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host.ip4, ports[host]))
            kernel.configure(sock, teps=b"\x21\x23", role_b=role)
            sock.setblocking(False)
            ends.append(sock)
        with held(wire):
            for sock, host in zip(ends, (wire.b, wire.a), strict=True):
                assert sock.connect_ex((host.ip4, ports[host])) == errno.EINPROGRESS
        await_crossed(ends)
        yield tuple(ends)
        for sock in ends:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def exchange(a: socket.socket, b: socket.socket) -> None:
    for x, y in ((a, b), (b, a)):
        x.sendall(b"x")
        assert y.recv(1) == b"x"
    time.sleep(0.05)


def senders(segments: list[Segment]) -> set[int]:
    """Their ports; on a slow machine one retransmits while the SYNs are held."""
    return {s.source[1] for s in segments}


@pytest.mark.rfc(
    "8547:4.2-5", "8547:4.3-1", "8547:4.6-7", "8547:4.6-10", "8547:4.8-4", "8547:4.8-5"
)
@pytest.mark.parametrize("role_b_at", [0, 1])
def test_simultaneous_open_with_one_b(wire: Wire, role_b_at: int) -> None:
    """Section 4.3: exactly one endpoint sets b = 1."""
    roles = [role_b_at == 0, role_b_at == 1]
    with wire.capture() as seen, crossing(wire, *roles) as ends:
        exchange(*ends)
        results = [kernel.result(s) for s in ends]
        assert [r.state for r in results] == [State.ENCRYPTED] * 2, results
        assert [r.role for r in results] == [Role.B if b else Role.A for b in roles]
        assert {r.transcript.hex() for r in results} == {"45042123" + "4505012123"}
        assert {r.tep_byte for r in results} == {0x23}
        assert senders(seen.syns()) == senders(seen.syn_acks()) == {47011, 47012}
    by_port = {s.source[1]: s.eno for s in seen.syns()}
    assert all(by_port[s.source[1]] == s.eno for s in seen.syn_acks())


@pytest.mark.rfc("8547:4.3-3", "8547:4.6-6", "8547:4.6-9")
@pytest.mark.parametrize("role_b", [False, True])
def test_simultaneous_open_with_equal_roles(wire: Wire, role_b: bool) -> None:
    """Section 4.6 rule 3: plain TCP, and no ENO in the SYN-ACKs."""
    with wire.capture() as seen, crossing(wire, role_b, role_b) as ends:
        exchange(*ends)
        for sock in ends:
            assert kernel.result(sock).reason is Reason.SAME_ROLE
        assert senders(seen.syn_acks()) == {47011, 47012}
        assert no_eno(seen.syn_acks()) and no_eno(seen.after())
