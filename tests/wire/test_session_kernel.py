"""Resumption in the kernel half: who proposes, who agrees (RFC 8548 section 3.5)."""

import os
import socket
import time

import pytest
from oracle import keys
from wire.connect import OFFER, connection, no_eno
from wire.netns import Wire
from wire.sessions import (  # the fixtures by their names
    Keeper,
    assert_fresh,
    assert_plain,
    assert_resumed,
    fresh,
    halves,
    keeps,
    opposite,
    proposal,
    put,
    says,
)

from pyeno import kernel
from pyeno.constants import Reason, State

pytestmark = pytest.mark.wire
ANSWERED_AFRESH = bytes.fromhex("45040123")


@pytest.mark.rfc(
    "8548:3.5-6",
    "8548:3.5-7",
    "8548:3.5-8",
    "8548:3.5-9",
    "8548:3.5-10",
    "8548:3.5-21",
    "8548:3.5-30",
)
@pytest.mark.parametrize("role", ["A", "B"])
def test_resumes_once(keeper: Keeper, role: str) -> None:
    """Figures 2 and 3: each host sends the half of its *original* role, v = 1."""
    session = keeper.prime(fresh(role))
    with keeper.met() as ends:
        assert_resumed(ends, session)
        (offer,), (answer,) = ends.seen.syns()[0].eno, ends.seen.syn_acks()[0].eno
        assert offer[:3] == bytes((0x45, 20, 0xA3)) and answer[:4] == bytes((0x45, 20, 1, 0xA3))
        assert halves(offer)[0] == session.local_half
        assert halves(answer)[0] == session.remote_half
        assert ends.active.transcript == offer + answer
    with keeper.met() as ends:
        assert_fresh(ends)
        assert ends.seen.syns()[0].eno == (OFFER,)


@pytest.mark.rfc("8548:3.5-29")
def test_a_chain_of_connections(keeper: Keeper) -> None:
    """Each connection puts ss[i+1]; the next one uses it."""
    session = keeper.prime()
    for _ in range(4):
        with keeper.met() as ends:
            assert_resumed(ends, session)
            session = session.next()
            put(ends.a, session)
            put(ends.b, opposite(session))


@pytest.mark.rfc("8548:3.5-31", "8548:3.5-33")
@pytest.mark.parametrize("role", ["A", "B"])
def test_the_other_host_opens(wire: Wire, token: bytes, role: str) -> None:
    """ "either host MAY later initiate", whichever port the other listens on."""
    with Keeper(wire, token) as there, Keeper(wire, token, swapped=True) as back:
        session = opposite(there.prime(fresh(role)))
        with back.met() as ends:
            assert_resumed(ends, session)
            assert halves(ends.seen.syns()[0].eno[0])[0] == session.local_half
        with there.met() as ends:  # used there, so used here
            assert_fresh(ends)


def test_another_port_is_another_peer(wire: Wire, token: bytes, keeper: Keeper) -> None:
    """What was made with one port is not proposed to the next, and not used up."""
    session = keeper.prime()
    with Keeper(wire, token) as other, other.met() as ends:
        assert_fresh(ends)
        assert ends.seen.syns()[0].eno == (OFFER,)
    with keeper.met() as ends:
        assert_resumed(ends, session)


@pytest.mark.parametrize("family", ["ip4", "ip6"])
def test_dual_stack_sockets_know_the_same_peer(wire: Wire, token: bytes, family: str) -> None:
    """An IPv4 peer is the same one behind an IPv6 socket."""
    session, to = fresh(), getattr(wire.b, family)
    with connection(wire, keeps(token), keeps(token), to=to, bind="::") as ends:
        put(ends.b, session)
        port = ends.a.getsockname()[1]
    listener = wire.a.socket(*([10] if family == "ip6" else []))
    with listener, wire.b.socket(socket.AF_INET6) as sock:
        keeps(token)(listener)
        listener.bind((getattr(wire.a, family), port))
        listener.listen()
        keeps(token)(sock)
        address = wire.a.ip6 if family == "ip6" else f"::ffff:{wire.a.ip4}"
        with wire.capture() as seen:
            sock.connect((address, port))
            seen.wait(lambda _: bool(seen.syns()))
        assert halves(seen.syns()[0].eno[0])[0] == session.local_half


@pytest.mark.rfc("8548:3.2-7", "8548:3.5-12")
def test_passive_opener_lost_it(keeper: Keeper) -> None:
    """A fresh answer, and the proposed secret is used up all the same."""
    keeper.prime(passive=False)
    with keeper.met() as ends:
        assert_fresh(ends)
        assert len(ends.seen.syns()[0].eno[0]) == 20
        assert ends.seen.syn_acks()[0].eno == (ANSWERED_AFRESH,)
    with keeper.met() as ends:
        assert ends.seen.syns()[0].eno == (OFFER,)


@pytest.mark.rfc("8548:3.5-15", "8548:3.5-16", "8548:3.5-17", "8548:3.5-18")
@pytest.mark.parametrize("half", ["own", "other", "almost"])
def test_another_half_of_b_is_ignored(wire: Wire, token: bytes, half: str) -> None:
    """ "the host MUST disable TCP-ENO ...; it MUST NOT send any more ENO options"."""
    with Keeper(wire, token) as keeper:
        session = keeper.prime(passive=False)
        wrong = {
            "own": session.local_half,
            "other": os.urandom(9),
            "almost": session.remote_half[:8] + bytes([session.remote_half[8] ^ 1]),
        }[half]
        keeper.listen_as(says(bytes((0x45, 13, 1, 0xA3)) + wrong))
        with keeper.met() as ends:
            assert_plain(ends, Reason.NO_VALID_TEP, Reason.ACK_WITHOUT_ENO)
            assert no_eno(ends.seen.after())


def test_the_right_half_of_a_raw_listener(keeper: Keeper) -> None:
    """The contrary of the test above, so that it tests the half."""
    session = keeper.prime(passive=False)
    keeper.listen_as(says(bytes((0x45, 13, 1, 0xA3)) + session.remote_half))
    with keeper.met() as ends:
        assert ends.active.state is State.ENCRYPTED and ends.active.resumed


@pytest.mark.rfc("8548:3.5-10", "8548:3.5-12", "8548:3.5-25")
def test_resumption_beside_other_teps(wire: Wire, token: bytes) -> None:
    """A resumable suboption wins over preference; B may answer any other TEP if it lost it."""
    active, passive = keeps(token, "212223"), keeps(token, "232221")
    with Keeper(wire, token, active=active, passive=passive) as keeper:
        session = keeper.prime()
        with keeper.met() as ends:
            assert_resumed(ends, session)
            assert ends.seen.syns()[0].eno[0][2:5].hex() == "2122a3"
        keeper.prime(passive=False)
        with keeper.met() as ends:
            assert_fresh(ends, 0x21)


@pytest.mark.rfc("8548:3.5-37")
@pytest.mark.parametrize("missing", ["active", "passive"])
def test_resumption_is_off(keeper: Keeper, token: bytes, missing: str) -> None:
    """ "resumption requests will be ignored", and none is made; sessions stay."""
    session = keeper.prime()
    off = keeps(token, "23", None)
    if missing == "active":
        with keeper.met(off) as ends:
            assert_fresh(ends)
            assert ends.seen.syns()[0].eno == (OFFER,)
        with keeper.met() as ends:
            assert_resumed(ends, session)
    else:
        keeper.listen_as(off)
        with keeper.met() as ends:
            assert_fresh(ends)
            assert len(ends.seen.syns()[0].eno[0]) == 20


def test_tep_not_wanted_any_more(keeper: Keeper, token: bytes) -> None:
    """Neither is it proposed, nor agreed to, although it is cached."""
    session = keeper.prime(fresh(tep=0x23))
    keeper.listen_as(keeps(token, "2123"))
    with keeper.met(keeps(token, "21")) as ends:
        assert_fresh(ends, 0x21)
        assert ends.seen.syns()[0].eno == (bytes.fromhex("450321"),)
    keeper.listen_as(keeps(token, "21"))
    with keeper.met(keeps(token, "2123")) as ends:
        assert_fresh(ends, 0x21)
        assert halves(ends.seen.syns()[0].eno[0])[0] == session.local_half


# -- what a SYN may say --------------------------------------------------------------


def proposals(session: keys.Session) -> dict[str, tuple[bytes, int | None]]:
    """Options of host A and the TEP they lead to, afresh; None: no ENO."""
    other_tep = keys.Session(0x24, 1, "A", 1, session.ss)
    short = bytes([0x45, 11, 0xA3]) + session.local_half[:8]
    return {
        "unknown": (proposal(fresh(), bytes(8)), 0x23),
        "the passive opener's own half": (proposal(opposite(session), bytes(8)), 0x23),
        "another TEP": (proposal(other_tep, bytes(8)), 0x24),
        "8 bytes": (short, 0x23),
        "nothing": (bytes.fromhex("4503a3"), 0x23),
        "nonce of 9 bytes": (proposal(session, bytes(9)), None),
        "twice": (proposal(session, others="88a3" + "00" * 9), None),
        "v = 0": (OFFER, 0x23),
    }


@pytest.mark.rfc("8548:3.5-11", "8548:3.5-12", "8548:3.5-13", "8548:3.5-14")
@pytest.mark.parametrize("what", list(proposals(fresh())))
def test_what_names_no_session(keeper: Keeper, token: bytes, roomy: None, what: str) -> None:
    """Fresh key exchange, or no ENO; the session waits on for who can name it."""
    keeper.listen_as(keeps(token, "2324"))
    session = keeper.prime(active=False)
    option, tep = proposals(session)[what]
    with keeper.met(says(option)) as ends:
        if tep is None:
            assert_plain(ends, Reason.SYN_ACK_WITHOUT_ENO, Reason.NO_VALID_TEP)
        else:
            assert_fresh(ends, tep)
    with keeper.met(says(proposal(session))) as ends:
        assert ends.passive.resumed and ends.passive.original_role.value == "B"


@pytest.mark.rfc("8548:3.5-1")
@pytest.mark.parametrize("size", range(9))
def test_nonces_of_every_length(keeper: Keeper, size: int) -> None:
    """ "minimum length of zero bytes and maximum length of eight bytes"."""
    session = keeper.prime(active=False)
    option = proposal(session, bytes(range(size)))
    with keeper.met(says(option)) as ends:
        assert ends.passive.resumed and ends.passive.transcript.startswith(option)
    with keeper.met(says(option)) as ends:  # replayed
        assert_fresh(ends)


def test_expired(keeper: Keeper) -> None:
    """On either side, as good as absent."""
    first, second = fresh(), fresh()
    keeper.prime(first, lifetime=1)
    keeper.prime(second, active=False, lifetime=1)
    time.sleep(1.1)
    with keeper.met() as ends:
        assert_fresh(ends)
        assert ends.seen.syns()[0].eno == (OFFER,)
    with keeper.met(says(proposal(second))) as ends:
        assert_fresh(ends)


def test_sockets_without_a_token_have_no_part(keeper: Keeper, token: bytes) -> None:
    """Version 1 of TCP_ENO_CONFIG, and TEPS alone."""
    keeper.prime(active=False)
    session = keeper.prime()
    for setup in (
        lambda sock: sock.setsockopt(socket.IPPROTO_TCP, kernel.TCP_ENO_CONFIG, b"\1\0\0\x23"),
        lambda sock: sock.setsockopt(socket.IPPROTO_TCP, kernel.TCP_ENO_TEPS, b"\x23"),
    ):
        with keeper.met(setup) as ends:
            assert_fresh(ends)
            assert ends.seen.syns()[0].eno == (OFFER,)
    with keeper.met() as ends:
        assert_resumed(ends, session)
