"""The copier: two pairs of sockets, what goes in at one end comes out at the other."""

import contextlib
import errno
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from unit.played import pair

import pyeno
from pyeno.relay import copying
from pyeno.relay.copying import Copier
from pyeno.relay.engine import Carried, End

TIMEOUT = 10.0
RESETS = struct.pack("ii", 1, 0)


class Joined:
    """``program`` and ``peer`` are the ends; the copier is between them."""

    def __init__(self, copier: Copier, program: Any, peer: Any, near: Any, far: Any) -> None:
        self.copier, self.program, self.peer = copier, program, peer
        self.near, self.far = near, far

    def ended(self) -> End:
        """How it ended, once it has."""
        ready, _, _ = select.select([self.copier], [], [], TIMEOUT)
        assert ready, "no end was told"
        (end,) = self.copier.ended()
        return end


def plain_pair() -> tuple[socket.socket, socket.socket]:
    """Over loopback TCP, so that there are resets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname(), TIMEOUT)
        other, _ = listener.accept()
    other.settimeout(TIMEOUT)
    return one, other


@contextlib.contextmanager
def joined(encrypted: bool) -> Iterator[Joined]:
    with contextlib.ExitStack() as stack:
        program, near = map(stack.enter_context, plain_pair())
        if encrypted:
            far, peer = stack.enter_context(pair())
        else:
            far, peer = map(stack.enter_context, plain_pair())
        copier = stack.enter_context(Copier())
        copier.add(near, far, 7)
        yield Joined(copier, program, peer, near, far)


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def ends(request: pytest.FixtureRequest, negotiated: None) -> Iterator[Joined]:
    with joined(request.param) as made:
        yield made


def received(sock: socket.socket) -> bytes:
    """Everything up to the end of stream."""
    parts = []
    while part := sock.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def until_given(ends: Joined, size: int) -> None:
    """The near side's kernel has so many bytes."""
    last = time.monotonic() + TIMEOUT
    while ends.copier.connections() != [Carried(7, 0, size)]:
        assert time.monotonic() < last, ends.copier.connections()
        time.sleep(0.01)


def test_both_directions_and_half_close(ends: Joined) -> None:
    ends.program.sendall(b"question")
    ends.program.shutdown(socket.SHUT_WR)
    assert received(ends.peer) == b"question"
    ends.peer.sendall(b"answer")
    ends.peer.close()
    assert received(ends.program) == b"answer"
    assert ends.ended() == End(7, 8, 6, "fin", 0)
    assert ends.copier.ended() == []


def test_the_peer_speaks_first_and_ends_first(ends: Joined) -> None:
    ends.peer.sendall(b"220 hello")
    ends.peer.shutdown(socket.SHUT_WR)
    assert received(ends.program) == b"220 hello"
    ends.program.sendall(b"bye")
    ends.program.close()
    assert received(ends.peer) == b"bye"
    assert ends.ended() == End(7, 3, 9, "fin", 0)


def test_large_and_slow(ends: Joined) -> None:
    """Both ways at once, and readers that begin late: more than any buffer holds."""
    data = os.urandom(1 << 20) * 24
    results: dict[str, bytes] = {}

    def send(sock: socket.socket) -> None:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    def read(name: str, sock: socket.socket) -> None:
        time.sleep(0.2)
        results[name] = received(sock)

    threads = [
        threading.Thread(target=send, args=[ends.program]),
        threading.Thread(target=send, args=[ends.peer]),
        threading.Thread(target=read, args=["program", ends.program]),
        threading.Thread(target=read, args=["peer", ends.peer]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results["peer"] == data and results["program"] == data
    assert ends.ended() == End(7, len(data), len(data), "fin", 0)


def test_no_more_is_read_than_is_taken(ends: Joined) -> None:
    """A reader that does not read holds up its sender, and memory stays bounded."""
    ends.program.settimeout(1)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 1 << 28:
            sent += ends.program.send(bytes(1 << 20))
    (carried,) = ends.copier.connections()
    assert carried == Carried(7, carried.bytes_out, 0) and carried.bytes_out < sent
    copy = ends.copier.copies[7]
    assert len(copy._outgoing) <= 1 << 16


def test_the_program_resets(ends: Joined) -> None:
    ends.program.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
    ends.program.close()
    with pytest.raises(ConnectionResetError):
        ends.peer.recv(1)
    assert ends.ended() == End(7, 0, 0, "near-reset", errno.ECONNRESET)


def test_the_peer_resets(ends: Joined) -> None:
    if isinstance(ends.peer, pyeno.Socket):
        ends.peer.abort()
    else:
        ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
        ends.peer.close()
    with pytest.raises(ConnectionResetError):
        ends.program.recv(1)
    assert ends.ended().end == "reset"


def test_a_truncated_stream_is_a_reset(negotiated: None) -> None:
    """FIN without FINp: the program must not take it for the end."""
    with joined(True) as ends:
        ends.peer.sendall(b"half of it")
        assert ends.program.recv(100) == b"half of it"
        # past the link: TCP's end of stream alone
        with socket.socket(fileno=os.dup(ends.peer.fileno())) as raw:
            raw.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            ends.program.recv(1)
        assert ends.ended().end == "truncated"


def test_altered_frames_are_a_reset(negotiated: None) -> None:
    with joined(True) as ends:
        with socket.socket(fileno=os.dup(ends.peer.fileno())) as raw:
            raw.sendall(b"\0\0\x20" + bytes(32))
        with pytest.raises(ConnectionResetError):
            ends.program.recv(1)
        assert ends.ended().end == "auth-failed"


@pytest.mark.parametrize("how", ["truncated", "reset", "auth-failed"])
def test_what_came_before_the_fault_is_given_to_the_program(negotiated: None, how: str) -> None:
    """More than the kernel takes at once, however late the program reads; then a reset."""
    with joined(True) as ends:
        data = os.urandom(1 << 20)
        ends.peer.sendall(data)
        until_given(ends, len(data))
        if how == "reset":
            ends.peer.abort()
        else:
            with socket.socket(fileno=os.dup(ends.peer.fileno())) as raw:
                if how == "auth-failed":
                    raw.sendall(b"\0\0\x20" + bytes(32))
                else:
                    raw.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
        got = bytearray()
        with pytest.raises(ConnectionResetError):
            while part := ends.program.recv(1 << 16):
                got += part
        assert got == data
        code = errno.ECONNRESET if how == "reset" else 0
        assert ends.ended() == End(7, 0, len(data), how, code)


def test_what_came_before_the_programs_reset_is_given_to_the_peer(ends: Joined) -> None:
    ends.program.sendall(b"last words")
    assert ends.peer.recv(100) == b"last words"
    ends.peer.sendall(b"never read")
    time.sleep(0.1)
    ends.program.close()
    with pytest.raises(ConnectionResetError):
        ends.peer.recv(1)
    assert ends.ended() == End(7, 10, 10, "near-reset", errno.ECONNRESET)


def test_a_program_that_takes_nothing_is_not_waited_for_for_ever(
    negotiated: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PATIENCE_NEAR", 0.3)
    with joined(True) as ends:
        ends.peer.sendall(bytes(1 << 20))
        until_given(ends, 1 << 20)
        ends.peer.abort()
        assert ends.ended().end == "reset"
        got = 0
        with pytest.raises(ConnectionResetError):
            while part := ends.program.recv(1 << 16):
                got += len(part)
        assert got < 1 << 20


def test_closing_the_copier_resets_all(ends: Joined) -> None:
    ends.program.sendall(b"x")
    assert ends.peer.recv(1) == b"x"
    ends.copier.close()
    assert ends.copier.ended() == [End(7, 1, 0, "closed", 0)]
    for sock in (ends.program, ends.peer):
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
