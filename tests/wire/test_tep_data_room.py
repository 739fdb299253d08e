"""Suboption data and the 40 bytes of TCP options: what gives way, and in which order
(docs/socket-options.md, "Suboption data")."""

import socket
import struct

import pytest
from oracle import tepdata
from wire.connect import Setup, assert_encrypted, assert_plain, connection, no_eno
from wire.netns import Wire
from wire.sessions import Keeper, assert_fresh, assert_resumed, halves, keeps
from wire.tepdata import ROOM, RULES, WORLD, answer, has, offer

from pyeno.constants import Reason

pytestmark = pytest.mark.wire
TCP_MD5SIG = 14  # linux/tcp.h


MANY = bytes(range(0x40, 0x60)).hex()


@pytest.mark.parametrize(
    "order",
    [
        "303132", "30313223", "33323130", "30" + MANY[:30], "3031" + MANY[:16],
        "3031" + MANY[:32], "3230" + MANY[:26], "3230" + MANY[:34], "30" + MANY[:36],
    ],
)  # fmt: skip
def test_the_least_preferred_data_give_way(wire: Wire, order: str) -> None:
    """And with them their TEP, unless its rule allows 0 bytes."""
    with connection(wire, has(order), has(order)) as ends:
        offered = offer(order)
        assert offered != offer(order, room=40)
        assert_encrypted(ends, offered, answer(offered, order))


@pytest.mark.parametrize("order", ["30" + MANY[:38], MANY[:40] + "32"])
def test_nothing_fits(wire: Wire, order: str) -> None:
    assert tepdata.offered(bytes.fromhex(order), WORLD, 0, ROOM) is None
    with connection(wire, has(order), has("3032")) as ends:
        assert_plain(ends, Reason.NO_ROOM, Reason.SYN_WITHOUT_ENO)
        assert no_eno(ends.seen.segments)


@pytest.mark.parametrize("order", ["303132", "30313223", "33323130", "30" + MANY[:36]])
def test_more_room_without_timestamps(wire: Wire, roomy: None, order: str) -> None:
    with connection(wire, has(order), has(order)) as ends:
        offered = offer(order, room=32)
        assert_encrypted(ends, offered, answer(offered, order, room=32))


def signed(sock: socket.socket, peer: str) -> None:
    """TCP MD5 signatures (RFC 2385): with MSS, SACK and window scale they leave 8 bytes."""
    address = struct.pack("=HH4s120x", socket.AF_INET, 0, socket.inet_aton(peer))
    key = struct.pack("=BBHi80s", 0, 0, 4, 0, b"password"[:4])
    sock.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, address + key)


@pytest.mark.parametrize(
    ("active", "passive"),
    [
        ("30", "30"),  # 6 and 5 bytes
        ("32", "32"),  # its 16 bytes may be missing from B
        ("3332", "3233"),  # they may not: the next TEP
        ("3033", "3033"),
        ("33", "33"),
        ("2333", "2333"),
        ("3123", "3123"),
    ],
)
def test_eight_bytes_of_room(wire: Wire, active: str, passive: str) -> None:
    def sign(setup: Setup, peer: str) -> Setup:
        def both(sock: socket.socket) -> None:
            signed(sock, peer)
            setup(sock)

        return both

    opener = sign(has(active), wire.b.ip4), sign(has(passive), wire.a.ip4)
    with connection(wire, *opener) as ends:
        offered = offer(active, room=8)
        answered = tepdata.answered(offered, bytes.fromhex(passive), WORLD, 1, 8)
        if answered is None:
            assert_plain(ends, Reason.SYN_ACK_WITHOUT_ENO, Reason.NO_ROOM)
        else:
            assert_encrypted(ends, offered, answered)


# -- with session resumption ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "nonce", "before", "left"),
    [
        # 2, length byte, TEP, data, TEP, half, nonce: of 8 bytes or so many as are left
        ("3223", 8, "81b27879", 4),
        ("3223", 3, "81b27879", 3),
        ("3023", 3, "82b0616161", 3),
        ("3023", 0, "82b0616161", 0),
        ("213223", 3, "2181b27879", 3),
        # too long even so: afresh
        ("3023", 8, "", None),
        ("3123", 0, "", None),
        ("303223", 0, "", None),
    ],
)
def test_beside_a_proposal_to_resume(
    wire: Wire, token: bytes, order: str, nonce: int, before: str, left: int | None
) -> None:
    """The nonce gives way first, down to 4 bytes, then the resumption, then the data."""
    setup = keeps(token, order, nonce_len=nonce, data=RULES)
    with Keeper(wire, token, active=setup) as keeper:
        session = keeper.prime()
        with keeper.met() as ends:
            (offered,) = ends.seen.syns()[0].eno
            if left is None:
                assert_fresh(ends)
                assert offered == offer(order)
            else:
                assert_resumed(ends, session)
                assert offered[2:].hex().startswith(before + "a3")
                assert len(offered) == 2 + len(before) // 2 + 10 + left
                assert len(halves(offered)[1]) == left


def test_too_much_data_for_a_proposal(wire: Wire, token: bytes) -> None:
    """That is known before a session is claimed: the next connection resumes it."""
    setup = keeps(token, "3031323323", data=RULES)
    with Keeper(wire, token, active=setup) as keeper:
        session = keeper.prime()
        with keeper.met() as ends:
            assert_fresh(ends)
            assert [s.eno for s in ends.seen.syns()] == [(offer("3031323323"),)]
        with keeper.met(keeps(token)) as ends:
            assert_resumed(ends, session)


def test_a_listener_resumes_beside_data(wire: Wire, token: bytes) -> None:
    """A session that is there wins over preference; without one the data are sent."""
    setup = keeps(token, "2332", data=RULES)
    with Keeper(wire, token, active=setup, passive=setup) as keeper:
        session = keeper.prime()
        with keeper.met() as ends:
            assert_resumed(ends, session)
        with keeper.met() as ends:
            assert_encrypted(ends, offer("2332"), answer(offer("2332"), "2332"))
