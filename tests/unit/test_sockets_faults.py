"""Peers that misbehave, and what Socket refuses (played negotiation)."""

import pickle
import socket
import struct
from collections.abc import Callable

import pytest
from unit.played import TIMEOUT, hand_made, listening, pair, raw_peer

import pyeno
from pyeno import Config, Reason, kernel
from pyeno.constants import State
from pyeno.errors import (
    AuthenticationError,
    EncryptionRequiredError,
    HandshakeTimeoutError,
    LocalProtocolError,
    NotEncryptedError,
    RemoteProtocolError,
    TruncationError,
)
from pyeno.sockets.raw import BaseSocket
from pyeno.tcpcrypt.connection import Connection

pytestmark = pytest.mark.usefixtures("negotiated")


def was_reset(peer: socket.socket) -> bool:
    """The peer sees RST, not FIN."""
    peer.settimeout(TIMEOUT)
    try:
        while peer.recv(4096):
            pass
    except ConnectionResetError:
        return True
    return False


def flip(frames: bytes) -> bytes:
    return frames[:-1] + bytes([frames[-1] ^ 1])


@pytest.mark.parametrize(
    ("breakage", "error"),
    [
        (lambda a: flip(a.send(b"data")), AuthenticationError),
        (lambda a: b"\x00\x00\x10" + bytes(16), RemoteProtocolError),
        (lambda a: b"\x00\x00\x00", RemoteProtocolError),
        (lambda a: a.send(b"1")[:0] + a.send(b"2"), AuthenticationError),
        (lambda a: a.send(b"1", fin=True) + b"more", RemoteProtocolError),
        (lambda a: b"GET / HTTP/1.0\r\n\r\n" * 4000, AuthenticationError),
    ],
    ids=["bad tag", "no flags byte", "clen 0", "reordered", "after FINp", "plaintext"],
)
def test_bad_frames_reset_the_connection(
    breakage: Callable[[Connection], bytes], error: type[Exception]
) -> None:
    with raw_peer() as (peer, b):
        peer.sendall(breakage(hand_made(peer, b)))
        got = b""
        with pytest.raises(error) as first:
            for _ in range(3):
                got += b.recv(100)
        assert got in (b"", b"1")
        assert was_reset(peer)
        with pytest.raises(error) as again:
            b.send(b"never")
        assert again.value is first.value


@pytest.mark.parametrize(
    "init1", [b"GET / HTTP/1.1\r\n", b"x", bytes.fromhex("15101a0effffffff"), bytes(100)]
)
def test_bad_init1_resets_the_connection(init1: bytes) -> None:
    with raw_peer() as (peer, b):
        peer.sendall(init1)
        with pytest.raises(RemoteProtocolError, match="Init1"):
            b.recv(1)
        assert was_reset(peer)
        with pytest.raises(NotEncryptedError):
            _ = b.eno.session_id


@pytest.mark.rfc("8547:5-14", "8548:3.7-5", "8548:8-1")
def test_fin_without_finp_is_truncation() -> None:
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)
        peer.sendall(a.send(b"data"))
        peer.shutdown(socket.SHUT_WR)
        assert b.recv(100) == b"data"
        with pytest.raises(TruncationError), b.makefile("rb") as file:
            file.read()


@pytest.mark.rfc("8548:8-1")
def test_reset_is_neither_end_nor_truncation() -> None:
    with raw_peer() as (peer, b):
        hand_made(peer, b)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        with pytest.raises(ConnectionResetError) as error:
            b.recv(1)
        assert not isinstance(error.value, TruncationError)


def test_a_peer_that_never_sends_init() -> None:
    with raw_peer(Config(handshake_timeout=0.3)) as (peer, b):
        b.settimeout(None)
        with pytest.raises(HandshakeTimeoutError, match=r"0\.3 s"):
            b.recv(1)
        assert was_reset(peer)


def test_the_sockets_timeout_ends_the_wait_but_not_the_handshake() -> None:
    with raw_peer() as (peer, b):
        b.settimeout(0.05)
        with pytest.raises(TimeoutError):
            b.do_handshake()
        b.settimeout(TIMEOUT)
        hand_made(peer, b)
        assert b.eno.session_id


# -- refusals -----------------------------------------------------------------


def test_what_encryption_cannot_keep_is_refused() -> None:
    with pair() as (a, b):
        a.sendall(b"x")
        for refuse in (
            lambda: a.detach(), lambda: a.dup(), lambda: a.sendto(b"x", ("127.0.0.1", 1)),
            lambda: a.sendmsg([b"x"], [(1, 2, b"")]), lambda: a.send(b"x", socket.MSG_OOB),
            lambda: b.recv(1, socket.MSG_OOB),
        ):  # fmt: skip
            with pytest.raises(LocalProtocolError):
                refuse()
        with pytest.raises(TypeError):
            pickle.dumps(a)
        with pytest.raises(TypeError):
            a.sendall("text")  # type: ignore[arg-type]
        assert b.recv(10) == b"x"


@pytest.mark.rfc("8547:5.1-3")
def test_closed_and_unconnected_sockets() -> None:
    with pair() as (a, _):
        a.close()
        a.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            a.send(b"x")
        assert a.eno.session_id
    with pyeno.Socket(socket.AF_INET, socket.SOCK_STREAM) as fresh:
        with pytest.raises(NotEncryptedError):
            _ = fresh.eno.session_id
        with pytest.raises(OSError, match="not connected"):
            fresh.recv(1)


def test_require_refuses_plain_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = kernel.NOT_CONFIGURED._replace(
        state=State.DISABLED, reason=Reason.SYN_ACK_WITHOUT_ENO
    )
    monkeypatch.setattr(kernel, "result", lambda sock: plain)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(EncryptionRequiredError, match="syn-ack-without-eno") as error:
            pyeno.create_connection(
                listener.getsockname(), TIMEOUT, config=Config(require=True)
            )
        assert error.value.reason is Reason.SYN_ACK_WITHOUT_ENO
        peer, _ = listener.accept()
        with peer:
            assert was_reset(peer)


def test_require_on_a_listener_never_breaks_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = kernel.NOT_CONFIGURED._replace(state=State.DISABLED, reason=Reason.SYN_WITHOUT_ENO)
    with listening(Config(require=True)) as listener:
        monkeypatch.setattr(kernel, "result", lambda sock: plain)
        with socket.create_connection(listener.getsockname(), TIMEOUT) as peer:
            b, _ = listener.accept()
            with b:
                for use in (lambda: b.recv(1), lambda: b.send(b"x"), b.do_handshake):
                    with pytest.raises(EncryptionRequiredError):
                        use()
                assert b.eno.reason is Reason.SYN_WITHOUT_ENO and was_reset(peer)


@pytest.mark.rfc("8547:5.1-3")
def test_plain_fallback_is_a_plain_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = kernel.NOT_CONFIGURED._replace(state=State.DISABLED, reason=Reason.NO_VALID_TEP)
    monkeypatch.setattr(kernel, "result", lambda sock: plain)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        a = pyeno.create_connection(listener.getsockname(), TIMEOUT)
        peer, _ = listener.accept()
        with a, peer:
            a.sendall(b"plain")
            assert peer.recv(10) == b"plain"
            peer.sendall(b"reply")
            assert a.recv(10) == b"reply" and a.pending() == 0
            assert not a.eno.encrypted and a.eno.reason is Reason.NO_VALID_TEP
            with pytest.raises(NotEncryptedError):
                _ = a.eno.session_id


def test_the_base_class_is_where_system_calls_are() -> None:
    assert BaseSocket.__name__ == "socket" and BaseSocket.__module__ == "_socket"
