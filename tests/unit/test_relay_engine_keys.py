"""Rekeying, liveness, urgent data and the key log of relayed connections (RFC 8548 sections
3.7 to 3.9; played negotiation)."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from unit.played import TIMEOUT, pair
from unit.relaying import (
    MUCH,
    Carried,
    carried,
    carried_by_hand,
    carried_plain,
    engine_between,
    in_background,
    is_reset,
    read,
    read_frames,
    tcp_pair,
)

import pyeno
from pyeno import Config

pytestmark = pytest.mark.usefixtures("negotiated")


def ping(c: Carried) -> None:
    for here, there in c.both_ways():
        here.sendall(b"ping")
        assert read(there, 4) == b"ping"


def eno(c: Carried) -> pyeno.Info:
    assert isinstance(c.peer, pyeno.Socket)
    return c.peer.eno


@pytest.mark.rfc("8548:3.8-2", "8548:3.8-3", "8548:3.8-4", "8548:3.8-5")
def test_the_peer_rekeys_and_is_answered_without_data() -> None:
    with carried() as c:
        assert isinstance(c.peer, pyeno.Socket)
        for generation in range(1, 5):
            c.peer.rekey()
            c.peer.settimeout(0.2)
            with pytest.raises(TimeoutError):
                c.peer.recv(1)
            assert eno(c).generation == eno(c).remote_generation == generation
            c.peer.settimeout(TIMEOUT)
            ping(c)


def test_the_engine_rekeys_by_bytes_under_load_both_ways() -> None:
    config = Config(rekey_bytes=50_000)
    with carried(config) as c:
        threads = [
            in_background(threading.Thread(target=here.sendall, args=(MUCH,)))
            for here, _ in c.both_ways()
        ]
        got = [bytearray(), bytearray()]

        def receive(n: int) -> None:
            there = c.both_ways()[n][1]
            while len(got[n]) < len(MUCH):
                part = there.recv(1 << 17)
                assert part
                got[n] += part

        threads += [
            in_background(threading.Thread(target=receive, args=(n,))) for n in range(2)
        ]
        for thread in threads:
            thread.join()
        assert got == [MUCH, MUCH]
        assert eno(c).remote_generation > 50
        ping(c)


@pytest.mark.rfc("8548:3.8-6", "8548:3.8-7")
def test_one_answer_for_each_generation() -> None:
    with carried_by_hand() as (c, connection):
        for generation in range(1, 4):
            connection.rekey()
            c.peer.sendall(connection.data_to_send())
            while connection.remote_generation < generation:
                connection.receive_data(c.peer.recv(4096))
                connection.open_ahead()
        c.peer.sendall(connection.send(b"new keys"))
        assert read(c.program, 8) == b"new keys"


def test_generations_that_come_at_once() -> None:
    """With data a host may go on and on; answers follow, 64 at a time."""
    with carried_by_hand() as (c, connection):
        stream = b""
        for n in range(200):
            connection.rekey()
            stream += connection.send(bytes([n]))
        c.peer.sendall(stream)
        assert read(c.program, 200) == bytes(range(200))
        while connection.remote_generation < 200:
            connection.receive_data(c.peer.recv(4096))
            connection.open_ahead()
        c.program.sendall(b"and on")
        assert read_frames(c.peer, connection, 6) == b"and on"


def test_too_many_empty_rekeyings_are_a_reset() -> None:
    """A host may not initiate another one without data before the answer."""
    with carried_by_hand() as (c, connection):
        traffic = connection.traffic()
        stream = connection.send(b"good")
        for _ in range(4):
            traffic.sending.advance()
            key = traffic.sending.traffic_key()
            traffic.sealer.rekey(key)
            stream += traffic.sealer.seal(b"")
        c.program.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.peer.sendall(stream)
        assert is_reset(c.program) == b"good"
        assert c.end()[2:4] == (4, "protocol-error")


def test_a_bad_frame_under_a_new_key() -> None:
    with carried_by_hand() as (c, connection):
        connection.rekey()
        frames = connection.data_to_send()
        c.peer.sendall(frames[:-1] + bytes([frames[-1] ^ 1]))
        assert is_reset(c.program) == b""
        assert c.end().end == "auth-failed"


def test_rekeyings_before_the_hand_over() -> None:
    """The engine goes on with the generations it is given."""
    program, near = tcp_pair()
    with program, near, pair(Config(rekey_bytes=1000)) as (a, b):
        for _ in range(5):
            a.sendall(MUCH[:3000])
            assert read(b, 3000) == MUCH[:3000]
            b.sendall(MUCH[:3000])
            assert read(a, 3000) == MUCH[:3000]
        before = b.eno.remote_generation
        assert before > 3
        a.rekey()
        with engine_between(near, a) as engine:
            c = Carried(engine, program, b)
            ping(c)
            for _ in range(3):
                program.sendall(MUCH[:3000])
                assert read(b, 3000) == MUCH[:3000]
            assert b.eno.remote_generation > before + 1
            ping(c)


@pytest.mark.rfc("8548:3.8-9")
def test_an_empty_finp_initiates_no_rekeying_where_one_is_unanswered() -> None:
    with carried_by_hand(Config(rekey_bytes=100)) as (c, connection):
        c.program.sendall(b"x" * 300)
        assert read_frames(c.peer, connection, 300) == b"x" * 300
        c.program.shutdown(socket.SHUT_WR)
        while part := c.peer.recv(4096):
            connection.receive_data(part)
            connection.open_ahead()
        assert connection.ended
        assert connection.remote_generation == 0 or connection.generation == 0
        c.peer.sendall(connection.send(b"", fin=True))
        c.peer.close()
        assert c.end().end == "fin"


# -- liveness ------------------------------------------------------------------------


@pytest.mark.rfc("8548:3.9-1", "8548:3.9-2", "8548:8.2-1")
def test_a_silent_peer_is_dead() -> None:
    """Its TCP acknowledges, but nobody answers."""
    with carried_by_hand(Config(keepalive=(0.1, 0.2))) as (c, connection):
        assert is_reset(c.program) == b""
        assert c.end().end == "peer-dead"
        probe = read(c.peer, 20)
        connection.receive_data(probe)
        connection.open_ahead()
        assert connection.remote_generation == 1


def test_a_peer_that_answers_lives() -> None:
    with carried(Config(keepalive=0.1)) as c:
        time.sleep(0.8)
        assert eno(c).remote_generation > 1
        ping(c)
        assert not c.engine.ended()
        assert isinstance(c.peer, pyeno.Socket)
        c.program.close()
        c.peer.close()
        assert c.end().end == "fin"


def test_a_program_that_reads_nothing_kills_no_peer() -> None:
    """The answer is behind what the engine cannot take."""
    with carried_by_hand(Config(keepalive=(0.4, 0.2))) as (c, connection):
        stream = connection.send(MUCH * 2)
        c.program.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        c.peer.settimeout(0.05)
        at = 0
        ended = time.monotonic() + 1.2
        while time.monotonic() < ended:
            try:
                at += c.peer.send(stream[at : at + 65536])
            except TimeoutError:
                continue
        assert at < len(stream)
        assert not c.engine.ended()


# -- what else -----------------------------------------------------------------------


@pytest.mark.parametrize("way", [carried, carried_plain])
@pytest.mark.parametrize("pause", [0, 0.05])
def test_urgent_data_is_in_line(
    way: Callable[[], AbstractContextManager[Carried]], pause: float
) -> None:
    with way() as c:
        for here, there in c.both_ways():
            here.sendall(b"ab")
            time.sleep(pause)
            here.send(b"cd!", socket.MSG_OOB)
            time.sleep(pause)
            here.sendall(b"ef")
            assert read(there, 7) == b"abcd!ef"
            here.send(b"!", socket.MSG_OOB)
            here.shutdown(socket.SHUT_WR)
            assert read(there, 1) == b"!"
            assert there.recv(1) == b""


def test_the_key_log_goes_on(tmp_path: Path) -> None:
    """It tells the keys of later generations too."""
    path = tmp_path / "keys"
    with carried(Config(keylog=path, rekey_bytes=1000)) as c:
        for _ in range(3):
            c.program.sendall(b"x" * 1000)
            assert read(c.peer, 1000) == b"x" * 1000
            c.peer.sendall(b"y" * 1000)
            assert read(c.program, 1000) == b"y" * 1000
    lines = [line.split() for line in path.read_text().splitlines()]
    assert {line[0] for line in lines} == {"TCPCRYPT"}
    keys = {(line[3], line[4]): line[5] for line in lines}
    # both hosts' logs agree on each key
    assert len({(*line[3:6],) for line in lines}) == len(keys)
    assert {("ab", "1"), ("ba", "1"), ("ab", "2")} <= set(keys)


def test_a_rekeying_with_every_frame() -> None:
    with carried(Config(rekey_bytes=1)) as c:
        c.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(300):
            ping(c)
        assert eno(c).remote_generation > 100
