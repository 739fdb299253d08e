"""Rekeying through Socket (RFC 8548 section 3.8; played negotiation)."""

import contextlib
import errno
import socket
import struct
import threading
import time
from typing import Any

import pytest
from unit.played import TIMEOUT, hand_made, pair, raw_peer

import pyeno
from pyeno import kernel
from pyeno.constants import Reason, State
from pyeno.errors import (
    AuthenticationError,
    NotEncryptedError,
    RemoteProtocolError,
    TruncationError,
)

pytestmark = pytest.mark.usefixtures("negotiated")

EMPTY = 20


def until(condition: Any) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


@pytest.mark.parametrize("timeout", [None, TIMEOUT, 0])
def test_rekey_at_once(timeout: float | None) -> None:
    """An empty frame, and an answer the peer is forced to give; data go on."""
    with pair(timeout=timeout) as (a, b):
        for generation in range(1, 4):
            a.rekey()
            assert (a.eno.generation, a.eno.remote_generation) == (generation, generation - 1)
            with contextlib.suppress(BlockingIOError, TimeoutError):
                b.settimeout(0.2)
                b.recv(1)
            assert b.eno.generation == b.eno.remote_generation == generation
            a.sendall(b"x")
            b.sendall(b"y")
            b.settimeout(TIMEOUT)
            a.settimeout(TIMEOUT)
            assert (a.recv(1), b.recv(1)) == (b"y", b"x")
            a.settimeout(timeout)
            assert a.eno.remote_generation == generation


def test_an_unanswered_rekey_is_not_repeated_but_data_go_beyond() -> None:
    with raw_peer() as (peer, b):
        hand_made(peer, b)
        for _ in range(3):
            b.rekey()
        assert b.eno.generation == 1 and len(peer.recv(99)) == EMPTY
        b.sendall(b"x")
        assert b.eno.generation == 2
        assert peer.recv(99)[0] == 1
        b.sendall(b"x")
        assert peer.recv(99)[0] == 0


def test_a_rekey_that_finds_no_room_goes_out_first_next_time() -> None:
    with pair(timeout=0) as (a, b):
        blocked = b"x" * 60_000
        with pytest.raises(BlockingIOError):
            while True:
                a.send(blocked)
        a.rekey()
        got, sent = 0, False
        b.settimeout(TIMEOUT)
        while b.eno.remote_generation == 0:
            got += len(b.recv(1 << 20))
            with contextlib.suppress(BlockingIOError):
                if not sent and a.send(blocked) == len(blocked):
                    sent = a.send(b"!") == 1
        assert sent


def test_rekey_where_there_are_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    with pair() as (a, _):
        a.shutdown(socket.SHUT_WR)
        with pytest.raises(BrokenPipeError):
            a.rekey()
    plain = kernel.NOT_CONFIGURED._replace(state=State.DISABLED, reason=Reason.NO_VALID_TEP)
    monkeypatch.setattr(kernel, "result", lambda sock: plain)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        a = pyeno.create_connection(listener.getsockname(), TIMEOUT)
        with a, pytest.raises(NotEncryptedError, match="no-valid-tep"):
            a.rekey()


def test_who_only_sends_answers_too() -> None:
    """Section 3.8: "MUST immediately send a frame"; data that come stay where select()
    sees them."""
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)
        a.rekey()
        peer.sendall(a.data_to_send())

        def answered() -> bool:
            b.send(b"x")
            a.receive_data(peer.recv(1 << 16))
            while a.read(1 << 16):
                pass
            return not a.unanswered

        until(answered)
        peer.sendall(a.send(b"data"))
        time.sleep(0.15)
        b.send(b"x")
        b.setblocking(False)
        assert b.recv(9) == b"data"


def test_a_storm_of_empty_rekeys_costs_its_own_connection() -> None:
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)
        assert a._keys is not None
        storm = bytearray()
        for _ in range(5000):
            a._keys._advance()
            storm += a._keys.sealer.seal(b"")
        peer.sendall(storm)
        started = time.process_time()
        with pytest.raises(RemoteProtocolError, match="without an answer"):
            b.recv(1)
        assert time.process_time() - started < 0.5
        with pytest.raises(ConnectionResetError):
            while peer.recv(1 << 16):
                pass


def test_a_storm_from_a_peer_that_does_not_read() -> None:
    """What is owed is a number: nothing piles up while there is no room to answer."""
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)
        link = b._encrypted()
        assert link is not None
        b.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                b.send(bytes(60_000))
        b.settimeout(TIMEOUT)
        for _ in range(2000):
            a.rekey()
            peer.sendall(a.send(b"x"))
            assert b.recv(1) == b"x"
        assert len(link._unsent) < 70_000 and link.connection.owes
        assert b.eno.remote_generation == 2000 > b.eno.generation


def test_a_forged_rekey_bit_aborts() -> None:
    """The control byte is associated data (section 4.2.2)."""
    with raw_peer() as (peer, b):
        frame = bytearray(hand_made(peer, b).send(b"data"))
        frame[0] |= 1
        peer.sendall(frame)
        with pytest.raises(AuthenticationError):
            b.recv(9)
        with pytest.raises(ConnectionResetError):
            peer.recv(9)
        assert b.eno.generation == b.eno.remote_generation == 0


# -- ends (section 3.7) -------------------------------------------------------------


def reset_by(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


@pytest.mark.parametrize("late", [b"\0", bytes(100), None], ids=["byte", "bytes", "frame"])
@pytest.mark.parametrize("use", ["recv", "send", "shutdown"])
def test_data_after_finp_in_a_later_segment(late: bytes | None, use: str) -> None:
    """Section 3.7: "MUST NOT set FINp on any other frame" than the last."""
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)
        peer.sendall(a.send(b"last", fin=True))
        assert b.recv(9) == b"last" and b.recv(9) == b""
        peer.sendall(bytes(20) if late is None else late)
        time.sleep(0.12)
        with pytest.raises(RemoteProtocolError, match="bytes follow"):
            if use == "recv":
                b.recv(9)
            elif use == "send":
                b.send(b"x")
            else:
                b.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            while peer.recv(99):
                pass


def test_data_after_finp_are_noticed_by_close() -> None:
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)
        peer.sendall(a.send(b"last", fin=True))
        assert b.recv(9) == b"last" and b.recv(9) == b""
        peer.sendall(b"more")
        time.sleep(0.05)
        b.close()
        with pytest.raises(ConnectionResetError):
            while peer.recv(99):
                pass


def test_who_only_sends_notices_a_cut_stream() -> None:
    with raw_peer() as (peer, b):
        hand_made(peer, b)
        peer.shutdown(socket.SHUT_WR)
        with pytest.raises(TruncationError):
            for _ in range(100):
                b.send(b"x")
                time.sleep(0.01)


@pytest.mark.parametrize("consumed", ["send", "SO_ERROR", "nobody"])
def test_a_reset_is_not_a_truncation_whoever_saw_it_first(consumed: str) -> None:
    """The kernel tells it to one call only."""
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)
        peer.sendall(a.send(b"data"))
        time.sleep(0.05)
        reset_by(peer)
        time.sleep(0.05)
        if consumed == "send":
            with pytest.raises(ConnectionError):
                b.send(b"x")
        elif consumed == "SO_ERROR":
            assert b.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
        assert b.recv(99) == b"data"
        for _ in range(2):
            with pytest.raises(ConnectionError) as error:
                b.recv(1)
            assert not isinstance(error.value, RemoteProtocolError)
        with pytest.raises(ConnectionError):
            b.send(b"x")


def until_error(call: Any, errors: list[Exception]) -> None:
    try:
        while True:
            call()
    except Exception as error:
        errors.append(error)


def test_a_reader_is_told_of_a_reset_that_the_sender_got() -> None:
    for _ in range(20):
        with raw_peer() as (peer, b):
            hand_made(peer, b)
            b.settimeout(None)
            errors: list[Exception] = []
            calls = (lambda: b.recv(1), lambda: b.sendall(bytes(1000)))
            threads = [threading.Thread(target=until_error, args=[c, errors]) for c in calls]
            for thread in threads:
                thread.start()
            time.sleep(0.01)
            reset_by(peer)
            for thread in threads:
                thread.join(TIMEOUT)
            assert len(errors) == 2
            assert not any(isinstance(error, RemoteProtocolError) for error in errors), errors


def test_makefile_tells_a_cut_stream_from_an_end() -> None:
    for fin in True, False:
        with raw_peer() as (peer, b):
            a = hand_made(peer, b)
            peer.sendall(a.send(b"line\nrest", fin=fin))
            peer.shutdown(socket.SHUT_WR)
            with b.makefile("rb") as file:
                assert file.readline() == b"line\n"
                if fin:
                    assert file.read() == b"rest"
                else:
                    with pytest.raises(TruncationError):
                        file.read()


@pytest.mark.parametrize(
    "read",
    [
        lambda s: s.recv(1), lambda s: s.recv_into(bytearray(1)), lambda s: s.recvmsg(1),
        lambda s: s.recvmsg_into([bytearray(1)]), lambda s: s.recvfrom(1),
        lambda s: s.recv(1, socket.MSG_PEEK), lambda s: s.recv(9, socket.MSG_WAITALL),
        lambda s: s.recv_into(bytearray(1), 1, socket.MSG_PEEK),
    ],
)  # fmt: skip
def test_every_call_tells_a_cut_stream(read: Any) -> None:
    with raw_peer() as (peer, b):
        hand_made(peer, b)
        peer.shutdown(socket.SHUT_WR)
        with pytest.raises(TruncationError):
            read(b)


def test_ones_own_error_is_what_a_blocked_reader_gets() -> None:
    with pair(timeout=None) as (a, b):
        errors: list[Exception] = []

        def read() -> None:
            try:
                a.recv(1)
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.05)
        link = a._encrypted()
        assert link is not None
        wanted = RemoteProtocolError("as another thread found")
        link.fail(wanted)
        thread.join(TIMEOUT)
        assert errors == [wanted]
        with pytest.raises(RemoteProtocolError):
            a.send(b"x")
        with pytest.raises(ConnectionError):
            b.recv(1)
