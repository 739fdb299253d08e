"""Everything on the socket surface with a TEP that is not tcpcrypt: the example plug-in,
without pump, rekeying, urgent data and session cache (played negotiation)."""

import contextlib
import errno
import io
import os
import select
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from unit.example_tep import EXAMPLE
from unit.played import TIMEOUT, pair, raw_peer

import pyeno
from pyeno import Config, Role, TruncationError
from pyeno.errors import AuthenticationError, LocalProtocolError
from pyeno.tep.testing.ends import outcome_of

OOB = socket.MSG_OOB


def peer_of(peer: socket.socket, b: pyeno.Socket, config: Config) -> Any:
    """Host A's connection by hand, key exchange complete."""
    a = EXAMPLE.create(outcome_of(EXAMPLE, config, Role.A), config)
    peer.sendall(a.data_to_send())
    b.do_handshake()
    while not a.established:
        a.receive_data(peer.recv(4096))
    return a


def test_info(example: Config) -> None:
    with pair(example) as (a, b):
        assert a.eno.session_id == b.eno.session_id and len(a.eno.session_id) == 33
        assert a.eno.session_id[0] == 0xA0  # "v" is that of host B's suboption
        assert (a.eno.tep, a.eno.tep_name, a.eno.aead) == (0x20, "example", None)
        assert (a.eno.role, b.eno.role) == (Role.A, Role.B)
        assert (a.eno.generation, a.eno.remote_generation, a.eno.resumed) == (0, 0, False)
        assert a.eno.session_id.hex() not in repr(a.eno) + repr(a)
        assert "plug-in 'example' of eno-tep-example 1.0" in repr(a.link().connection)


@pytest.mark.parametrize("size", [0, 1, 40_000, 1_000_000])
@pytest.mark.parametrize("method", ["send", "sendall", "sendmsg", "makefile", "sendfile"])
def test_bytes_arrive(other: Config, size: int, method: str) -> None:
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
                whole = (
                    sock.send(view) if method == "send" else sock.sendmsg([view[:7], view[7:]])
                )
                view = view[whole:]
        sock.shutdown(socket.SHUT_WR)

    with pair(other) as (a, b):
        for sender, receiver in ((a, b), (b, a)):
            thread = threading.Thread(target=write, args=(sender,))
            thread.start()
            got = bytearray()
            while part := receiver.recv(1 << 16):
                got += part
            thread.join()
            assert got == data


def test_every_way_to_receive(other: Config) -> None:
    with pair(other) as (a, b):
        a.sendall(b"0123456789")
        assert b.recv(3, socket.MSG_PEEK) == b"012" and b.recv(1) == b"0"
        buffer = bytearray(4)
        assert b.recv_into(buffer, 2) == 2 and buffer == b"12\0\0"
        assert b.pending() == 7
        assert b.recvfrom(1) == (b"3", None) and b.recvmsg(2) == (b"45", [], 0, None)
        assert b.recvmsg_into([bytearray(1), buffer])[0] == 4 and buffer[:3] == b"789"
        threading.Timer(0.05, a.sendall, [b"abcdef"]).start()
        assert b.recv(6, socket.MSG_WAITALL) == b"abcdef"
        assert b.pending() == 0
        with b.makefile("rb") as file:
            a.sendall(b"line\nrest")
            a.shutdown(socket.SHUT_WR)
            assert file.readline() == b"line\n" and file.read() == b"rest"


def test_both_directions_at_once(other: Config) -> None:
    """One thread sends while another receives, at both ends."""
    data = os.urandom(3_000_000)
    with pair(other) as (a, b):
        threads = [threading.Thread(target=sock.sendall, args=(data,)) for sock in (a, b)]
        got = {a: bytearray(), b: bytearray()}

        def read(sock: pyeno.Socket) -> None:
            while len(got[sock]) < len(data):
                got[sock] += sock.recv(1 << 16)

        threads += [threading.Thread(target=read, args=(sock,)) for sock in (a, b)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got[a] == got[b] == data


def test_timeouts(other: Config) -> None:
    with pair(other, timeout=0.1) as (a, b):
        with pytest.raises(TimeoutError):
            a.recv(1)
        with pytest.raises(TimeoutError):
            a.sendall(bytes(50_000_000))
        b.sendall(b"later")
        assert a.recv(10) == b"later"


def test_non_blocking(other: Config) -> None:
    """Nothing lost or repeated, whatever the kernel takes."""
    data = os.urandom(5_000_000)
    with pair(other, timeout=0) as (a, b):
        with pytest.raises(BlockingIOError):
            a.recv(1)
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


def test_ends(other: Config) -> None:
    with pair(other) as (a, b):
        a.shutdown(socket.SHUT_WR)
        assert b.recv(10) == b"" == b.recv(10)
        b.sendall(b"still here")
        assert a.recv(100) == b"still here"
        with pytest.raises(BrokenPipeError):
            a.send(b"no more")
        b.close()
        assert a.recv(10) == b""
    with pair(other) as (a, b):
        a.abort()
        with pytest.raises(ConnectionResetError):
            b.recv(1)


def test_close_keeps_the_last_data(other: Config) -> None:
    with pair(other) as (a, b):
        b.shutdown(socket.SHUT_WR)
        a.sendall(bytes(300_000))
        a.close()
        got = 0
        while part := b.recv(1 << 16):
            got += len(part)
        assert got == 300_000


@pytest.mark.parametrize("cut", [0, 1, 10, 120])
def test_truncated(example: Config, cut: int) -> None:
    """FIN anywhere but after the authenticated end; what came whole is read first."""
    with raw_peer(example) as (peer, b):
        a = peer_of(peer, b, example)
        peer.sendall(a.send(b"whole") + a.send(bytes(200))[:cut])
        peer.shutdown(socket.SHUT_WR)
        assert b.recv(100) == b"whole"
        for _ in range(2):
            with pytest.raises(TruncationError):
                b.recv(100)
        with pytest.raises(ConnectionResetError):
            peer.recv(4096)


def test_altered(example: Config) -> None:
    """What was authenticated before is read first, then the error, which stays."""
    with raw_peer(example) as (peer, b):
        a = peer_of(peer, b, example)
        stream = bytearray(a.send(b"whole") + a.send(b"altered"))
        stream[-1] ^= 1
        peer.sendall(stream)
        assert b.recv(100) == b"whole"
        for use in (lambda: b.recv(1), lambda: b.send(b"x"), b.pending, lambda: b.recv(1)):
            with pytest.raises(AuthenticationError, match="frame 1"):
                use()
        with pytest.raises(ConnectionResetError):
            peer.recv(4096)


def test_bytes_after_the_end(example: Config) -> None:
    with raw_peer(example) as (peer, b):
        a = peer_of(peer, b, example)
        peer.sendall(a.send(b"last", fin=True))
        peer.sendall(b"more")
        assert b.recv(100) == b"last"
        with pytest.raises(pyeno.RemoteProtocolError):
            while b.recv(100) == b"":
                select.select([b], [], [], TIMEOUT)


def test_truncated_key_exchange(example: Config) -> None:
    with raw_peer(example) as (peer, b):
        peer.sendall(bytes(31))
        peer.shutdown(socket.SHUT_WR)
        with pytest.raises(TruncationError, match="during the key exchange, after 31 bytes"):
            b.recv(1)


def test_handshake_timeout(example: Config) -> None:
    hurried = example.but(handshake_timeout=0.1)
    with raw_peer(hurried) as (_, b), pytest.raises(pyeno.HandshakeTimeoutError):
        b.recv(1)


@pytest.mark.rfc("8547:5-15", "8547:5-17")
def test_urgent_data_are_refused(example: Config) -> None:
    """Before anything is sealed; and none are received, whatever TCP's URG flag says."""
    with raw_peer(example) as (peer, b):
        a = peer_of(peer, b, example)
        for send in (b.send, b.sendall, lambda data, flags: b.sendmsg([data], [], flags)):
            with pytest.raises(LocalProtocolError, match="example disables urgent data"):
                send(bytes(100_000), OOB)
        b.sendall(b"fine")
        assert a.established
        stream = a.send(b"frame!")
        peer.sendall(stream[:-1])
        peer.send(stream[-1:], OOB)
        assert b.recv(100) == b"frame!" and not b.sockatmark()
        with pytest.raises(OSError) as caught:
            b.recv(1, OOB)
        assert caught.value.errno == errno.EINVAL and "has no urgent data" in str(caught.value)


REFUSED: list[Callable[[pyeno.Socket], Any]] = [
    lambda sock: sock.rekey(),
    lambda sock: sock.dup(),
    lambda sock: sock.detach(),
    lambda sock: sock.recv(1, socket.MSG_TRUNC),
    lambda sock: sock.send(b"x", socket.MSG_MORE),
    lambda sock: sock.sendto(b"x", ("127.0.0.1", 1)),
]


@pytest.mark.parametrize("use", REFUSED)
def test_what_cannot_be_kept_is_refused(
    other: Config, use: Callable[[pyeno.Socket], Any]
) -> None:
    """And changes nothing."""
    with pair(other) as (a, b):
        with pytest.raises(LocalProtocolError):
            use(a)
        a.flush_session()  # of which there is none
        a.sendall(b"fine")
        assert b.recv(9) == b"fine"


def test_out_of_band_inline_is_the_applications(other: Config) -> None:
    with pair(other) as (a, _):
        assert a.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE) == 0
        a.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        assert a.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE) == 1


def test_accept_then_fork(example: Config) -> None:
    """The connection belongs to whoever uses it first, and to nobody else."""
    with raw_peer(example) as (peer, b):
        child = os.fork()
        if child == 0:
            try:
                b.sendall(b"from the child")
                os._exit(0)
            finally:
                os._exit(1)
        a = EXAMPLE.create(outcome_of(EXAMPLE, example, Role.A), example)
        peer.sendall(a.data_to_send())
        while not a.awaited:
            a.receive_data(peer.recv(4096))
        assert a.read(100) == b"from the child" and os.waitpid(child, 0)[1] == 0
    with pair(example) as (a, b):
        child = os.fork()
        if child == 0:
            try:
                a.sendall(b"x")
            except LocalProtocolError:
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        a.sendall(b"of the parent")
        assert b.recv(100) == b"of the parent"


def test_suboption_data_hold(example: Config) -> None:
    """Each host sends no longer frames than the other said it takes."""
    small = example.but(frame_size=1000)
    with pair(small) as (a, b):  # the transcript says 2^15 of both all the same
        assert a.link().connection.frame_data == 1 << 15
        a.sendall(bytes(100_000))
        assert len(b.recv(100_000, socket.MSG_WAITALL)) == 100_000


def test_bad_suboption_data(example: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer's: accept() goes on, the connection is reset and says so."""
    before = pyeno.kernel.result

    def result(sock: socket.socket) -> pyeno.kernel.Result:
        found = before(sock)
        return found._replace(transcript=found.transcript.replace(b"\xa0\x0f", b"\xa0\x07"))

    monkeypatch.setattr(pyeno.kernel, "result", result)
    with raw_peer(example) as (peer, b):
        for use in (b.do_handshake, lambda: b.recv(1), lambda: b.send(b"x")):
            with pytest.raises(pyeno.RemoteProtocolError, match="suboption data 07 of host A"):
                use()
        with pytest.raises(ConnectionResetError):
            peer.recv(1)
