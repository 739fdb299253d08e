"""Rekeying against the RFCs' own reading, and against oneself (RFC 8548 sections 3.8, 3.9)."""

import os
import threading
import time

import pytest
from wire.netns import Wire
from wire.pairs import pair
from wire.peering import Field, face

from pyeno import AuthenticationError, Config, RemoteProtocolError

pytestmark = pytest.mark.wire

LITTLE = Config(rekey_bytes=20_000, frame_size=4000)
DATA = os.urandom(600_000)


@pytest.mark.parametrize("role", "AB")
def test_pyeno_initiates(field: Field, role: str) -> None:
    """Section 3.8: rekey = 1 exactly on the first frame of a generation, again and again
    although the application only sends; the peer answers and nothing breaks."""
    with face(field, role, config=LITTLE, marker=DATA) as facing:
        peer = facing.peer.handshake()
        assert peer.recv_exactly(len(DATA)) == DATA
        peer.finish()
        assert facing.end() == (b"", None)
        generation = facing.opened().eno.generation
        rekeys = [frame for frame in peer.frames if frame.rekey]
        assert len(rekeys) == peer.opener.generation == generation >= 2
        assert all(frame.control in (0, 1) for frame in peer.frames)


@pytest.mark.parametrize("role", "AB")
def test_peer_does_not_answer(field: Field, role: str) -> None:
    """Section 3.8: with data to send, rekeying waits for no answer."""
    with face(field, role, config=LITTLE, marker=DATA) as facing:
        peer = facing.peer
        peer.answer_rekey = False
        peer.handshake()
        assert peer.recv_exactly(len(DATA)) == DATA
        assert peer.opener.generation >= 2 > peer.sealer.generation
        peer.finish()
        assert facing.end() == (b"", None)


def test_both_initiate(wire: Wire) -> None:
    """Section 3.8: both rekey while both send; every byte arrives, and they converge."""
    with pair(wire, LITTLE, LITTLE) as (a, b):
        for _ in range(3):
            senders = [threading.Thread(target=sock.sendall, args=[DATA]) for sock in (a, b)]
            for sender in senders:
                sender.start()
            for sock in b, a:
                got = bytearray()
                while len(got) < len(DATA):
                    got += sock.recv(1 << 16)
                assert got == DATA
            for sender in senders:
                sender.join()
        assert a.eno.generation >= 6 and abs(a.eno.generation - b.eno.generation) <= 2, a


@pytest.mark.rfc("8548:3.9-3")
@pytest.mark.parametrize("role", "AB")
def test_keep_alive_is_answered(field: Field, role: str) -> None:
    """Section 3.9: a probe is a rekey; the answer comes while the application only reads."""
    with face(field, role, marker=b"") as facing:
        peer = facing.peer.handshake()
        for generation in 1, 2, 3:
            peer.rekey()
            frame = peer.recv_frame(2)
            assert (frame.rekey, frame.data) == (True, b"")
            assert peer.opener.generation == generation
        peer.finish()
        assert facing.end() == (b"", None)


@pytest.mark.parametrize("role", "AB")
def test_rekey_after_our_end(field: Field, role: str) -> None:
    """Sections 3.7, 3.8: no frame after FINp, not even the answer to a rekey."""
    with face(field, role, marker=b"") as facing:
        peer = facing.peer.handshake()
        peer.send(b"x")
        facing.opened(1).shutdown(1)
        assert peer.recv() == b""
        peer.rekey(b"more")
        peer.rekey(b", and more")
        peer.finish()
        assert facing.end() == (b"xmore, and more", None)
        assert peer.frames[-1].fin and not any(f.rekey for f in peer.frames)


@pytest.mark.rfc("8548:3.8-2", "8548:3.8-8", "8548:3.8-9")
@pytest.mark.parametrize("role", "AB")
def test_rekey_on_demand(field: Field, role: str) -> None:
    """Section 3.8: an empty frame at once; none while that is unanswered, then data go on."""
    with face(field, role, silent=True) as facing:
        facing.peer.answer_rekey = False
        peer = facing.peer.handshake()
        ours = facing.opened()
        for _ in range(3):
            ours.rekey()
        frame = peer.recv_frame(2)
        assert (frame.rekey, frame.data) == (True, b"")
        with pytest.raises(TimeoutError):
            peer.recv_frame(0.2)
        ours.sendall(b"data")
        frame = peer.recv_frame(2)
        assert (frame.rekey, frame.data) == (True, b"data")
        assert (ours.eno.generation, ours.eno.remote_generation) == (2, 0)
        peer.answer_rekey = True
        ours.sendall(b"more")
        peer.rekey(b"one")
        peer.rekey(b"two")
        assert ours.recv(3) == b"one" and ours.recv(3) == b"two"
        assert (ours.eno.generation, ours.eno.remote_generation) == (2, 2)
        ours.rekey()
        assert peer.recv_frame(2).data == b"more" and peer.recv_frame(2).rekey


@pytest.mark.rfc("8548:3.8-6", "8548:3.8-7", "8548:3.9-3")
@pytest.mark.parametrize("role", "AB")
def test_pyeno_only_sends(field: Field, role: str) -> None:
    """Section 3.8: "MUST immediately send a frame", although the application never reads."""
    with face(field, role, silent=True) as facing:
        peer = facing.peer.handshake()
        ours = facing.opened()
        for generation in 1, 2, 3:
            peer.rekey()
            peer.conn.flush()
            for _ in range(40):
                ours.send(b"x")
                time.sleep(0.005)
            while peer.opener.generation < generation:
                peer.recv_frame(2)
        assert ours.eno.generation == ours.eno.remote_generation == 3


def test_storm_of_empty_rekeys(field: Field) -> None:
    """Section 3.8: more than one empty rekeying at a time is an error of the peer."""
    with face(field, "B", silent=True) as facing:
        peer = facing.peer.handshake()
        peer.conn.send(b"".join(peer.seal(rekey=True) for _ in range(500)))
        with pytest.raises(RemoteProtocolError, match="without an answer"):
            facing.opened().recv(1)
        peer.conn.wait_reset()


def test_storm_with_data(field: Field) -> None:
    """Allowed, and every generation is answered."""
    with face(field, "B", marker=b"") as facing:
        peer = facing.peer.handshake()
        peer.conn.send(b"".join(peer.seal(b"x", rekey=True) for _ in range(500)))
        while peer.opener.generation < 500:
            peer.recv_frame(5)
        assert all(frame.data == b"" for frame in peer.frames)
        peer.finish()
        assert facing.end() == (b"x" * 500, None)


def test_forged_rekey_bit(field: Field) -> None:
    """Section 4.2.2: the control byte is authenticated."""
    with face(field, "B", silent=True) as facing:
        peer = facing.peer.handshake()
        peer.send_frame(b"data", control=1)
        with pytest.raises(AuthenticationError):
            facing.opened().recv(9)
        peer.conn.wait_reset()
        assert facing.opened().eno.remote_generation == 0


def test_on_demand_between_two(wire: Wire) -> None:
    """Both at once, again and again, with data under way."""
    with pair(wire) as (a, b):
        for _ in range(20):
            senders = [
                threading.Thread(target=lambda s=s: (s.rekey(), s.sendall(DATA[:9000])))
                for s in (a, b)
            ]
            for sender in senders:
                sender.start()
            for sock in b, a:
                got = bytearray()
                while len(got) < 9000:
                    got += sock.recv(1 << 16)
                assert got == DATA[:9000]
            for sender in senders:
                sender.join()
        assert a.eno.generation >= 20 <= b.eno.generation
