"""Ends of the stream on the wire (RFC 8548 section 3.7): half-closed, late, cut, reset."""

import socket
import threading
import time

import pytest
from wire.netns import Wire
from wire.pairs import pair
from wire.peering import Field, face
from wire.programs import Listen

from pyeno.errors import RemoteProtocolError, TruncationError

pytestmark = pytest.mark.wire


@pytest.mark.parametrize("size", [0, 1, 65518, 65519, 1_000_000])
def test_half_closed_one_reads_on(wire: Wire, size: int) -> None:
    with pair(wire) as (a, b):
        for one, other in (a, b), (b, a):
            one.sendall(b"the last words")
            one.shutdown(socket.SHUT_WR)
            assert other.recv(99) == b"the last words" and other.recv(99) == b""
            if one is a:
                sender = threading.Thread(target=b.sendall, args=[bytes(size)])
                sender.start()
                got = 0
                while got < size:
                    got += len(a.recv(1 << 20))
                sender.join()
                assert got == size


@pytest.mark.parametrize("role", "AB")
def test_finp_on_the_last_frame_only(field: Field, role: str) -> None:
    """Also when shutdown comes in the midst of a rekeying."""
    with face(field, role, silent=True) as facing:
        peer = facing.peer.handshake()
        ours = facing.opened()
        ours.sendall(b"data")
        ours.rekey()
        ours.shutdown(socket.SHUT_WR)
        assert peer.recv(9) == b"data" and peer.recv(9) == b""
        assert [f.fin for f in peer.frames] == [False] * (len(peer.frames) - 1) + [True]
        assert peer.opener.generation == 1
        peer.rekey()  # owed no answer any more
        peer.close(b"bye")
        assert ours.recv(9) == b"bye" and ours.recv(9) == b""
        peer.conn.wait_closed()


@pytest.mark.parametrize("use", ["recv", "send", "close"])
def test_bytes_in_a_segment_after_finp(field: Field, use: str) -> None:
    with face(field, "B", silent=True) as facing:
        peer = facing.peer.handshake()
        ours = facing.opened()
        peer.send_frame(b"last", fin=True)
        assert ours.recv(9) == b"last" and ours.recv(9) == b""
        peer.conn.send(peer.seal(b"more"))
        peer.conn.flush()
        if use == "close":
            ours.close()
        else:
            time.sleep(0.12)
            with pytest.raises(RemoteProtocolError, match="bytes follow"):
                ours.recv(9) if use == "recv" else ours.send(b"x")
        peer.conn.wait_reset()


@pytest.mark.parametrize("role", "AB")
def test_who_only_sends_learns_that_the_stream_was_cut(field: Field, role: str) -> None:
    with face(field, role, silent=True) as facing:
        peer = facing.peer.handshake()
        peer.fin_without_finp()
        with pytest.raises(TruncationError):
            for _ in range(200):
                facing.opened().send(b"x")
                time.sleep(0.01)
        peer.conn.wait_reset()


@pytest.mark.parametrize("first", ["recv", "send"])
def test_reset_is_told_whoever_met_it(field: Field, first: str) -> None:
    with face(field, "A", silent=True) as facing:
        peer = facing.peer.handshake()
        ours = facing.opened()
        peer.send(b"data")
        peer.conn.flush()
        peer.abort()
        time.sleep(0.05)
        if first == "send":
            with pytest.raises(ConnectionError):
                ours.send(b"x")
        assert ours.recv(9) == b"data"
        with pytest.raises(ConnectionError) as error:
            ours.recv(9)
        assert not isinstance(error.value, RemoteProtocolError)


def test_abort_is_a_reset(field: Field) -> None:
    with face(field, "A", silent=True) as facing:
        peer = facing.peer.handshake()
        facing.opened().abort()
        peer.conn.wait_reset()
        assert not peer.conn.fin_received


@pytest.mark.parametrize(("how", "end"), [("fin", "truncated"), ("rst", "reset")])
def test_the_command_tells_ends_apart(field: Field, echo: Listen, how: str, end: str) -> None:
    peer = field.opener(echo.port)
    peer.handshake()
    peer.send(b"x")
    assert peer.recv_exactly(1) == b"x"
    peer.fin_without_finp() if how == "fin" else peer.abort()
    report = echo.report(peer.conn.local[1])
    assert (report["end"], report["bytes_in"]) == (end, 1)
