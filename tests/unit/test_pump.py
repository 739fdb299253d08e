"""The compiled way of a socket's usual calls: what is not as usual is told and done as
without it (played negotiation)."""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from unit.played import TIMEOUT, hand_made, pair, raw_peer

import pyeno
from pyeno import Config
from pyeno._native.pump import Lock
from pyeno.errors import AuthenticationError, KernelError, LocalProtocolError

pytestmark = pytest.mark.usefixtures("negotiated")
MUCH = bytes(range(256)) * (1 << 15)
"""8 MiB: more than loopback's buffers hold"""


class Interrupted(Exception):
    """Raised by a signal handler."""


@contextlib.contextmanager
def interrupted(seconds: float = 0.1) -> Iterator[None]:
    """A signal whose handler raises, soon."""

    def handler(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def pumping(
    config: Config | None = None, timeout: float | None = None
) -> Iterator[tuple[pyeno.Socket, pyeno.Socket]]:
    """A pair whose next calls are the pump's."""
    with pair(config, timeout) as (a, b):
        for _ in range(2):
            for here, there in ((a, b), (b, a)):
                here.sendall(b"hello")
                while not there.recv(5):
                    pass
        assert pumps(a) and pumps(b)
        yield a, b


def pumps(sock: pyeno.Socket) -> bool:
    pump = sock._pump
    return pump is not None and pump.sending and pump.receiving


def read(sock: pyeno.Socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        part = sock.recv(1 << 18)
        assert part
        got += part
    return bytes(got)


def in_background(work: threading.Thread) -> threading.Thread:
    work.start()
    return work


@pytest.mark.parametrize("size", [1, 4076, 4077, 65518, 65519, 300_000, len(MUCH)])
@pytest.mark.parametrize("timeout", [None, TIMEOUT])
def test_every_size_arrives(size: int, timeout: float | None) -> None:
    with pumping(timeout=timeout) as (a, b):
        thread = in_background(threading.Thread(target=a.sendall, args=(MUCH[:size],)))
        assert read(b, size) == MUCH[:size]
        thread.join()
        assert pumps(b)


@pytest.mark.parametrize("room", [1, 100, 65518, 65519, 200_000])
def test_every_size_is_received(room: int) -> None:
    size = 1000 if room == 1 else 700_000
    with pumping() as (a, b):
        thread = in_background(threading.Thread(target=a.sendall, args=(MUCH[:size],)))
        out, got = bytearray(room), bytearray()
        while len(got) < size:
            got += out[: b.recv_into(out)]
        assert got == MUCH[:size]
        thread.join()


def test_a_signal_during_recv() -> None:
    with pumping() as (a, b):
        with pytest.raises(Interrupted), interrupted():
            b.recv(10)
        a.sendall(b"afterwards")
        assert b.recv(100) == b"afterwards"


@pytest.mark.rfc("8548:3.6-4", "8548:3.6-5")
def test_a_signal_during_sendall() -> None:
    """What was sealed goes out first, unchanged, with the next call."""
    with pumping() as (a, b):
        with pytest.raises(Interrupted), interrupted():
            a.sendall(MUCH)
        assert not pumps(a)
        got = bytearray()
        thread = in_background(threading.Thread(target=a.sendall, args=(b"after",)))
        while not got.endswith(b"after"):
            got += b.recv(1 << 18)
        thread.join()
        assert MUCH.startswith(got[:-5]) and len(got) > 1000
        assert pumps(a)


@pytest.mark.parametrize("compiled", [True, False])
def test_signals_at_any_moment(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed bytes can be lost between two steps of Python, without a pump more often, and
    then the connection says so; never does the peer get bytes twice, or too few."""
    if not compiled:
        monkeypatch.setattr("pyeno.tcpcrypt.connection.create_pump", lambda *_, **__: None)
    with pair(timeout=None) as (a, b):
        said: list[Exception] = []

        def drain() -> None:
            try:
                while b.recv(1 << 18):
                    pass
            except Exception as error:
                said.append(error)

        thread = in_background(threading.Thread(target=drain))
        lost = False
        for i in range(40):
            try:
                with contextlib.suppress(Interrupted), interrupted(0.001 + i / 5000):
                    a.sendall(MUCH)
            except KernelError as error:
                lost = "interrupted the sealing" in str(error)
                assert lost
                break
        a.close()
        thread.join(TIMEOUT)
        assert not thread.is_alive()
        assert not said or (lost and isinstance(said[0], ConnectionResetError))


def test_a_timeout_during_sendall() -> None:
    with pumping(timeout=0.1) as (a, b):
        with pytest.raises(TimeoutError):
            a.sendall(MUCH)
        a.settimeout(TIMEOUT)
        b.settimeout(TIMEOUT)
        thread = in_background(threading.Thread(target=a.sendall, args=(b"after",)))
        got = bytearray()
        while not got.endswith(b"after"):
            got += b.recv(1 << 18)
        thread.join()
        assert MUCH.startswith(got[:-5])


@pytest.mark.rfc("8548:3.6-4")
def test_non_blocking_send_counts_whole_frames() -> None:
    with pumping(timeout=0) as (a, b):
        done = 0
        with pytest.raises(BlockingIOError):
            while True:
                done += a.send(MUCH[done : done + 300_000])
        b.settimeout(TIMEOUT)
        assert read(b, done)[:done] == MUCH[:done]
        with pytest.raises(LocalProtocolError, match="same bytes"):
            a.send(b"other")
        rest = a.send(MUCH[done : done + 300_000])
        assert rest and read(b, rest).startswith(MUCH[done : done + rest][:1000])


def test_a_forged_frame_aborts() -> None:
    with raw_peer() as (peer, b):
        b.settimeout(None)
        a = hand_made(peer, b)
        for _ in range(2):
            peer.sendall(a.send(b"fine"))
            assert b.recv(10) == b"fine"
        assert b._pump is not None and b._pump.receiving
        forged = bytearray(a.send(b"x" * 100) + a.send(b"y" * 100))
        forged[-1] ^= 1
        peer.sendall(forged)
        time.sleep(0.05)  # both frames are there
        assert b.recv(1000) == b"x" * 100
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                b.recv(10)
        with pytest.raises(AuthenticationError):
            b.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            peer.recv(10)


def test_another_thread_closes_during_recv() -> None:
    with pumping() as (_, b):
        said: list[Exception] = []

        def receive() -> None:
            try:
                b.recv(10)
            except Exception as error:
                said.append(error)

        thread = in_background(threading.Thread(target=receive))
        time.sleep(0.1)
        b.abort()
        thread.join(TIMEOUT)
        assert not thread.is_alive() and isinstance(said[0], OSError)


def test_two_threads_send_whole_calls() -> None:
    with pumping() as (a, b):
        words = [bytes([65 + i]) * 1000 for i in range(4)]

        def send(word: bytes) -> None:
            for _ in range(200):
                a.sendall(word)

        threads = [in_background(threading.Thread(target=send, args=(w,))) for w in words]
        got = read(b, 4 * 200 * 1000)
        for thread in threads:
            thread.join()
        assert {got[i : i + 1000] for i in range(0, len(got), 1000)} == set(words)


@pytest.mark.rfc("8548:3.8-6")
def test_a_rekeying_is_answered_by_who_only_sends() -> None:
    with pumping() as (a, b):
        b.rekey()
        ends = time.monotonic() + TIMEOUT
        while a.eno.generation == 0 and time.monotonic() < ends:
            a.sendall(b"x")
            b.recv(1000)
        assert a.eno.generation == 1


def test_the_budget_of_a_key_set_holds() -> None:
    with pumping(Config(rekey_bytes=100_000)) as (a, b):
        for _ in range(50):
            a.sendall(bytes(10_000))
            read(b, 10_000)
        assert a.eno.generation >= 4


def test_a_blocking_send_takes_all_in_small_frames() -> None:
    with pumping(Config(frame_size=100)) as (a, b):
        assert a.send(MUCH[:4000]) == 4000
        assert read(b, 4000) == MUCH[:4000]


def test_other_objects_than_bytes() -> None:
    with pumping() as (a, b):
        a.sendall(memoryview(bytearray(b"abcd")).cast("H"))
        assert b.recv(10) == b"abcd"
        with pytest.raises(TypeError):
            a.sendall("text")
        with pytest.raises((TypeError, BufferError)):
            b.recv_into(b"read-only")
        with pytest.raises(ValueError, match="negative"):
            b.recv(-1)
        a.sendall(b"")
        assert a.send(b"") == 0
        assert b.recv(0) == b""
        a.sendall(b"still")
        assert b.recv(10) == b"still"


# -- the lock --------------------------------------------------------------------


def test_lock() -> None:
    lock = Lock()
    with pytest.raises(RuntimeError, match="unlocked"):
        lock.release()
    with lock:
        assert lock.locked()
        assert not lock.acquire(blocking=False)
        assert not lock.acquire(timeout=0.05)
    assert not lock.locked() and lock.acquire(False)
    lock.release()


def test_lock_between_threads() -> None:
    lock, count = Lock(), [0]

    def work() -> None:
        for _ in range(2000):
            with lock:
                before = count[0]
                count[0] = before + 1

    threads = [in_background(threading.Thread(target=work)) for _ in range(4)]
    for thread in threads:
        thread.join()
    assert count == [8000]


@pytest.mark.parametrize("timeout", [-1, TIMEOUT])
def test_a_signal_while_waiting_for_the_lock(timeout: float) -> None:
    lock = Lock()
    with lock, pytest.raises(Interrupted), interrupted():
        lock.acquire(timeout=timeout)
    assert lock.acquire(False)


def test_a_socket_with_a_pump_is_freed_at_once() -> None:
    with pumping() as (a, b):
        assert isinstance(a, socket.socket)
        b.settimeout(TIMEOUT)
        a.close()
        assert b.recv(10) == b""
