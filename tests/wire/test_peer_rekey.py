"""Rekeying against the RFCs' own reading, and against oneself (RFC 8548 sections 3.8, 3.9)."""

import os
import threading

import pytest
from wire.netns import Wire
from wire.pairs import pair
from wire.peering import Field, face

from pyeno import Config

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
