"""The relay's engine between a program's plain socket and its peer's: bytes, and how they
flow (played negotiation, kernel TCP over loopback)."""

import errno
import hashlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random

import pytest
from unit.played import TIMEOUT, pair, raw_peer
from unit.relaying import (
    MUCH,
    TOKEN,
    Carried,
    carried,
    carried_by_hand,
    carried_plain,
    engine_between,
    in_background,
    read,
    read_frames,
    send_in_pieces,
    tcp_pair,
    until,
)

from pyeno import Aead, Config
from pyeno.errors import LocalProtocolError
from pyeno.relay import engine as module
from pyeno.relay.engine import ENDS, Engine

pytestmark = pytest.mark.usefixtures("negotiated")

Way = Callable[[], AbstractContextManager[Carried]]
WAYS = pytest.mark.parametrize("way", [carried, carried_plain])


@WAYS
@pytest.mark.parametrize("size", [1, 100, 13_999, 65_518, 65_519, 300_000, len(MUCH)])
def test_every_size_both_ways(way: Way, size: int) -> None:
    with way() as c:
        for here, there in c.both_ways():
            thread = in_background(threading.Thread(target=here.sendall, args=(MUCH[:size],)))
            assert read(there, size) == MUCH[:size]
            thread.join()


@pytest.mark.parametrize("aead", list(Aead))
def test_every_aead(aead: Aead) -> None:
    with carried(Config(aeads=(aead,))) as c:
        for here, there in c.both_ways():
            thread = in_background(threading.Thread(target=here.sendall, args=(MUCH,)))
            assert read(there, len(MUCH)) == MUCH
            thread.join()


@WAYS
@pytest.mark.parametrize("seed", [1, 2])
def test_both_ways_at_once_in_odd_pieces(way: Way, seed: int) -> None:
    """Where both read slowly and at odd sizes."""
    with way() as c:
        data = [Random(seed + n).randbytes(6_000_001 + n) for n in range(2)]
        threads = [
            in_background(threading.Thread(target=send_in_pieces, args=(here, sent, seed)))
            for (here, _), sent in zip(c.both_ways(), data, strict=True)
        ]
        got = [hashlib.sha256(), hashlib.sha256()]
        left = [len(sent) for sent in data]
        random = Random(seed)
        while any(left):
            for n, (_, there) in enumerate(c.both_ways()):
                part = (
                    there.recv(min(left[n], random.choice([1000, 70_000]))) if left[n] else b""
                )
                got[n].update(part)
                left[n] -= len(part)
        for thread in threads:
            thread.join()
        assert [h.digest() for h in got] == [hashlib.sha256(sent).digest() for sent in data]


@pytest.mark.parametrize("frame_size", [1, 100, 5000])
def test_small_frames(frame_size: int) -> None:
    size = 3_000 if frame_size == 1 else 400_000
    with carried(Config(frame_size=frame_size)) as c:
        for here, there in c.both_ways():
            thread = in_background(threading.Thread(target=here.sendall, args=(MUCH[:size],)))
            assert read(there, size) == MUCH[:size]
            thread.join()


def test_frames_that_come_byte_by_byte() -> None:
    with carried_by_hand() as (c, connection):
        for byte in connection.send(b"hello") + connection.send(b", world"):
            c.peer.sendall(bytes([byte]))
            time.sleep(0.001)
        assert read(c.program, 12) == b"hello, world"


def test_many_frames_without_or_with_little_data() -> None:
    """More than one batch has room for, each opened by itself."""
    with carried_by_hand() as (c, connection):
        stream = bytearray()
        expected = bytearray()
        for n in range(5000):
            data = b"" if n % 3 else n.to_bytes(2, "big")
            stream += connection.send(data)
            expected += data
        c.peer.sendall(stream)
        assert read(c.program, len(expected)) == expected


def test_the_first_frames_are_small_ones() -> None:
    """So that they can be opened before a window is full; later ones are large."""
    with carried_by_hand() as (c, connection):
        sent = MUCH[:400_000]
        thread = in_background(threading.Thread(target=c.program.sendall, args=(sent,)))
        head = read(c.peer, 3)
        assert int.from_bytes(head[1:], "big") == 14_000 + 17
        connection.receive_data(head)
        assert read_frames(c.peer, connection, len(sent)) == sent
        thread.join()


def test_bytes_received_before_the_hand_over() -> None:
    """Opened and not opened, and a frame that is not whole yet."""
    program, near = tcp_pair()
    with program, near, pair() as (a, b):
        b.sendall(b"first")
        b.sendall(b"second")
        while len(a.recv(11, socket.MSG_PEEK)) < 11:
            pass
        assert a.recv(3) == b"fir"
        with engine_between(near, a):
            b.sendall(b"third")
            assert read(program, 13) == b"stsecondthird"


def test_bytes_sealed_and_not_sent_before_the_hand_over() -> None:
    program, near = tcp_pair()
    with program, near, pair() as (a, b):
        a.settimeout(0)
        sent = 0
        with pytest.raises(BlockingIOError):
            while True:
                sent += a.send(MUCH[: 1 << 16])
        with engine_between(near, a) as engine:
            program.sendall(b"later")
            program.shutdown(socket.SHUT_WR)
            got = bytearray()
            while part := b.recv(1 << 18):
                got += part
            assert len(got) >= sent + 5 and got.endswith(b"later")
            until(lambda: engine.progress(TOKEN)[0] == 5)


@WAYS
def test_a_reader_that_stops_stops_the_writer(way: Way) -> None:
    """Bounded memory: what a side does not take is not read from the other one."""
    with way() as c:
        for here, there in c.both_ways():
            here.settimeout(0.3)
            sent = 0
            with pytest.raises(TimeoutError):
                while sent < 1 << 28:
                    sent += here.send(MUCH[: 1 << 16])
            assert sent < 1 << 28
            here.settimeout(TIMEOUT)
            got = 0
            while got < sent:
                got += len(there.recv(1 << 18))


def test_one_direction_is_blocked_and_the_other_goes_on() -> None:
    with carried() as c:
        c.program.settimeout(0.2)
        with pytest.raises(TimeoutError):
            c.program.sendall(MUCH * 4)
        for _ in range(10):
            c.peer.sendall(b"still here")
            assert read(c.program, 10) == b"still here"


def test_counters() -> None:
    with carried() as c:
        c.program.sendall(b"12345")
        assert read(c.peer, 5) == b"12345"
        c.peer.sendall(b"123")
        assert read(c.program, 3) == b"123"
        until(lambda: c.engine.connections() == [(TOKEN, 5, 3)])  # counted once it is sent
        assert c.engine.progress(TOKEN) == (5, 3)
        assert c.engine.progress(TOKEN + 1) == (0, 0)
        assert c.engine.counters()[:4] == (1, 1, 5, 3)
        c.program.close()
        c.peer.close()
        assert c.end()[1:] == (5, 3, "fin", 0)
        assert c.engine.connections() == []
        assert c.engine.progress(TOKEN) == (0, 0)
        counters = c.engine.counters()
        assert counters[:4] == (0, 1, 5, 3)
        assert counters.ended == dict.fromkeys(ENDS[1:], 0) | {"fin": 1}


def test_close_resets_what_is_left() -> None:
    with carried() as c:
        c.engine.close()
        c.engine.close()
        assert [end.end for end in c.engine.ended()] == ["closed"]
        with pytest.raises(ConnectionResetError):
            c.program.recv(1)
        with pytest.raises(ConnectionResetError):
            c.peer.recv(1)
        with pytest.raises(ValueError, match="closed"):
            c.engine.fileno()


def test_an_engine_nobody_holds_ends() -> None:
    program, near = tcp_pair()
    before = threading.active_count()
    with program, near, pair() as (a, _):
        engine = Engine()
        engine.add(near, a, 1)
        del engine
        assert threading.active_count() == before
        with pytest.raises(ConnectionResetError):
            program.recv(1)


# -- what add() refuses leaves both sockets as they are ------------------------------


def test_add_to_a_closed_engine() -> None:
    one, other = tcp_pair()
    engine = Engine()
    engine.close()
    with one, other, pytest.raises(ValueError, match="closed"):
        engine.add(one, other, 1)


def test_no_more_than_connections_max() -> None:
    socks = [*tcp_pair(), *tcp_pair(), *tcp_pair(), *tcp_pair()]
    with Engine(connections_max=1) as engine:
        engine.add(socks[0], socks[2], 1)
        with pytest.raises(BlockingIOError):
            engine.add(socks[4], socks[6], 2)
        socks[5].sendall(b"x")
        assert socks[4].recv(1) == b"x"
    for sock in socks:
        sock.close()
    with pytest.raises(ValueError, match="connections_max"):
        Engine(connections_max=0)


def test_add_before_the_key_exchange() -> None:
    program, near = tcp_pair()
    with program, near, Engine() as engine, raw_peer() as (_, b):
        b.setblocking(False)
        with pytest.raises(LocalProtocolError, match="not complete"):
            engine.add(near, b, 1)
        assert b.fileno() >= 0 and near.fileno() >= 0


def test_add_after_shutdown() -> None:
    program, near = tcp_pair()
    with program, near, pair() as (a, b), Engine() as engine:
        a.shutdown(socket.SHUT_WR)
        with pytest.raises(BrokenPipeError):
            engine.add(near, a, 1)
        b.sendall(b"x")
        assert a.recv(1) == b"x"


def test_the_sockets_are_gone_for_whoever_added_them() -> None:
    program, near = tcp_pair()
    with program, near, pair() as (a, b), engine_between(near, a):
        for sock in (near, a):
            with pytest.raises(OSError) as error:
                sock.send(b"x")
            assert error.value.errno == errno.EBADF
            sock.close()
        program.sendall(b"x")
        assert b.recv(1) == b"x"


def test_a_child_has_no_part_in_it() -> None:
    """It closes the descriptors, in silence, so that the parent's FIN is one."""
    with carried() as c:
        pid = os.fork()
        if pid == 0:
            try:
                c.engine.ended()
            except ValueError:
                os._exit(0 if os.read(*waiting(c)) == b"" else 2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        c.program.sendall(b"parent")
        assert read(c.peer, 6) == b"parent"


def waiting(c: Carried) -> tuple[int, int]:
    """A descriptor at its end."""
    reading, writing = os.pipe()
    os.close(writing)
    return reading, 1


def test_needs_no_gil() -> None:
    """The data path runs while another thread holds it."""
    import ctypes

    with carried() as c:
        c.program.sendall(b"x")
        assert read(c.peer, 1) == b"x"
        libc = ctypes.PyDLL(None)  # calls keep the GIL
        data = ctypes.create_string_buffer(b"y" * 1000, 1000)
        room = ctypes.create_string_buffer(4096)
        raw = os.dup(socket.socket.fileno(c.peer))
        try:
            assert libc.send(c.program.fileno(), data, 1000, 0) == 1000
            poller = (ctypes.c_char * 8).from_buffer_copy(
                raw.to_bytes(4, "little") + b"\x01\x00\x00\x00"
            )
            assert libc.poll(poller, 1, int(TIMEOUT * 1000)) == 1
            # its frame is there, although no other Python thread could run
            assert libc.recv(raw, room, 4096, socket.MSG_PEEK) >= 1000
        finally:
            os.close(raw)
        assert read(c.peer, 1000) == b"y" * 1000


def test_available_with_the_compiled_core_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.available()
    monkeypatch.setattr(module, "backend", "pure")
    assert not module.available()


def test_select_says_when_something_ended() -> None:
    with carried() as c:
        assert not select.select([c.engine], [], [], 0)[0]
        c.program.close()
        c.peer.close()
        c.end()
        assert not select.select([c.engine], [], [], 0)[0]
