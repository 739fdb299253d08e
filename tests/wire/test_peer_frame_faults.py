"""Frames that go wrong, with pyeno in either role (RFC 8548 sections 3.6 to 3.8, 4.2).

What was authentic before the fault reaches the application, nothing after it does; the
connection is aborted with an error that is not the end of file.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import pytest
from oracle.frames import DATA_MAX
from wire.peering import MARKER, Field, face
from wire.programs import Command, Listen
from wire.rfcpeer import EnoPeer
from wire.rfcpeer_packet import RST

from pyeno.errors import AuthenticationError, RemoteProtocolError, TruncationError

pytestmark = pytest.mark.wire

GOOD = b"authentic"


class Wrong(NamedTuple):
    """What the peer does after sending GOOD, and what pyeno says of it."""

    do: Callable[[EnoPeer], None]
    error: type[Exception]
    end: str
    message: str


def replay(peer: EnoPeer) -> None:
    frame = peer.seal(b"once")
    peer.conn.send(frame + frame)


def flipped_in_the_middle(peer: EnoPeer) -> None:
    frame = bytearray(peer.seal(bytes(1000)))
    frame[500] ^= 0x10
    peer.conn.send(bytes(frame))


def before_its_time(peer: EnoPeer) -> None:
    """A good frame, 19 bytes late in the stream: the frame ID is its offset."""
    peer.conn.send(b"\0\0\x10" + bytes(16) + peer.seal(b"late"))


def wrong_generation(peer: EnoPeer) -> None:
    """The next generation's key without rekey = 1."""
    peer.sealer.advance()
    peer.send_frame(b"new keys")


def no_urgent_field(peer: EnoPeer) -> None:
    peer.send_frame(b"", urgent=0)


def rekey_twice_by_hand(peer: EnoPeer) -> None:
    """Two generations further, of which one was skipped."""
    peer.sealer.advance()
    peer.send_frame(b"skipped one", rekey=True)


def after_finp(peer: EnoPeer) -> None:
    peer.conn.send(peer.seal(fin=True) + peer.seal(b"more"))


def bytes_after_finp(peer: EnoPeer) -> None:
    peer.conn.send(peer.seal(fin=True) + b"\0")


def part_then_fin(peer: EnoPeer) -> None:
    peer.conn.send(peer.seal(b"data")[:-1], fin=True)


def header_then_fin(peer: EnoPeer) -> None:
    peer.conn.send(b"\0\0", fin=True)


def plaintext(peer: EnoPeer) -> None:
    peer.conn.send(b"\0\0\x18plaintext, not encrypted")


AUTHENTIC, SHORT = "authentication failed", "leaves no room for the flags byte"
FAILED = AuthenticationError, "auth-failed", AUTHENTIC
TRUNCATED = TruncationError, "truncated", "without an authenticated FINp"
BROKEN = RemoteProtocolError, "reset"
WRONG = {
    "bad tag": Wrong(lambda p: p.send_frame(b"data", bad_tag=True), *FAILED),
    "flipped data": Wrong(flipped_in_the_middle, *FAILED),
    "clen one less": Wrong(lambda p: p.send_frame(b"data", clen=20), *FAILED),
    "clen 17": Wrong(lambda p: p.send_frame(b"data", clen=17), *FAILED),
    "clen 16": Wrong(lambda p: p.send_frame(b"data", clen=16), *BROKEN, SHORT),
    "clen 0": Wrong(lambda p: p.send_frame(b"data", clen=0), *BROKEN, SHORT),
    "cres not authentic": Wrong(lambda p: p.send_frame(b"data", control=0x80), *FAILED),
    "forged rekey": Wrong(lambda p: p.send_frame(b"data", control=1), *FAILED),
    "skipped generation": Wrong(rekey_twice_by_hand, *FAILED),
    "wrong generation": Wrong(wrong_generation, *FAILED),
    "reordered": Wrong(lambda p: p.send_swapped(b"one", b"two"), *FAILED),
    "replayed": Wrong(replay, *FAILED),
    "offset": Wrong(before_its_time, *BROKEN, SHORT),
    "plaintext": Wrong(plaintext, *FAILED),
    "urgent past its data": Wrong(no_urgent_field, *BROKEN, "urgent field points beyond"),
    "frame after FINp": Wrong(after_finp, *BROKEN, "bytes follow the frame .* FINp"),
    "bytes after FINp": Wrong(bytes_after_finp, *BROKEN, "bytes follow the frame .* FINp"),
    "FIN without FINp": Wrong(lambda p: p.fin_without_finp(), *TRUNCATED),
    "FIN in a frame": Wrong(part_then_fin, *TRUNCATED),
    "FIN in a header": Wrong(header_then_fin, *TRUNCATED),
}


def delivered(name: str) -> bytes:
    return GOOD + (b"once" if name == "replayed" else b"")


@pytest.mark.rfc(
    "8547:4.6-12",
    "8547:5-10",
    "8547:5-11",
    "8547:5-13",
    "8547:5-14",
    "8548:3.3-16",
    "8548:3.6-8",
    "8548:3.7-5",
    "8548:8-1",
)
@pytest.mark.parametrize("role", "AB")
@pytest.mark.parametrize("name", WRONG)
def test_wrong_frame(field: Field, role: str, name: str) -> None:
    """RFC 8548 sections 3.6, 3.7: abort, and "an error condition distinct from ... EOF"."""
    wrong = WRONG[name]
    with face(field, role) as facing:
        peer = facing.peer.handshake()
        peer.send(GOOD)
        facing.opened(len(GOOD))
        wrong.do(peer)
        data, error = facing.end()
        assert type(error) is wrong.error and re.search(wrong.message, str(error)), error
        assert data == delivered(name)
        peer.conn.wait_reset()
        assert any(s.flags & RST for s in peer.conn.received)
        assert MARKER not in facing.wire()
        with pytest.raises(wrong.error):  # not EOF, however often one asks
            facing.opened().recv(1)


@pytest.mark.parametrize("name", WRONG)
def test_listen_reports(field: Field, echo: Listen, name: str) -> None:
    """The same seen by `pyeno listen --echo`, which goes on serving."""
    wrong = WRONG[name]
    peer = field.opener(echo.port).handshake()
    peer.send(GOOD)
    assert peer.recv_exactly(len(GOOD)) == GOOD
    wrong.do(peer)
    peer.conn.wait_reset()
    report = echo.report(peer.conn.local[1])
    assert report["end"] == wrong.end and re.search(wrong.message, report["error"]), report
    assert report["bytes_in"] == len(delivered(name))
    assert report["session_id"] == peer.session_id.hex()
    good = field.opener(echo.port).handshake()
    good.finish()
    assert echo.report(good.conn.local[1])["end"] == "fin"


@pytest.mark.parametrize("name", ["bad tag", "FIN without FINp", "bytes after FINp"])
def test_connect_reports(field: Field, name: str) -> None:
    """And by `pyeno connect` whose standard input is still open."""
    wrong = WRONG[name]
    peer = EnoPeer(field.host).listen(7777)
    with Command(field.tun.namespace, "connect", "--json", f"{field.theirs()}:7777") as connect:
        peer.accept().handshake()
        peer.send(GOOD)
        assert connect.received(len(GOOD)) == GOOD
        wrong.do(peer)
        peer.conn.wait_reset()
        assert connect.ended() == 1 and connect.complaints == []
        report = connect.report(7777)
        assert (report["end"], report["bytes_in"]) == (wrong.end, len(GOOD))
        assert re.search(wrong.message, report["error"])


@pytest.mark.rfc("8547:5-10", "8547:5-11", "8548:3.7-4", "8548:3.7-5")
def test_fin_at_every_byte(field: Field, echo: Listen) -> None:
    """RFC 8548 section 3.7: FIN anywhere inside a frame is truncation, and delivers nothing."""
    size = 3 + 1 + 5 + 16
    peers = [field.opener(echo.port).handshake() for _ in range(1, size)]
    for at, peer in enumerate(peers, 1):
        peer.conn.send(peer.seal(b"bytes", fin=True)[:at], fin=True)
    for peer in peers:
        peer.conn.wait_reset()
        report = echo.report(peer.conn.local[1])
        assert (report["end"], report["bytes_in"]) == ("truncated", 0), report


@pytest.mark.parametrize("role", "AB")
def test_reset_midway(field: Field, role: str) -> None:
    """A reset is told apart from truncation and from the end of file."""
    with face(field, role) as facing:
        peer = facing.peer.handshake()
        peer.send_part(bytes(DATA_MAX), 5000)
        peer.conn.flush()
        peer.abort()
        data, error = facing.end()
        assert data == b"" and type(error) is ConnectionResetError


def test_listen_reports_reset(field: Field, echo: Listen) -> None:
    peer = field.opener(echo.port).handshake()
    peer.send(GOOD)
    assert peer.recv_exactly(len(GOOD)) == GOOD
    peer.abort()
    report = echo.report(peer.conn.local[1])
    assert (report["end"], report["bytes_in"]) == ("reset", len(GOOD))


@pytest.mark.rfc("8548:4.2-2", "8548:4.2-3", "8548:4.2.1-1", "8548:4.2.1-2")
@pytest.mark.parametrize("role", "AB")
def test_reserved_bits_and_urgent(field: Field, role: str) -> None:
    """RFC 8548 section 4.2: cres and fres are ignored; urgent data stays in the stream."""
    with face(field, role) as facing:
        peer = facing.peer.handshake()
        for bit in range(1, 8):
            peer.send_frame(b"c", cres=1 << bit - 1)
        for bit in range(2, 8):
            peer.send_frame(b"f", fres=1 << bit - 2)
        peer.send_frame(b"!", cres=0x7F, fres=0x3F, urgent=0)
        peer.send_frame(b"end", fres=0x3F, fin=True, tcp_fin=True)
        assert facing.end() == (b"c" * 7 + b"f" * 6 + b"!end", None)
        peer.finish()
        assert all(frame.control == 0 and frame.flags in (0, 1) for frame in peer.frames)


@pytest.mark.parametrize("role", "AB")
def test_rekey(field: Field, role: str) -> None:
    """RFC 8548 section 3.8: each rekey frame is answered at once, by an empty frame."""
    with face(field, role, marker=b"") as facing:
        peer = facing.peer.handshake()
        for generation, data in enumerate((b"one", b"", b"three"), 1):
            peer.rekey(data)
            answer = peer.recv_frame()
            assert answer.rekey and answer.data == b""
            assert peer.opener.generation == peer.sealer.generation == generation
        peer.send_frame(b", last", rekey=True, fin=True)
        peer.finish()
        assert facing.end() == (b"onethree, last", None)
        assert facing.opened().eno.generation >= 3


def test_rekey_crossing_frames(field: Field, echo: Listen) -> None:
    """RFC 8548 section 3.8: two rekeys in one segment, each raising the generation."""
    peer = field.opener(echo.port).handshake()
    peer.answer_rekey = False
    peer.conn.send(peer.seal(b"a", rekey=True) + peer.seal(b"b", rekey=True) + peer.seal(b"c"))
    assert peer.recv_exactly(3) == b"abc"
    assert peer.opener.generation == peer.sealer.generation == 2
    peer.finish()
    assert echo.report(peer.conn.local[1])["end"] == "fin"
