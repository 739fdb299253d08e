"""Socket and Link over loopback TCP, the kernel's verdict given by the test.

Here the negotiation is played (no BPF needed), so that every end, error and
mode of the I/O layer can be driven; tests/wire repeats the essentials with
the option on the wire.
"""

import io
import socket
import threading
import time

import pytest
from unit.played import TRANSCRIPT, hand_made, pair, raw_peer

import pyeno
from pyeno import Role
from pyeno.errors import (
    TruncationError,
)

pytestmark = pytest.mark.usefixtures("negotiated")


@pytest.mark.rfc("8547:5.1-2")
def test_session_ids_and_info() -> None:
    with pair() as (a, b):
        assert a.eno.session_id == b.eno.session_id and len(a.eno.session_id) == 33
        assert (a.eno.role, b.eno.role) == (Role.A, Role.B)
        assert a.eno.encrypted and a.eno.reason is None and a.eno.tep == 0x23
        assert a.eno.transcript == TRANSCRIPT and a.eno.aead is b.eno.aead is not None
        assert (a.eno.generation, a.eno.resumed, a.eno.peer_aware) == (0, False, False)
        assert a.eno.session_id.hex() not in repr(a.eno) + repr(a)


@pytest.mark.rfc("8547:4.6-13", "8548:3.2-10")
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


@pytest.mark.parametrize("address", ["127.0.0.1:7000", 7000, ("127.0.0.1",), None])
def test_an_address_is_host_and_port(address: object) -> None:
    with pytest.raises(TypeError, match="host, port"):
        pyeno.create_connection(address)  # type: ignore[arg-type]
