"""Socket and Link over loopback TCP, the kernel's verdict given by the test.

Here the negotiation is played (no BPF needed), so that every end, error and
mode of the I/O layer can be driven; tests/wire repeats the essentials with
the option on the wire.
"""

import contextlib
import io
import pickle
import select
import socket
import struct
import threading
import time
from collections.abc import Callable

import pytest
from unit.played import TIMEOUT, TRANSCRIPT, hand_made, listening, pair, raw_peer

import pyeno
from pyeno import Config, Reason, Role, kernel
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


def test_session_ids_and_info() -> None:
    with pair() as (a, b):
        assert a.eno.session_id == b.eno.session_id and len(a.eno.session_id) == 33
        assert (a.eno.role, b.eno.role) == (Role.A, Role.B)
        assert a.eno.encrypted and a.eno.reason is None and a.eno.tep == 0x23
        assert a.eno.transcript == TRANSCRIPT and a.eno.aead is b.eno.aead is not None
        assert (a.eno.generation, a.eno.resumed, a.eno.peer_aware) == (0, False, False)
        assert a.eno.session_id.hex() not in repr(a.eno) + repr(a)


def test_nothing_is_plaintext_on_the_wire() -> None:
    with raw_peer() as (peer, b):
        hand_made(peer, b)
        b.sendall(b"marker" * 100)
        assert b"marker" not in peer.recv(4096)


@pytest.mark.parametrize("size", [0, 1, 1000, 65518, 65519, 300_000, 3_000_000])
@pytest.mark.parametrize("method", ["send", "sendall", "sendmsg", "makefile", "sendfile"])
def test_bytes_arrive(size: int, method: str, tmp_path: object) -> None:
    data = (bytes(range(251)) * (size // 251 + 1))[:size]

    def write(sock: pyeno.Socket) -> None:
        if method == "makefile":
            with sock.makefile("wb") as file:
                file.write(data)
        elif method == "sendfile":
            sock.sendfile(io.BytesIO(data))
        elif method == "sendall":
            sock.sendall(data)
        else:
            view = memoryview(data)
            while view:
                sent = (
                    sock.send(view) if method == "send" else sock.sendmsg([view[:7], view[7:]])
                )
                view = view[sent:]
        sock.shutdown(socket.SHUT_WR)

    with pair() as (a, b):
        for sender, receiver in ((a, b), (b, a)):
            thread = threading.Thread(target=write, args=(sender,))
            thread.start()
            got = bytearray()
            while part := receiver.recv(1 << 16):
                got += part
            thread.join()
            assert got == data


def test_every_way_to_receive() -> None:
    with pair() as (a, b):
        a.sendall(b"0123456789")
        assert b.recv(3, socket.MSG_PEEK) == b"012"
        assert b.recv(1) == b"0"
        buffer = bytearray(4)
        assert b.recv_into(buffer, 2) == 2 and buffer == b"12\0\0"
        assert b.pending() == 7
        assert b.recvfrom(1) == (b"3", None)
        assert b.recvmsg(2) == (b"45", [], 0, None)
        assert b.recvmsg_into([bytearray(1), buffer])[0] == 4
        assert buffer[:3] == b"789"
        a.sendall(b"abc")
        threading.Timer(0.05, a.sendall, [b"def"]).start()
        assert b.recv(6, socket.MSG_WAITALL) == b"abcdef"
        with b.makefile("rb") as file:
            a.sendall(b"line\nrest")
            a.shutdown(socket.SHUT_WR)
            assert file.readline() == b"line\n" and file.read() == b"rest"


@pytest.mark.parametrize("ended", [False, True], ids=["timeout", "truncated"])
def test_what_came_before_an_error_is_not_lost(ended: bool) -> None:
    """MSG_WAITALL, as the kernel does it: the short count now, the error next."""
    with raw_peer() as (peer, b):
        peer.sendall(hand_made(peer, b).send(b"abc"))
        if ended:
            peer.shutdown(socket.SHUT_WR)
        b.settimeout(0.1)
        assert b.recv(6, socket.MSG_WAITALL) == b"abc"
        with pytest.raises(TruncationError if ended else TimeoutError):
            b.recv(6, socket.MSG_WAITALL)


def test_half_close_then_read_on() -> None:
    with pair() as (a, b):
        a.shutdown(socket.SHUT_WR)
        assert b.recv(10) == b"" == b.recv(10)
        b.sendall(b"still here")
        assert a.recv(100) == b"still here"
        with pytest.raises(BrokenPipeError):
            a.send(b"no more")


def test_close_is_an_authenticated_end() -> None:
    with pair() as (a, b):
        a.sendall(b"bye")
        a.close()
        assert b.recv(10) == b"bye" and b.recv(10) == b""


def test_close_with_the_peers_end_unread_keeps_the_last_data() -> None:
    """The peer's FINp frame is not application data: no RST because of it."""
    for _ in range(20):
        with pair() as (a, b):
            b.shutdown(socket.SHUT_WR)
            time.sleep(0.005)
            a.sendall(bytes(100_000))
            a.close()
            got = 0
            while part := b.recv(1 << 16):
                got += len(part)
            assert got == 100_000


# -- modes -------------------------------------------------------------------


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


# -- misbehaving peers ---------------------------------------------------------


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


def test_fin_without_finp_is_truncation() -> None:
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)
        peer.sendall(a.send(b"data"))
        peer.shutdown(socket.SHUT_WR)
        assert b.recv(100) == b"data"
        with pytest.raises(TruncationError), b.makefile("rb") as file:
            file.read()


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

        monkeypatch.setattr("pyeno.sockets.link._send", full_once)
        with pytest.raises(BlockingIOError):
            a.shutdown(socket.SHUT_WR)
        a.shutdown(socket.SHUT_WR)
        assert b.recv(1) == b"" and len(set(sent)) == 1


@pytest.mark.parametrize("address", ["127.0.0.1:7000", 7000, ("127.0.0.1",), None])
def test_an_address_is_host_and_port(address: object) -> None:
    with pytest.raises(TypeError, match="host, port"):
        pyeno.create_connection(address)  # type: ignore[arg-type]
