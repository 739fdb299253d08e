"""Keep-alive by rekeying, against the RFC's own reading (RFC 8548 section 3.9)."""

import itertools
import socket
import time

import pytest
from wire.netns import Wire
from wire.pairs import pair
from wire.peering import Field, face
from wire.programs import Command, Listen
from wire.rfcpeer import EnoPeer

from pyeno import Config, PeerDeadError

pytestmark = pytest.mark.wire

QUICK = Config(keepalive=(0.3, 0.4))
PATIENT = Config(keepalive=(0.3, 3.0))
SOON = 4.0
_ports = itertools.count(7400)


@pytest.mark.rfc("8548:3.9-2", "8548:8.2-1")
@pytest.mark.parametrize("role", "AB")
@pytest.mark.parametrize("silent", [True, False], ids=["no calls", "reading"])
def test_a_peer_that_answers(field: Field, role: str, silent: bool) -> None:
    """One empty frame with rekey = 1 for each probe, and the connection goes on."""
    with face(field, role, config=PATIENT, marker=b"", silent=silent) as facing:
        peer = facing.peer.handshake()
        for generation in range(1, 5):
            frame = peer.recv_frame(SOON)
            assert (frame.rekey, frame.data, frame.fin) == (True, b"", False)
            assert peer.opener.generation == peer.sealer.generation == generation
        peer.send(b"alive")
        ours = facing.opened()
        if silent:
            assert ours.recv(9) == b"alive"
        peer.close()
        if not silent:
            assert facing.end() == (b"alive", None)


@pytest.mark.parametrize("role", "AB")
@pytest.mark.parametrize("silent", [True, False], ids=["no calls", "reading"])
def test_a_peer_that_only_acknowledges(field: Field, role: str, silent: bool) -> None:
    """TCP's acknowledgements prove nothing: RST, and an error of its own."""
    with face(field, role, config=QUICK, marker=b"", silent=silent) as facing:
        facing.peer.answer_rekey = False
        peer = facing.peer.handshake()
        assert peer.recv_frame(SOON).rekey
        peer.conn.wait_reset(SOON)
        if not silent:
            assert isinstance(facing.end().error, PeerDeadError)
        for _ in range(2):
            with pytest.raises(PeerDeadError, match=r"in 0\.4 s"):
                facing.opened().recv(1)
        assert len(peer.frames) == 1


def test_a_peer_that_sends_under_its_old_keys(field: Field) -> None:
    """Frames that could be older than the probe do not answer it."""
    with face(field, "A", config=QUICK, marker=b"") as facing:
        facing.peer.answer_rekey = False
        peer = facing.peer.handshake()
        assert peer.recv_frame(SOON).rekey
        with pytest.raises(ConnectionError):
            for _ in range(100):
                peer.send(b"x")
                time.sleep(0.05)
        assert isinstance(facing.end().error, PeerDeadError)


def test_the_peer_is_busy_sending(field: Field) -> None:
    """What comes in anyway under the newest keys needs no probe."""
    with face(field, "A", config=PATIENT, marker=b"") as facing:
        peer = facing.peer.handshake()
        for _ in range(12):
            peer.send(b"x")
            time.sleep(0.1)
        assert facing.opened(12).eno.generation == 0
        peer.finish()
        assert facing.end() == (b"x" * 12, None)


@pytest.mark.rfc("8548:3.9-1")
def test_two_that_probe_each_other(wire: Wire) -> None:
    with pair(wire, PATIENT, PATIENT) as (a, b):
        time.sleep(1.5)
        assert a.eno.generation >= 3 and b.eno.generation >= 3
        a.sendall(b"there")
        assert b.recv(9) == b"there"
        b.sendall(b"and back")
        assert a.recv(9) == b"and back"
        for sock in a, b:
            assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_listen_says_so(field: Field) -> None:
    port = next(_ports)
    wish = "--echo", "--keepalive", "0.3,0.4"
    with Listen(field.tun.namespace, port, *wish) as listen:
        peer = field.opener(port)
        peer.answer_rekey = False
        peer.handshake()
        peer.conn.wait_reset(SOON)
        report = listen.report(peer.conn.local[1])
        assert report["end"] == "reset" and "did not answer a rekeying" in str(report["error"])


def test_connect_says_so(field: Field) -> None:
    port = next(_ports)
    peer = EnoPeer(field.host).listen(port)
    target = f"{field.theirs()}:{port}"
    wish = "--json", "--keepalive", "0.3"
    with Command(field.tun.namespace, "connect", *wish, target) as connect:
        peer.answer_rekey = False
        peer.accept().handshake()
        peer.conn.wait_reset(SOON)
        assert connect.ended() == 1
        report = connect.next_report()
        assert report["end"] == "reset" and "did not answer a rekeying" in str(report["error"])
