"""pyeno and a host written from the RFCs alone: keys, data both ways, and proper ends."""

import os

import pytest
from wire.peering import Field, face
from wire.programs import Command, Listen
from wire.rfcpeer import EnoPeer
from wire.rfcpeer_packet import FIN, PSH, Segment

from pyeno import Aead, Config

pytestmark = pytest.mark.wire

SIZES = (0, 1, 100, 70_000, 1 << 20)
AEADS = tuple(Aead)
OFFER, ANSWER = bytes.fromhex("450323"), bytes.fromhex("45040123")


def agreed(peer: EnoPeer, report: dict[str, object], role: str) -> None:
    """Both hosts computed the same, independently (RFC 8547 section 4.8, RFC 8548 3.3, 3.4)."""
    assert peer.negotiated is not None and peer.keys is not None
    assert report["encrypted"] is True and report["reason"] is None
    assert report["session_id"] == peer.session_id.hex() and len(peer.session_id) == 33
    assert report["transcript"] == peer.negotiated.transcript.hex() == (OFFER + ANSWER).hex()
    assert report["tep"] == "0x23" and report["role"] == role
    assert report["aead"] == Aead(peer.keys.aead).name
    assert report["resumed"] is report["self_aware"] is report["peer_aware"] is False
    assert report["end"] == "fin" and "error" not in report


@pytest.mark.rfc(
    "8547:4.6-11",
    "8547:5.1-1",
    "8547:5.1-13",
    "8548:3.2-4",
    "8548:3.2-11",
    "8548:3.3-1",
    "8548:3.3-7",
    "8548:3.3-11",
    "8548:5-10",
    "8548:5-12",
)
@pytest.mark.parametrize("family", "46")
@pytest.mark.parametrize("size", SIZES)
def test_echo(field: Field, echo: Listen, family: str, size: int) -> None:
    """RFC 8548 sections 3.3, 3.6, 3.7: the peer opens, and closes first."""
    data = os.urandom(size)
    peer = field.opener(echo.port, family)
    peer.handshake()
    peer.send(data)
    assert peer.recv_exactly(size) == data
    assert peer.finish() == b""
    report = echo.report(peer.conn.local[1])
    agreed(peer, report, "B")
    assert (report["bytes_in"], report["bytes_out"]) == (size, size)


@pytest.mark.parametrize("family", "46")
@pytest.mark.parametrize("size", SIZES)
def test_echo_by_the_peer(field: Field, family: str, size: int) -> None:
    """RFC 8548 section 3.7: pyeno opens and ends its stream; the peer, told so, answers."""
    data = os.urandom(size)
    port = 8000 + size % 97
    peer = EnoPeer(field.host).listen(port)
    host = field.theirs(family)
    target = f"[{host}]:{port}" if family == "6" else f"{host}:{port}"
    with Command(field.tun.namespace, "connect", "--json", target) as connect:
        connect.type(data, end=True)
        peer.accept().handshake()
        assert peer.recv_exactly(size) == data
        assert peer.recv() == b"" and peer.opener.finished
        peer.send(data)
        peer.finish()
        assert connect.ended() == 0
        assert connect.output == data
        report = connect.report(port)
        agreed(peer, report, "A")
        assert (report["bytes_in"], report["bytes_out"]) == (size, size)


@pytest.mark.rfc("8548:3.6-1", "8548:6-1", "8548:6-3", "8548:6-4", "8548:6-5")
@pytest.mark.parametrize("role", "AB")
@pytest.mark.parametrize("aead", AEADS)
def test_each_aead(field: Field, aead: Aead, role: str) -> None:
    """RFC 8548 sections 3.3 and 6: whichever the other end's wishes leave."""
    with face(field, role, aeads=(aead,)) as facing:
        peer = facing.peer.handshake()
        peer.send(b"abc" * 50_000)
        assert peer.keys is not None and peer.keys.aead == aead
        peer.finish()
        assert facing.end() == (b"abc" * 50_000, None)
        assert facing.socket is not None and facing.socket.eno.aead is aead


@pytest.mark.rfc("8548:3.3-13", "8548:4.1-7")
@pytest.mark.parametrize("aead", AEADS)
def test_preferences(field: Field, aead: Aead) -> None:
    """RFC 8548 section 3.3: host A's order is what it sends, host B's decides."""
    others = [other for other in AEADS if other is not aead]
    config = Config(aeads=(aead, *others))
    with face(field, "A", config=config, aeads=tuple(Aead)[::-1]) as facing:
        peer = facing.peer.handshake()
        assert peer.keys is not None and peer.keys.aead == 0x0010
        listed = peer.keys.init1[9:15]
        assert listed == b"".join(each.to_bytes(2, "big") for each in (aead, *others))
    with face(field, "B", config=config) as facing:
        peer = facing.peer.handshake()
        assert peer.keys is not None and peer.keys.aead == aead


@pytest.mark.rfc("8548:3.7-2", "8548:3.7-3")
@pytest.mark.parametrize("role", "AB")
def test_pyeno_ends_first(field: Field, role: str) -> None:
    """RFC 8548 section 3.7: FINp on the last frame only; half-closed, pyeno reads on."""
    with face(field, role, marker=b"") as facing:
        peer = facing.peer.handshake()
        peer.send(b"first")
        ours = facing.opened(5)
        ours.sendall(b"last")
        ours.shutdown(1)
        assert peer.recv_exactly(4) == b"last" and peer.recv() == b""
        assert [frame.fin for frame in peer.frames] == [False, True]
        peer.send(b", and more")
        peer.close(b", the end")
        assert facing.end() == (b"first, and more, the end", None)
        peer.conn.wait_closed()


@pytest.mark.rfc("8548:3.3-3")
@pytest.mark.parametrize("role", "AB")
def test_push(field: Field, role: str) -> None:
    """RFC 8548 section 3.3: "the segment containing the last byte of an Init1 or Init2
    message MUST have TCP's push flag (PSH) set"."""
    with face(field, role) as facing:
        peer = facing.peer.handshake()
        assert peer.keys is not None
        left = len(peer.keys.init1 if role == "A" else peer.keys.init2)
        for segment in peer.conn.received:
            left -= len(segment.payload)
            if segment.payload and left <= 0:
                assert segment.flags & PSH, segment
                break
        else:
            pytest.fail("no Init message")


def fins(field: Field, role: str) -> list[Segment]:
    """The segments with FIN of a connection that both hosts end."""
    with face(field, role) as facing:
        peer = facing.peer.handshake()
        peer.finish()
        assert facing.end().error is None
        return [s for s in peer.conn.received if s.flags & FIN]


@pytest.mark.parametrize("role", "AB")
def test_fin_stands_with_the_last_frame(field: Field, role: str) -> None:
    """RFC 8548 section 3.7: FIN "on the segment containing the last byte of the last frame".

    An acknowledgment that comes between the two system calls makes the kernel send the
    frame at once, so a few connections are tried.
    """
    tried = [fins(field, role) for _ in range(4)]
    assert all(tried) and any(all(s.payload for s in last) for last in tried), tried


@pytest.mark.parametrize("chunk", [1, 7, 20])
def test_many_small_frames(field: Field, echo: Listen, chunk: int) -> None:
    """RFC 8548 section 3.6: many frames in one segment, and frames that span segments."""
    data = os.urandom(3000)
    peer = field.opener(echo.port)
    peer.handshake()
    stream = b"".join(peer.seal(data[i : i + chunk]) for i in range(0, len(data), chunk))
    peer.conn.send(stream)
    assert peer.recv_exactly(len(data)) == data
    peer.finish()
    assert echo.report(peer.conn.local[1])["end"] == "fin"


def test_frames_cut_at_every_byte(field: Field, echo: Listen) -> None:
    """RFC 8548 section 3.6: segment boundaries mean nothing."""
    peer = field.opener(echo.port)
    peer.handshake()
    for at in range(1, 3 + 1 + 5 + 16):
        frame = peer.seal(b"bytes")
        peer.conn.send(frame[:at])
        peer.conn.flush()
        peer.conn.send(frame[at:])
        assert peer.recv_exactly(5) == b"bytes"
    peer.finish()
    assert echo.report(peer.conn.local[1])["bytes_out"] == 24 * 5
