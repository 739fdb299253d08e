"""How pairs end: as TCP would tell the other side, and what was cut short never as a clean
end of stream (played negotiation)."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random

import pytest
from unit.played import TIMEOUT
from unit.relaying import (
    MUCH,
    TOKEN,
    Carried,
    carried,
    carried_by_hand,
    carried_plain,
    in_background,
    is_reset,
    read,
    read_frames,
    reset,
)

from pyeno.errors import RemoteProtocolError
from pyeno.relay.engine import ENDS
from pyeno.tcpcrypt.connection import Connection

pytestmark = pytest.mark.usefixtures("negotiated")

Way = Callable[[], AbstractContextManager[Carried]]
WAYS = pytest.mark.parametrize("way", [carried, carried_plain])


@WAYS
def test_fin_each_way_by_itself(way: Way) -> None:
    with way() as c:
        c.program.sendall(b"question")
        c.program.shutdown(socket.SHUT_WR)
        assert read(c.peer, 8) == b"question"
        assert c.peer.recv(1) == b""
        time.sleep(0.05)
        c.peer.sendall(b"answer")
        assert read(c.program, 6) == b"answer"
        assert not c.engine.ended()
        c.peer.close()
        assert c.program.recv(1) == b""
        assert c.end() == (TOKEN, 8, 6, "fin", 0)


@WAYS
def test_fin_of_the_peer_first(way: Way) -> None:
    with way() as c:
        c.peer.sendall(b"greeting")
        c.peer.shutdown(socket.SHUT_WR)
        assert read(c.program, 8) == b"greeting"
        assert c.program.recv(1) == b""
        c.program.sendall(b"thanks")
        c.program.close()
        assert read(c.peer, 6) == b"thanks"
        assert c.peer.recv(1) == b""
        assert c.end() == (TOKEN, 6, 8, "fin", 0)


@WAYS
def test_much_and_fin_behind_it(way: Way) -> None:
    """Whatever one side still has when the other one has ended is delivered."""
    with way() as c:

        def send(sock: socket.socket) -> None:
            sock.sendall(MUCH)
            sock.shutdown(socket.SHUT_WR)

        threads = [
            in_background(threading.Thread(target=send, args=(sock,)))
            for sock in (c.program, c.peer)
        ]
        time.sleep(0.2)
        for sock in (c.program, c.peer):
            assert read(sock, len(MUCH)) == MUCH
            assert sock.recv(1) == b""
        for thread in threads:
            thread.join()
        assert c.end() == (TOKEN, len(MUCH), len(MUCH), "fin", 0)


@pytest.mark.rfc("8548:3.7-2", "8548:3.7-3")
def test_finp_goes_with_the_last_data() -> None:
    """Where data and FIN came together there is no frame without data."""
    with carried_by_hand() as (c, connection):
        engine_sleeps = c.program
        engine_sleeps.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        engine_sleeps.sendall(b"last words")
        engine_sleeps.shutdown(socket.SHUT_WR)
        stream = b""
        while part := c.peer.recv(4096):
            stream += part
        assert len(stream) == 20 + 10
        connection.receive_data(stream)
        assert connection.read(100) == b"last words"
        assert connection.ended


@WAYS
def test_rst_of_the_program(way: Way) -> None:
    with way() as c:
        c.program.sendall(b"x")
        assert read(c.peer, 1) == b"x"
        reset(c.program)
        assert is_reset(c.peer) == b""
        end = c.end()
        assert (end.end, end.bytes_out) == ("near-reset", 1)
        assert end.errno


@WAYS
def test_rst_of_the_program_while_the_peer_reads_nothing(way: Way) -> None:
    with way() as c:
        c.program.settimeout(0.3)
        with pytest.raises(TimeoutError):
            c.program.sendall(MUCH * 8)
        reset(c.program)
        assert c.end().end == "near-reset"
        assert is_reset(c.peer) is not None


@WAYS
def test_what_the_program_sent_before_a_rst_is_delivered(way: Way) -> None:
    """A program that closes with bytes unread resets, behind what it had answered."""
    with way() as c:
        c.peer.sendall(b"question, and more that nobody reads")
        assert read(c.program, 8) == b"question"
        c.program.sendall(MUCH[:30_000])
        c.program.close()
        assert is_reset(c.peer) == MUCH[:30_000]
        assert c.end().end == "near-reset"


@WAYS
def test_close_of_the_program_while_the_peer_sends(way: Way) -> None:
    """Whoever closes and is still sent something answers by RST."""
    with way() as c:
        c.program.close()
        assert c.peer.recv(1) == b""
        with pytest.raises((ConnectionError, RemoteProtocolError)):
            for _ in range(1000):
                c.peer.sendall(MUCH[:100_000])
        assert c.end().end == "near-reset"


@WAYS
def test_rst_of_the_peer(way: Way) -> None:
    with way() as c:
        c.peer.sendall(b"x")
        assert read(c.program, 1) == b"x"
        abort(c.peer)
        assert is_reset(c.program) == b""
        end = c.end()
        assert (end.end, end.bytes_in) == ("reset", 1)
        assert end.errno


@WAYS
def test_what_came_before_a_rst_is_delivered(way: Way) -> None:
    with way() as c:
        c.peer.sendall(MUCH[:50_000])
        time.sleep(0.1)
        abort(c.peer)
        assert is_reset(c.program) == MUCH[:50_000]


@WAYS
def test_rst_of_the_peer_while_the_program_reads_nothing(way: Way) -> None:
    """It reads what the engine had been given, and then the RST."""
    with way() as c:
        c.peer.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            c.peer.sendall(MUCH * 8)
        abort(c.peer)
        time.sleep(0.1)
        got = is_reset(c.program)
        assert got is not None and len(got) > 100_000
        assert (MUCH * 8).startswith(got)
        assert c.end().end == "reset"


@WAYS
def test_rst_of_the_peer_while_the_program_sends(way: Way) -> None:
    with way() as c:
        abort_soon = threading.Timer(0.1, abort, (c.peer,))
        in_background(abort_soon)
        with pytest.raises(ConnectionError):
            while True:
                c.program.sendall(MUCH[:100_000])
        abort_soon.join()
        assert c.end().end == "reset"


def abort(sock: socket.socket) -> None:
    if hasattr(sock, "abort"):
        sock.abort()
    else:
        reset(sock)


# -- peers that break the protocol ---------------------------------------------------


def flip(frames: bytes) -> bytes:
    return frames[:-1] + bytes([frames[-1] ^ 1])


@pytest.mark.rfc("8547:5-10", "8548:3.7-4", "8548:3.7-5")
@pytest.mark.parametrize("cut", [None, 1, 19])
def test_fin_without_finp_is_a_reset(cut: int | None) -> None:
    """Never a clean end of stream, also in the middle of a frame."""
    with carried_by_hand() as (c, connection):
        c.peer.sendall(connection.send(b"whole") + connection.send(b"cut")[: cut or 0])
        c.peer.shutdown(socket.SHUT_WR)
        assert is_reset(c.program) == b"whole"
        assert is_reset(c.peer) == b""
        assert c.end() == (TOKEN, 0, 5, "truncated", 0)


@pytest.mark.rfc("8548:3.6-8", "8547:5-2")
@pytest.mark.parametrize(
    ("breakage", "end"),
    [
        (lambda a: flip(a.send(b"data")), "auth-failed"),
        (lambda a: b"\x00\x00\x10" + bytes(16), "protocol-error"),
        (lambda a: b"\x00\x00\x00", "protocol-error"),
        (lambda a: a.send(b"1")[:0] + a.send(b"2"), "auth-failed"),
        (lambda a: b"GET / HTTP/1.0\r\n\r\n" * 4000, "auth-failed"),
        (lambda a: flip(a.send(b"x" * 14_000)), "auth-failed"),
    ],
    ids=["bad tag", "no flags byte", "clen 0", "reordered", "plaintext", "long"],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_bad_frames_are_a_reset_behind_the_good_ones(
    breakage: Callable[[Connection], bytes], end: str, at_once: bool
) -> None:
    with carried_by_hand() as (c, connection):
        good = connection.send(MUCH[:100_000])
        if at_once:
            c.peer.sendall(good + breakage(connection))
        else:
            c.peer.sendall(good)
            assert read(c.program, 100_000) == MUCH[:100_000]
            c.peer.sendall(breakage(connection))
        assert is_reset(c.program) == (MUCH[:100_000] if at_once else b"")
        assert is_reset(c.peer) == b""
        assert c.end() == (TOKEN, 0, 100_000, end, 0)


@pytest.mark.parametrize("at_once", [True, False])
def test_anything_behind_finp_is_a_reset(at_once: bool) -> None:
    with carried_by_hand() as (c, connection):
        frames = connection.send(b"all", fin=True)
        if at_once:
            c.peer.sendall(frames + b"more")
        else:
            c.peer.sendall(frames)
            assert read(c.program, 3) == b"all"
            assert c.program.recv(1) == b""
            c.peer.sendall(b"more")
        assert is_reset(c.peer) == b""
        assert c.end()[2:4] == (3, "protocol-error")
        c.program.settimeout(TIMEOUT)
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                c.program.sendall(b"x" * 1000)


def test_a_fault_behind_what_the_program_has_yet_to_read() -> None:
    """It gets all that was authenticated before it, whenever it reads."""
    with carried_by_hand() as (c, connection):
        size = 3_000_000
        stream = connection.send(MUCH[:size]) + b"garbage" * 10_000
        thread = in_background(
            threading.Thread(target=suppressed(c.peer.sendall), args=(stream,))
        )
        time.sleep(0.3)
        assert is_reset(c.program) == MUCH[:size]
        assert c.end()[2:4] == (size, "auth-failed")
        thread.join()


def suppressed(call: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def quietly(data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            call(data)

    return quietly


@pytest.mark.parametrize("seed", range(30))
def test_streams_with_one_fault_anywhere(seed: int) -> None:
    """A flipped bit, bytes lost, inserted, or a cut: the program gets a prefix and a RST."""
    random = Random(seed)
    with carried_by_hand() as (c, connection):
        sent = random.randbytes(random.randrange(1, 400_000))
        frames, at = bytearray(), 0
        while at < len(sent):
            size = random.choice([1, 50, 2000, 30_000, 65_518])
            frames += connection.send(sent[at : at + size])
            at += size
        frames += connection.send(b"", fin=True)
        where = random.randrange(len(frames))
        fault = random.choice(["flip", "lose", "insert", "cut"])
        if fault == "flip":
            # of control seven bits, and of clen none, are without meaning
            frames[where] ^= 1 << random.randrange(8)
        elif fault == "lose":
            del frames[where : where + random.randrange(1, 300)]
        elif fault == "insert":
            frames[where:where] = random.randbytes(random.randrange(1, 300))
        else:
            del frames[where:]
        with contextlib.suppress(OSError):
            c.peer.sendall(frames)
            c.peer.shutdown(socket.SHUT_WR)
        got = is_reset(c.program)
        assert got is not None and sent.startswith(got)
        assert c.end().end in ("auth-failed", "protocol-error", "truncated")


def test_faults_of_one_pair_are_no_other_pairs_matter() -> None:
    with carried() as good, carried_by_hand() as (bad, _):
        bad.peer.sendall(b"garbage" * 10_000)
        assert bad.end().end == "auth-failed"
        good.program.sendall(b"x")
        assert read(good.peer, 1) == b"x"


def test_a_peer_whose_end_came_lives_on_until_the_program_ends() -> None:
    with carried_by_hand() as (c, connection):
        c.peer.sendall(connection.send(b"", fin=True))
        assert c.program.recv(1) == b""
        c.program.sendall(b"late")
        assert read_frames(c.peer, connection, 4) == b"late"
        reset(c.peer)
        c.program.settimeout(TIMEOUT)
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                c.program.sendall(b"x" * 1000)
                time.sleep(0.001)
        assert c.end().end == "reset"


def test_the_document_lists_every_end() -> None:
    text = (Path(__file__).parents[2] / "docs/engine.md").read_text("utf-8")
    table = text.partition("## Ends\n")[2]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.M) == ["end", *ENDS[1:]]
