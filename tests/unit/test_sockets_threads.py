"""Two threads, or a thread and its signal handler, on one connection."""

import contextlib
import select
import signal
import socket
import threading
import time

import pytest
from unit.played import TIMEOUT, TRANSCRIPT, hand_made, pair, raw_peer

import pyeno
from pyeno import Config, Reason, Role
from pyeno._values import Outcome
from pyeno.errors import HandshakeTimeoutError, LocalProtocolError
from pyeno.sockets import outbound
from pyeno.sockets.raw import wait
from pyeno.tcpcrypt.connection import Connection

pytestmark = pytest.mark.usefixtures("negotiated")


def test_close_does_not_wait_for_a_thread_that_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer does not read: the connection is reset, and the thread told."""
    monkeypatch.setattr(outbound, "CLOSE_SECONDS", 0.2)
    with pair(timeout=None) as (a, _):
        ended: list[Exception] = []

        def send() -> None:
            try:
                a.sendall(bytes(100_000_000))
            except OSError as error:
                ended.append(error)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        time.sleep(0.3)
        closer = threading.Thread(target=a.close, daemon=True)
        closer.start()
        closer.join(3)
        sender.join(3)
        assert not closer.is_alive() and not sender.is_alive() and ended


def test_a_rekey_answer_is_not_lost_between_threads() -> None:
    """The peer rekeys while this host's other thread is about to end its send()."""
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)
        link = b._encrypted()
        assert link is not None
        b._pump = link.pump = None  # step by step
        b.settimeout(0.5)
        real, looks = link.connection.data_to_send, []
        held, received = threading.Event(), threading.Event()

        class Paused:
            """The last look at what is owed, before the lock is free."""

            def __getattr__(self, name: str) -> object:
                return getattr(connection, name)

            def data_to_send(self) -> bytes:
                owed = real()
                looks.append(owed)
                if len(looks) == 2:  # the first one is before the data
                    held.set()
                    received.wait(TIMEOUT)
                return owed

        connection, link.connection = link.connection, Paused()  # type: ignore[assignment]
        thread = threading.Thread(target=b.sendall, args=(b"x",))
        thread.start()
        assert held.wait(TIMEOUT)
        a.rekey()
        peer.sendall(a.send(b"rekeyed"))
        assert b.recv(10) == b"rekeyed"
        received.set()
        thread.join()
        peer.settimeout(2)
        while a._keys.receiving.generation == 0:  # type: ignore[union-attr]
            a.receive_data(peer.recv(4096))
            while a.read(100):
                pass


def test_a_reader_never_waits_for_room_to_answer() -> None:
    """Both ends full: the one that reads must go on reading."""
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)
        b.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                b.send(bytes(60_000))
        b.settimeout(1.0)
        a.rekey()
        peer.sendall(a.send(b"rekeyed"))
        started = time.monotonic()
        assert b.recv(10) == b"rekeyed"
        assert time.monotonic() - started < 0.9


def test_a_signal_handler_may_send_on_another_connection() -> None:
    with pair(timeout=None) as (a, b), pair(timeout=None) as (c, d):
        data = bytes(range(256)) * 40_000
        got = bytearray()
        timer = threading.Timer(
            0.3, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1)
        )
        before = signal.signal(signal.SIGUSR1, lambda *_: c.sendall(bytes(300_000)))

        def read() -> None:
            time.sleep(0.6)
            with contextlib.suppress(OSError):
                while len(got) < len(data) and (part := b.recv(1 << 16)):
                    got.extend(part)

        def drain() -> None:
            taken = 0
            while taken < 300_000:
                taken += len(d.recv(1 << 16))

        threads = [threading.Thread(target=f, daemon=True) for f in (read, drain)]
        for thread in threads:
            thread.start()
        timer.start()
        try:
            with contextlib.suppress(OSError):
                a.sendall(data)
            for thread in threads:
                thread.join(TIMEOUT)
        finally:
            timer.cancel()
            signal.signal(signal.SIGUSR1, before)
        assert got == data


def test_the_keys_in_use_by_another_thread_go_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with pair() as (a, _):
        link = a._encrypted()
        assert link is not None
        real, tries = link.connection.wipe, []

        def wipe() -> None:
            tries.append(1)
            if len(tries) < 3:
                raise LocalProtocolError("busy")
            real()

        monkeypatch.setattr(link.connection, "wipe", wipe)
        a.abort()
        assert len(tries) == 3


def test_ones_own_shutdown_of_both_sides_is_no_truncation() -> None:
    """It wakes the thread that reads, and RST must not destroy what was sent last."""
    with pair(timeout=None) as (a, b):
        got: list[object] = []

        def read() -> None:
            try:
                got.append(a.recv(10))
            except OSError as error:
                got.append(error)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        time.sleep(0.1)
        a.sendall(bytes(100_000))
        a.shutdown(socket.SHUT_RDWR)
        reader.join(TIMEOUT)
        assert got == [b""]
        taken = 0
        while part := b.recv(1 << 16):
            taken += len(part)
        assert taken == 100_000


def test_a_program_that_comes_late_does_not_blame_the_peer() -> None:
    """Init1 has been there all along: accepted, and used after a while."""
    with raw_peer(Config(handshake_timeout=0.3)) as (peer, b):
        time.sleep(0.5)
        hand_made(peer, b)
        assert b.eno.session_id


def test_what_came_in_time_is_read_however_late() -> None:
    with raw_peer(Config(handshake_timeout=0.3)) as (peer, b):
        b.setblocking(False)
        with pytest.raises(BlockingIOError):
            b.do_handshake()
        time.sleep(0.5)
        b.settimeout(TIMEOUT)
        hand_made(peer, b)
        assert b.eno.session_id


def test_a_peer_that_is_late_is_told_apart() -> None:
    with raw_peer(Config(handshake_timeout=0.2)) as (_, b):
        b.setblocking(False)
        with pytest.raises(BlockingIOError):
            b.do_handshake()
        time.sleep(0.3)
        with pytest.raises(HandshakeTimeoutError):
            b.do_handshake()


def test_what_came_with_init2_outlives_a_sender_that_finds_the_end() -> None:
    """RFC 8548 section 3.7: the frames wait unopened, behind them is nothing but FIN."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def play() -> None:
            peer, _ = listener.accept()
            b = Connection(
                Outcome(Reason.NEGOTIATED, Role.B, tep_byte=0x23, transcript=TRANSCRIPT),
                Config(),
            )
            with peer:
                b.receive_data(peer.recv(4096))
                peer.sendall(b.data_to_send() + b.send(b"early") + b.send(b"", fin=True))
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(4096):
                    pass

        thread = threading.Thread(target=play)
        thread.start()
        with pyeno.create_connection(listener.getsockname(), TIMEOUT) as a:
            wait(a, select.POLLRDHUP, time.monotonic() + TIMEOUT)
            a.sendall(b"late")
            a.shutdown(socket.SHUT_WR)
            assert (a.recv(100), a.recv(100)) == (b"early", b"")
        thread.join()
