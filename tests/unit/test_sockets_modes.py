"""Blocking, timeout and non-blocking modes of Socket, and its ends (played negotiation)."""

import contextlib
import select
import socket
import threading
import time

import pytest
from unit.played import TIMEOUT, hand_made, listening, pair, raw_peer

import pyeno
from pyeno.errors import (
    LocalProtocolError,
)
from pyeno.sockets.raw import BaseSocket

pytestmark = pytest.mark.usefixtures("negotiated")


def test_timeouts_are_honoured() -> None:
    with pair(timeout=0.1) as (a, b):
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            a.recv(1)
        assert time.monotonic() - started < 2
        b.sendall(b"later")
        assert a.recv(10) == b"later"


def test_a_trickled_frame_does_not_prolong_the_timeout() -> None:
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)
        frame = a.send(bytes(200))
        b.settimeout(0.4)
        stop = threading.Event()

        def trickle() -> None:
            for byte in frame[:-1]:
                if stop.wait(0.05):
                    return
                peer.sendall(bytes([byte]))

        thread = threading.Thread(target=trickle)
        thread.start()
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            b.recv(1)
        assert time.monotonic() - started < 3
        stop.set()
        thread.join()


def test_non_blocking_reads() -> None:
    with pair(timeout=0) as (a, b):
        with pytest.raises(BlockingIOError):
            a.recv(1)
        b.send(b"x")
        select.select([a], [], [], TIMEOUT)
        assert a.recv(10) == b"x"


@pytest.mark.rfc("8548:3.6-4")
def test_non_blocking_writes_never_lose_or_repeat_a_byte() -> None:
    data = bytes(range(256)) * 40_000
    with pair(timeout=0) as (a, b):
        view, got = memoryview(data), bytearray()
        while len(got) < len(data):
            wait = 0 if b.pending() else TIMEOUT
            readable, writable, _ = select.select([b], [a] if view else [], [], wait)
            if writable:
                with contextlib.suppress(BlockingIOError):
                    view = view[a.send(view) :]
            if readable or b.pending():
                with contextlib.suppress(BlockingIOError):
                    got += b.recv(50_000)
        assert got == data


@pytest.mark.rfc("8548:3.6-4")
def test_a_blocked_write_must_be_repeated_with_the_same_bytes() -> None:
    with pair(timeout=0) as (a, _):
        with pytest.raises(BlockingIOError):
            while True:
                a.send(b"x" * 60_000)
        with pytest.raises(LocalProtocolError, match="same bytes first"):
            a.send(b"y" * 60_000)


def test_non_blocking_handshake() -> None:
    with listening() as listener:
        a = pyeno.Socket(socket.AF_INET, socket.SOCK_STREAM)
        a.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            a.connect(listener.getsockname())
        b, _ = listener.accept()
        b.setblocking(False)
        with a, b:
            for _ in range(1000):
                done = 0
                for end in (a, b):
                    with contextlib.suppress(BlockingIOError):
                        end.do_handshake()
                        done += 1
                if done == 2:
                    break
                select.select([a, b], [], [], 0.05)
            assert a.eno.session_id == b.eno.session_id


def test_two_threads_each_way() -> None:
    data = bytes(range(256)) * 8000
    with pair() as (a, b):
        got: dict[pyeno.Socket, bytearray] = {a: bytearray(), b: bytearray()}

        def write(sock: pyeno.Socket) -> None:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

        def read(sock: pyeno.Socket) -> None:
            while part := sock.recv(100_000):
                got[sock] += part

        threads = [threading.Thread(target=f, args=(s,)) for f in (write, read) for s in (a, b)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got[a] == got[b] == data


def fill(sock: pyeno.Socket) -> None:
    """Send until the kernel takes no more."""
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(bytes(60_000))


def test_shutdown_that_blocked_still_sends_finp_before_fin() -> None:
    with pair(timeout=0) as (a, b):
        fill(a)
        with pytest.raises(BlockingIOError):
            a.shutdown(socket.SHUT_WR)
        b.settimeout(TIMEOUT)
        for _ in range(1000):
            b.recv(1 << 20)
            with contextlib.suppress(BlockingIOError):
                a.shutdown(socket.SHUT_WR)
                break
        while b.recv(1 << 20):
            pass  # an end without FINp would be a TruncationError


def test_closing_a_blocked_non_blocking_socket_resets() -> None:
    with pair(timeout=0) as (a, b):
        fill(a)
        started = time.monotonic()
        a.close()
        assert time.monotonic() - started < 2
        b.settimeout(TIMEOUT)
        with pytest.raises(ConnectionError):
            while b.recv(1 << 20):
                pass


def test_sendall_has_one_timeout_for_all() -> None:
    with pair(timeout=0.3) as (a, b):
        stop = threading.Event()

        def sip() -> None:
            while not stop.wait(0.1):
                with contextlib.suppress(OSError):
                    b.recv(100_000)

        thread = threading.Thread(target=sip)
        thread.start()
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            a.sendall(bytes(100_000_000))
        assert time.monotonic() - started < 3
        stop.set()
        thread.join()


def test_connecting_again_does_not_disturb_a_connection() -> None:
    with pair() as (a, b):
        a.connect(b.getsockname())  # Linux: ends a connect() that did not block
        with pytest.raises(OSError, match="already connected"):
            a.connect(b.getsockname())
        a.sendall(b"undisturbed")
        assert b.recv(100) == b"undisturbed"


def test_an_encrypted_socket_never_turns_plain() -> None:
    """Another thread may be sending while this one closes."""
    with pair() as (a, b):
        link = a._encrypted()
        assert link is not None
        a.close()
        assert a._encrypted() is link
        for use in (lambda: link.send(b"x"), lambda: link.sendall(b"x"), lambda: link.recv(1)):
            with pytest.raises(OSError, match="Bad file descriptor"):
                use()
        assert b.recv(10) == b""


def test_a_socket_nobody_holds_is_closed_at_once() -> None:
    with pair() as (a, b):
        with a:
            pass
        c = pyeno.Socket(fileno=socket.dup(b.fileno()))
        number = c.fileno()
        c.eno  # noqa: B018  makes the link, and with it a cycle if there were one
        with pytest.warns(ResourceWarning):
            del c
        with pytest.raises(OSError, match="Bad file descriptor"):
            socket.socket(fileno=number)


def test_shutdown_cut_short_is_taken_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frame with FINp waits in the socket, not in oblivion (RFC 8548 section 3.7)."""
    with pair() as (a, b):
        a.setblocking(False)
        sent: list[int] = []

        def full_once(sock: socket.socket, data: bytes, flags: int = 0) -> int:
            sent.append(len(data))
            if len(sent) == 1:
                raise BlockingIOError
            return BaseSocket.send(sock, data, flags)

        monkeypatch.setattr("pyeno.sockets.exchange._send", full_once)
        with pytest.raises(BlockingIOError):
            a.shutdown(socket.SHUT_WR)
        a.shutdown(socket.SHUT_WR)
        assert b.recv(1) == b"" and len(set(sent)) == 1
