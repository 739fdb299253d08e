"""A peer without ENO: that the handshake's last ACK was held back for the first bytes
(RFC 8548 section 3.5) leaves no trace in how the kernel acknowledges.

TCP_QUICKACK, read, says whether it does so at once.  Where it does not, a peer that
answers in several small writes waits 40 ms for Nagle's algorithm.
"""

import socket
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import pytest
from wire.netns import Wire
from wire.pairs import TIMEOUT, dialled, plain_listener

pytestmark = pytest.mark.wire

ANSWER = b"123"
Send = Callable[[Any], object]


def by_sendfile(sock: Any) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"?")
        file.seek(0)
        sock.sendfile(file)


def by_makefile(sock: Any) -> None:
    with sock.makefile("wb") as file:
        file.write(b"?")


CALLS: dict[str, Send] = {
    "send": lambda sock: sock.send(b"?"),
    "sendall": lambda sock: sock.sendall(b"?"),
    "sendmsg": lambda sock: sock.sendmsg([b"?"]),
    "sendto": lambda sock: sock.sendto(b"?", sock.getpeername()),
    "sendfile": by_sendfile,
    "makefile": by_makefile,
}


def answering(listener: socket.socket, count: int) -> None:
    for _ in range(count):
        with listener.accept()[0] as sock:
            assert sock.recv(1) == b"?"
            for byte in ANSWER:
                sock.send(bytes([byte]))
            assert sock.recv(1) == b""


def at_once(sock: Any) -> int:
    """Whether what arrives now is acknowledged immediately."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)  # type: ignore[no-any-return]


def exchange(sock: Any, send: Send) -> list[int]:
    """Before the question, after it, and after the answer."""
    with sock:
        sock.settimeout(TIMEOUT)
        seen = [at_once(sock)]
        send(sock)
        seen.append(at_once(sock))
        got = b""
        while len(got) < len(ANSWER):
            got += sock.recv(len(ANSWER))
        assert got == ANSWER
        return [*seen, at_once(sock)]


def ordinary(wire: Wire, address: Any) -> socket.socket:
    sock = wire.a.socket()
    sock.connect(address)
    return sock


@pytest.mark.parametrize("call", CALLS)
def test_the_first_exchange_is_as_an_ordinary_sockets(wire: Wire, call: str) -> None:
    with plain_listener(wire) as listener:
        thread = threading.Thread(target=answering, args=[listener, 2])
        thread.start()
        address = listener.getsockname()
        wanted = exchange(ordinary(wire, address), CALLS[call])
        assert exchange(dialled(wire, address), CALLS[call]) == wanted == [1, 1, 1]
        thread.join()
