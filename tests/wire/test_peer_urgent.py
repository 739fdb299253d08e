"""Urgent data on the wire (RFC 8548 section 3.7), pyeno in either role."""

import errno
import select
import socket
import time

import pytest
from wire.netns import Wire
from wire.pairs import pair
from wire.peering import Field, face
from wire.rfcpeer_packet import ACK, URG

from pyeno import Config, Socket

pytestmark = pytest.mark.wire

OOB = socket.MSG_OOB
INLINE = socket.SOL_SOCKET, socket.SO_OOBINLINE
LITTLE = Config(frame_size=100, rekey_bytes=300)


def oob(sock: Socket) -> bytes:
    """The urgent byte, once it is here."""
    until = time.monotonic() + 5
    while True:
        try:
            return sock.recv(1, OOB)
        except OSError as error:
            assert error.errno in (errno.EINVAL, errno.EAGAIN)
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.mark.rfc("8547:5-16", "8547:5-18", "8548:3.7-1")
@pytest.mark.parametrize("role", "AB")
def test_pyeno_sends(field: Field, role: str) -> None:
    """URGp on the last frame, the index of its last byte, TCP's URG flag as well; across
    frames and rekeys."""
    with face(field, role, config=LITTLE, silent=True) as facing:
        peer = facing.peer.handshake()
        ours = facing.opened()
        for number in range(5):
            ours.sendall(b"p" * 150)
            ours.sendall(b"u" * 230, OOB)
            start = len(peer.frames)
            assert peer.recv_exactly(380) == b"p" * 150 + b"u" * 230
            frames = peer.frames[start:]
            assert [frame.urgent for frame in frames[:-1]] == [None] * (len(frames) - 1)
            assert frames[-1].urgent == len(frames[-1].data) - 1 == 29, number
        assert peer.opener.generation >= 3
        urgent = [s for s in peer.conn.received if s.flags & URG]
        assert urgent and all(s.payload for s in urgent)


@pytest.mark.rfc("8547:5-16", "8547:5-18", "8548:3.7-1")
@pytest.mark.parametrize("role", "AB")
def test_pyeno_receives(field: Field, role: str) -> None:
    with face(field, role, silent=True) as facing:
        peer = facing.peer.handshake()
        ours = facing.opened()
        for generation in range(3):
            peer.send(b"before")
            peer.send_frame(b"ab!cd", urgent=2, rekey=generation > 0)
            peer.send(b"after")
            assert oob(ours) == b"!"
            got = b""
            while not ours.sockatmark():
                got += ours.recv(3)
            assert got == b"beforeab"
            while len(got) < 15:
                got += ours.recv(99)
            assert got == b"beforeabcdafter"
            with pytest.raises(OSError) as error:
                ours.recv(1, OOB)
            assert error.value.errno == errno.EINVAL
        assert ours.eno.remote_generation == 2


def test_inline(field: Field) -> None:
    with face(field, "B", silent=True) as facing:
        peer = facing.peer.handshake()
        ours = facing.opened()
        ours.setsockopt(*INLINE, 1)
        peer.send_frame(b"ab!cd", urgent=2)
        assert ours.recv(9) == b"ab" and ours.sockatmark() and ours.recv(9) == b"!cd"


@pytest.mark.rfc("8547:5-15")
@pytest.mark.parametrize("role", "AB")
def test_the_urg_flag_alone(field: Field, role: str) -> None:
    """What is not authenticated delivers nothing, and takes nothing out of the stream."""
    with face(field, role, silent=True) as facing:
        peer = facing.peer.handshake()
        ours = facing.opened()
        peer.conn.inject(flags=ACK | URG, urgent=25)
        peer.send(b"an ordinary frame")
        peer.conn.flush()
        with pytest.raises(OSError):
            ours.recv(1, OOB)
        assert not ours.sockatmark()
        assert ours.recv(99) == b"an ordinary frame"


def test_between_two(wire: Wire) -> None:
    """POLLPRI at the other host, and the byte, many times."""
    with pair(wire, LITTLE, LITTLE) as (a, b):
        poller = select.poll()
        poller.register(b.fileno(), select.POLLPRI)
        for number in range(20):
            a.sendall(bytes(170))
            assert not poller.poll(0)
            a.send(b"%03d!" % number, OOB)
            assert poller.poll(5000)
            assert b.recv(1, OOB) == b"!"
            got = b""
            while not b.sockatmark():
                got += b.recv(99)
            assert got == bytes(170) + b"%03d" % number
            a.sendall(b"x")
            assert b.recv(1) == b"x"
        assert b.eno.remote_generation > 5
