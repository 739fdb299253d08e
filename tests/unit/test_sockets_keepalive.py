"""Keep-alive by rekeying (RFC 8548 section 3.9; played negotiation)."""

import contextlib
import gc
import os
import select
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from unit.played import TIMEOUT, hand_made, pair, raw_peer

import pyeno
from pyeno import Config, PeerDeadError
from pyeno.errors import RemoteProtocolError
from pyeno.sockets import timer
from pyeno.tcpcrypt.connection import Connection

pytestmark = pytest.mark.usefixtures("negotiated")

QUICK = Config(keepalive=(0.2, 0.3))
PATIENT = Config(keepalive=(0.2, 3.0))
"""For peers that answer, on a machine that may be busy."""
SOON = 3.0
"""Seconds in which a peer that does not answer must have been found dead."""


def take(peer: socket.socket, a: Connection) -> int:
    """Give the peer what has come; its generation."""
    if select.select([peer], [], [], 0)[0]:
        a.receive_data(peer.recv(1 << 16))
    while a.read(1 << 16):
        pass
    return a.remote_generation


@contextlib.contextmanager
def answering(peer: socket.socket, a: Connection) -> Iterator[list[int]]:
    """A peer that only answers; the bytes of each answer."""
    stop = threading.Event()
    answers: list[int] = []

    def run() -> None:
        while not stop.wait(0.01):
            take(peer, a)
            if a.owes:
                owed = a.data_to_send()
                answers.append(len(owed))
                peer.sendall(owed)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()


def was_reset(peer: socket.socket) -> bool:
    peer.settimeout(TIMEOUT)
    try:
        while peer.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return False


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_a_dead_peer_wakes_a_blocked_reader(timeout: float | None) -> None:
    with raw_peer(QUICK) as (peer, b):
        started = time.monotonic()
        hand_made(peer, b)
        b.settimeout(timeout)
        with pytest.raises(PeerDeadError, match=r"in 0\.3 s") as first:
            b.recv(1)
        assert 0.4 < time.monotonic() - started < SOON
        assert isinstance(first.value, RemoteProtocolError | TimeoutError)
        for use in (
            lambda: b.recv(1), lambda: b.send(b"x"), lambda: b.sendall(b"x"), b.rekey,
            lambda: b.recv(1, socket.MSG_PEEK), lambda: b.recv(1, socket.MSG_OOB), b.pending,
            lambda: b.shutdown(socket.SHUT_WR), b.do_handshake, b.sockatmark,
        ):  # fmt: skip
            with pytest.raises(PeerDeadError) as again:
                use()
            assert again.value is first.value
        assert was_reset(peer)


def test_a_dead_peer_while_the_application_makes_no_calls() -> None:
    with raw_peer(QUICK) as (peer, b):
        hand_made(peer, b)
        assert was_reset(peer)
        with pytest.raises(PeerDeadError):
            b.send(b"x")


def test_a_dead_peer_in_non_blocking_use() -> None:
    with raw_peer(QUICK) as (peer, b):
        hand_made(peer, b)
        b.setblocking(False)
        assert select.select([b], [], [], SOON)[0]
        with pytest.raises(PeerDeadError):
            b.recv(1)


def test_a_dead_peer_wakes_a_blocked_sender() -> None:
    """The probe waits behind what the kernel does not take."""
    with raw_peer(QUICK) as (peer, b):
        hand_made(peer, b)
        b.settimeout(None)
        started = time.monotonic()
        with pytest.raises(PeerDeadError):
            b.sendall(bytes(100_000_000))
        assert time.monotonic() - started < 2 * SOON


def test_the_probe_is_one_empty_frame_and_no_second() -> None:
    with raw_peer(Config(keepalive=(0.1, 1.0))) as (peer, b):
        a = hand_made(peer, b)
        time.sleep(0.8)
        assert len(peer.recv(999)) == 20 and b.eno.generation == 1
        assert not select.select([peer], [], [], 0)[0] and not a.owes


@pytest.mark.parametrize("mode", ["reading", "idle", "non-blocking"])
def test_an_answer_keeps_it_alive(mode: str) -> None:
    with raw_peer(PATIENT) as (peer, b):
        a = hand_made(peer, b)
        with answering(peer, a) as answers:
            if mode == "reading":
                b.settimeout(1.5)
                with pytest.raises(TimeoutError) as error:
                    b.recv(1)
                assert not isinstance(error.value, PeerDeadError)
            else:
                b.setblocking(mode != "non-blocking")
                time.sleep(1.5)
            assert len(answers) >= 3 and set(answers) == {20}
            assert b.eno.generation - 1 <= b.eno.remote_generation >= 3
        peer.sendall(a.send(b"alive"))
        b.settimeout(TIMEOUT)
        assert b.recv(9) == b"alive"


def test_both_ends_probe_each_other() -> None:
    with pair(PATIENT) as (a, b):
        time.sleep(1.2)
        a.sendall(b"still here")
        assert b.recv(99) == b"still here"
        assert a.eno.generation >= 2


def test_fresh_frames_need_no_probe() -> None:
    with raw_peer(Config(keepalive=(0.4, 0.4))) as (peer, b):
        a = hand_made(peer, b)
        for _ in range(12):
            peer.sendall(a.send(b"x"))
            assert b.recv(1) == b"x"
            time.sleep(0.1)
        assert b.eno.generation == 0


def test_frames_of_an_older_generation_prove_nothing() -> None:
    """They may have been sent, or held back, long before the probe."""
    with raw_peer(QUICK) as (peer, b):
        a = hand_made(peer, b)
        old = [a.send(b"x") for _ in range(200)]
        b.rekey()
        started = time.monotonic()
        with pytest.raises(PeerDeadError):
            for frame in old:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    peer.sendall(frame)
                b.recv(1)
                time.sleep(0.05)
        assert time.monotonic() - started < SOON


def test_unread_data_put_the_question_off() -> None:
    """The answer may be behind them, and they must stay where select() sees them."""
    with raw_peer(QUICK) as (peer, b):
        a = hand_made(peer, b)
        peer.sendall(a.send(b"unread"))
        time.sleep(1.2)
        assert select.select([b], [], [], 0)[0]
        assert b.recv(99) == b"unread"
        with pytest.raises(PeerDeadError):
            b.recv(1)


def test_data_are_never_taken_from_under_select() -> None:
    with raw_peer(Config(keepalive=(0.05, 3.0))) as (peer, b):
        a = hand_made(peer, b)
        b.setblocking(False)
        with answering(peer, a):
            for number in range(15):
                time.sleep(0.03)
                peer.sendall(a.send(b"%03d" % number))
                time.sleep(0.06)
                assert select.select([b], [], [], 0)[0]
                assert b.recv(3) == b"%03d" % number


def test_a_long_transfer_to_a_slow_peer_is_no_death() -> None:
    """The probe leaves behind data that the peer is still taking."""
    with raw_peer(Config(keepalive=(0.2, 2.0))) as (peer, b):
        a = hand_made(peer, b)
        b.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200_000)
        b.settimeout(None)
        done: list[bool] = []

        def send() -> None:
            b.sendall(bytes(6_000_000))
            done.append(True)

        thread = threading.Thread(target=send)
        thread.start()
        deadline = time.monotonic() + 20
        while not done and time.monotonic() < deadline:
            time.sleep(0.02)
            take(peer, a)
            if a.owes:
                peer.sendall(a.data_to_send())
        thread.join(1)
        assert done and b.eno.remote_generation >= 1


@pytest.mark.parametrize("end", ["theirs", "ours"])
def test_half_closed_nothing_can_be_proven(end: str) -> None:
    """Section 3.9: an answer comes only from who "has not already transmitted a segment
    with FIN set", and who has sent FINp sends no probe."""
    with raw_peer(QUICK) as (peer, b):
        a = hand_made(peer, b)
        if end == "ours":
            b.shutdown(socket.SHUT_WR)
        else:
            peer.sendall(a.send(b"", fin=True))
            peer.shutdown(socket.SHUT_WR)
            assert b.recv(1) == b""
        time.sleep(1.2)
        if end == "ours":
            peer.sendall(a.send(b"late"))
            assert b.recv(9) == b"late"
        else:
            b.sendall(b"late")
        assert b.eno.generation == 0


def test_a_bad_answer_is_told_as_such() -> None:
    with raw_peer(QUICK) as (peer, b):
        a = hand_made(peer, b)
        frame = bytearray(a.send(b""))
        frame[-1] ^= 1
        peer.sendall(frame)
        assert was_reset(peer)
        with pytest.raises(pyeno.AuthenticationError):
            b.recv(1)


# -- the thread -----------------------------------------------------------------------


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "keep-alive" in thread.name]


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_one_thread_for_all_and_none_when_unused() -> None:
    until(lambda: not threads())
    with pair() as _:
        assert not threads()
    with pair(QUICK) as (a, _), pair(QUICK) as (c, _):
        assert len(threads()) == 1 and threads()[0].daemon
        a.sendall(b"x")
        c.sendall(b"x")
    until(lambda: not threads())


def test_it_holds_nobody_alive() -> None:
    with raw_peer(Config(keepalive=30.0)) as (peer, b):
        hand_made(peer, b)
        link = weakref.ref(b._encrypted())
        b.close()
    del b
    gc.collect()
    assert link() is None


def test_fork_leaves_it_with_the_parent() -> None:
    with raw_peer(PATIENT) as (peer, b):
        a = hand_made(peer, b)
        with answering(peer, a):
            child = os.fork()
            if not child:
                status = 1
                with contextlib.suppress(BaseException):
                    b.close()
                    alive = [thread for thread in threads() if thread.is_alive()]
                    time.sleep(0.5)
                    status = 0 if not alive and not timer._timer._queue else 2
                os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            time.sleep(0.6)
            b.sendall(b"the parent goes on")


def test_closing_while_it_looks() -> None:
    """The descriptor is not another file's while the timer's thread uses it."""
    for _ in range(30):
        with pair(Config(keepalive=0.01)) as (a, b):
            time.sleep(0.02)
            a.close()
            with socket.create_server(("127.0.0.1", 0)) as other:
                assert other.fileno() >= 0
            with contextlib.suppress(ConnectionError):
                assert b.recv(1) == b""
