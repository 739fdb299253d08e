"""Resumption and the 40 bytes of TCP options; lost segments; simultaneous open.

"Never an unencrypted connection because a nonce did not fit": beside MSS, SACK,
timestamps and window scale 20 bytes are free.
"""

import contextlib
import errno
import itertools
import socket
from collections.abc import Iterator

import pytest
from oracle import keys
from wire.connect import no_eno
from wire.held import await_crossed, crossing, held
from wire.netns import Wire
from wire.sessions import (
    Keeper,
    assert_fresh,
    assert_nothing_to_take,
    assert_resumed,
    fresh,
    halves,
    keeps,
    opposite,
    proposal,
    put,
    says,
    take,
)

from pyeno import kernel
from pyeno.constants import Reason, Role, State

pytestmark = pytest.mark.wire
_ports = itertools.count(48000, 2)
SYN_ONLY = "tcp flags & (syn|ack) == syn"
SYN_ACK = "tcp flags & (syn|ack) == syn|ack"
FIRST = "numgen inc mod 100000 == 0"


@pytest.mark.rfc("8548:3.5-1", "8548:3.5-3")
@pytest.mark.parametrize("size", range(9))
def test_configured_nonce_lengths(wire: Wire, token: bytes, size: int) -> None:
    """ "an API through which to set the resumption nonce length"; 7 fit into a SYN-ACK."""
    setup = keeps(token, nonce_len=size)
    with Keeper(wire, token, active=setup, passive=setup) as keeper:
        session = keeper.prime()
        with keeper.met() as ends:
            assert_resumed(ends, session)
            assert len(halves(ends.seen.syns()[0].eno[0])[1]) == size
            assert len(halves(ends.seen.syn_acks()[0].eno[0])[1]) == min(size, 7)


def test_without_timestamps_all_eight_bytes_fit(keeper: Keeper, roomy: None) -> None:
    session = keeper.prime()
    with keeper.met() as ends:
        assert_resumed(ends, session)
        for segment in (ends.seen.syns()[0], ends.seen.syn_acks()[0]):
            assert len(halves(segment.eno[0])[1]) == 8


# bytes of the SYN's option: 2, global, other TEPs, 1 + 9, nonce; 20 are free
ROOM = [
    ("23", 0, 8, 8),
    ("23", 1, 8, 7),
    ("2123", 1, 8, 6),
    ("202123", 1, 8, 5),
    ("20212223", 1, 8, 4),
    ("2021222423", 0, 8, 4),
    ("2021222423", 1, 8, None),
    ("20212224253023", 0, 8, None),
    ("2021222423", 1, 3, 3),
    ("202122242523", 1, 3, None),
    ("20212224252623", 1, 1, 1),
    ("2021222425262723", 1, 0, 0),
]


@pytest.mark.rfc("8548:3.5-23", "8548:3.5-24", "8548:3.5-25")
@pytest.mark.parametrize(("teps", "aware", "size", "left"), ROOM)
def test_room_in_the_syn(
    wire: Wire, token: bytes, teps: str, aware: int, size: int, left: int | None
) -> None:
    """A shorter nonce, of at least 4 bytes or as configured; else a fresh offer."""
    setup = keeps(token, teps, nonce_len=size, self_aware=aware)
    with Keeper(wire, token, active=setup) as keeper:
        session = keeper.prime()
        with keeper.met() as ends:
            (offer,) = ends.seen.syns()[0].eno
            head = bytes([2] if aware else [])
            if left is None:
                assert_fresh(ends)
                assert offer == bytes((0x45, len(offer))) + head + bytes.fromhex(teps)
            else:
                assert_resumed(ends, session)
                assert len(halves(offer)[1]) == left
                assert offer[2 : -10 - left] == head + bytes.fromhex(teps)[:-1]
        with keeper.met(says(proposal(session, bytes(4)))) as ends:
            # claimed by the listener exactly if it was proposed
            assert ends.passive.resumed is (left is None)


@pytest.mark.parametrize("count", [19, 22, 23, 24, 30, 37])
def test_offers_that_no_syn_has_room_for(wire: Wire, token: bytes, count: int) -> None:
    """Up to the 40 bytes of an option: plain TCP, the cache is none the worse."""
    teps = bytes(range(0x25, 0x24 + count)) + b"\x23"
    setup = keeps(token, teps.hex())
    with Keeper(wire, token, active=setup) as keeper:
        keeper.prime()
        with keeper.met() as ends:
            assert ends.active.reason is Reason.NO_ROOM, ends
            assert_nothing_to_take(ends.a)
            assert no_eno(ends.seen.segments)


# -- lost segments: the same bytes again ---------------------------------------------


@pytest.mark.parametrize(("at", "which"), [("b", SYN_ONLY), ("a", SYN_ACK)])
def test_lost_segments(wire: Wire, keeper: Keeper, at: str, which: str) -> None:
    """Section 4.6 of RFC 8547: MUST NOT alter SYN-form ENO options."""
    session = keeper.prime()
    with getattr(wire, at).rules(f"{which} {FIRST} drop"), keeper.met() as ends:
        assert_resumed(ends, session)
        sent = ends.seen.syns() if which is SYN_ONLY else ends.seen.syn_acks()
        assert len(sent) > 1 and len({s.eno for s in sent}) == 1
        assert len(sent[0].eno[0]) == 20


def test_the_ack_loses_its_option(wire: Wire, keeper: Keeper) -> None:
    """RFC 8547 section 4.6 rule 1: b is plain TCP again, and its secret is gone."""
    keeper.prime()
    strip = "tcp flags & (syn|ack) == ack reset tcp option 69"
    with wire.b.rules(strip), keeper.met() as ends:
        assert ends.passive.reason is Reason.ACK_WITHOUT_ENO
        assert_nothing_to_take(ends.b)


# -- simultaneous open -----------------------------------------------------------------


def primed(wire: Wire, token: bytes, ports: int, *, same: bool = True) -> keys.Session:
    """A session each end would propose: made in a simultaneous open of the same ports."""
    session = fresh()
    other = opposite(session) if same else fresh("B")
    setups = keeps(token, nonce_len=None), keeps(token, nonce_len=None, role_b=True)
    with crossing(wire, *setups, ports) as ends:
        put(ends[0], session)
        put(ends[1], other)
    return session


@pytest.mark.rfc("8548:3.5-22")
@pytest.mark.parametrize("role_b_at", [0, 1])
def test_simultaneous_open_resumes(wire: Wire, token: bytes, role_b_at: int) -> None:
    """ "two hosts that simultaneously send SYN segments with compatible resumption
    suboptions MAY resume"; roles in the connection are not those of the session."""
    ports = next(_ports)
    session = primed(wire, token, ports)
    setups = [keeps(token, role_b=role_b_at == i) for i in range(2)]
    with crossing(wire, *setups, ports) as ends:
        results = [kernel.result(sock) for sock in ends]
        for i, (sock, result) in enumerate(zip(ends, results, strict=True)):
            assert result.state is State.ENCRYPTED and result.resumed, results
            assert result.role is (Role.B if i == role_b_at else Role.A)
            assert result.original_role is (Role.A, Role.B)[i]
            assert take(sock) == session.ss
        assert results[0].transcript == results[1].transcript


def test_simultaneous_open_with_different_sessions(wire: Wire, token: bytes) -> None:
    """Each ignores the other's suboption: plain TCP on both sides, secrets gone."""
    ports = next(_ports)
    primed(wire, token, ports, same=False)
    with crossing(wire, keeps(token), keeps(token, role_b=True), ports) as ends:
        for sock in ends:
            assert kernel.result(sock).reason is Reason.NO_VALID_TEP
            assert_nothing_to_take(sock)


def test_simultaneous_open_where_b_offers_afresh(wire: Wire, token: bytes) -> None:
    """Host A proposes, host B's v = 0 asks for a fresh key exchange."""
    ports = next(_ports)
    primed(wire, token, ports)
    off = keeps(token, nonce_len=None, role_b=True)
    with crossing(wire, keeps(token), off, ports) as ends:
        for sock in ends:
            result = kernel.result(sock)
            assert result.state is State.ENCRYPTED and not result.resumed
            assert_nothing_to_take(sock)


@pytest.mark.rfc("8548:3.5-31")
def test_sessions_crossing_on_two_connections(wire: Wire, token: bytes) -> None:
    """Two SYNs with one session, but "not part of a simultaneous open": each host used
    its secret, so "both connections would need to revert to fresh key exchange"."""
    there, back = Keeper(wire, token), Keeper(wire, token, swapped=True)
    with there, back, held_openers(wire, there, back) as (a, b):
        for sock in (a, b):
            result = kernel.result(sock)
            assert result.state is State.ENCRYPTED and not result.resumed, result


@contextlib.contextmanager
def held_openers(wire: Wire, there: Keeper, back: Keeper) -> Iterator[list[socket.socket]]:
    session = fresh()
    with there.met(keeps(there.token, nonce_len=None)) as ends:
        put(ends.a, session)
        put(ends.b, opposite(session))
    with contextlib.ExitStack() as stack:
        socks = []
        with held(wire):
            for keeper in (there, back):
                sock = stack.enter_context(keeper.opener.socket())
                keeper.active(sock)
                sock.setblocking(False)
                assert sock.connect_ex(keeper.address) == errno.EINPROGRESS
                socks.append(sock)
        await_crossed(socks)
        yield socks


@pytest.mark.rfc("8548:3.5-2")
def test_nonces_differ(keeper: Keeper) -> None:
    """From getrandom(), mixed with the time: not the bytes that were put."""
    nonces = set()
    for _ in range(3):
        keeper.prime()
        with keeper.met() as ends:
            nonces.add(halves(ends.seen.syns()[0].eno[0])[1][:7])
            nonces.add(halves(ends.seen.syn_acks()[0].eno[0])[1])
    assert len(nonces) == 6
