"""Blocking, timeouts, non-blocking mode and listening in company, on kernels' own segments."""

import errno
import os
import selectors
import socket
import threading
import time

import pytest
from wire.netns import Wire
from wire.pairs import MARKER, TIMEOUT, dialled, pair, plain_listener, served
from wire.rfcpeer_packet import RST

import pyeno
from pyeno import Config, Reason
from pyeno.errors import EncryptionRequiredError, HandshakeTimeoutError, TruncationError

pytestmark = pytest.mark.wire

MEGABYTE = os.urandom(1 << 20)


def pump(sock: pyeno.Socket, out: bytes, wanted: int) -> bytes:
    """Send `out` and read `wanted` bytes and the end, never blocking (RFC 8548 section 3.6)."""
    sock.setblocking(False)
    got, ended, shut = bytearray(), False, False
    until = time.monotonic() + TIMEOUT
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        while not (ended and shut):
            assert time.monotonic() < until, (len(out), len(got))
            try:
                while out:
                    out = out[sock.send(out[:100_000]) :]
                if not shut:
                    sock.shutdown(socket.SHUT_WR)
                    shut = True
            except BlockingIOError:
                pass
            try:
                while data := sock.recv(1 << 16):
                    got += data
                ended = True
            except BlockingIOError:
                pass
            if not (ended and shut):
                more = selectors.EVENT_READ * (not ended) | selectors.EVENT_WRITE * (not shut)
                selector.modify(sock, more)
                selector.select(0.1)
    assert len(got) == wanted
    return bytes(got)


def test_non_blocking_both_ways(wire: Wire) -> None:
    """A mebibyte each way at once; FINp goes out though the buffers are full."""
    with pair(wire) as (a, b):
        results: list[bytes] = []
        thread = threading.Thread(
            target=lambda: results.append(pump(b, MEGABYTE[::-1], len(MEGABYTE)))
        )
        thread.start()
        assert pump(a, MEGABYTE, len(MEGABYTE)) == MEGABYTE[::-1]
        thread.join()
        assert results == [MEGABYTE]


def test_non_blocking_connect(wire: Wire) -> None:
    """connect_ex, a selector, do_handshake: no byte leaves before the kernel's verdict."""
    with served(wire) as listener, wire.capture() as seen:
        a = wire.a.inside(lambda: pyeno.Socket(socket.AF_INET, socket.SOCK_STREAM))
        with a, selectors.DefaultSelector() as selector:
            a.setblocking(False)
            assert a.connect_ex(listener.getsockname()) == errno.EINPROGRESS
            with pytest.raises(BlockingIOError):
                a.send(MARKER)
            selector.register(a, selectors.EVENT_WRITE)
            assert selector.select(TIMEOUT)
            with pytest.raises(BlockingIOError):
                a.do_handshake()
            b, _ = listener.accept()
            with b:
                b.settimeout(TIMEOUT)
                b.do_handshake()
                selector.modify(a, selectors.EVENT_READ)
                assert selector.select(TIMEOUT)
                a.do_handshake()
                assert a.send(MARKER) == len(MARKER) and b.recv(100) == MARKER
                assert a.eno.session_id == b.eno.session_id
    assert not any(MARKER in s.payload for s in seen.segments)


def test_timeouts(wire: Wire) -> None:
    """A timeout raises TimeoutError and harms nothing."""
    with pair(wire) as (a, b):
        a.settimeout(0.05)
        for _ in range(3):
            started = time.monotonic()
            with pytest.raises(TimeoutError):
                a.recv(10)
            assert 0.04 < time.monotonic() - started < 1
        b.sendall(MARKER)
        assert a.recv(100) == MARKER
        a.sendall(MARKER)
        assert b.recv(100) == MARKER


def test_handshake_timeouts(wire: Wire) -> None:
    """The socket's own timeout may be tried again; Config.handshake_timeout aborts."""
    with served(wire) as listener, wire.capture() as seen:
        a = wire.a.inside(
            lambda: pyeno.Socket(
                socket.AF_INET, socket.SOCK_STREAM, config=Config(handshake_timeout=0.3)
            )
        )
        with a:
            a.settimeout(0.1)
            with pytest.raises(TimeoutError) as caught:  # nobody accepts, so no Init2
                a.connect(listener.getsockname())
            assert not isinstance(caught.value, HandshakeTimeoutError)
            a.settimeout(TIMEOUT)
            with pytest.raises(HandshakeTimeoutError):
                a.sendall(MARKER)
            seen.wait(lambda segments: any(s.flags & RST for s in segments))
    assert not any(MARKER in s.payload for s in seen.segments)


def test_blocking_while_another_thread_sends(wire: Wire) -> None:
    """Full duplex on one socket: two locks, one per direction."""
    with pair(wire) as (a, b):
        received = bytearray()

        def reflect() -> None:
            while data := b.recv(1 << 16):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)

        echo = threading.Thread(target=reflect)
        echo.start()
        sender = threading.Thread(
            target=lambda: (a.sendall(MEGABYTE), a.shutdown(socket.SHUT_WR))
        )
        sender.start()
        while data := a.recv(1 << 16):
            received += data
        sender.join()
        echo.join()
        assert received == MEGABYTE


@pytest.mark.parametrize("closes", ["a", "b"])
def test_close_without_shutdown(wire: Wire, closes: str) -> None:
    """RFC 8548 section 3.7: close() is a proper end of stream; a reset is not."""
    with pair(wire) as (a, b):
        closer, other = (a, b) if closes == "a" else (b, a)
        closer.sendall(MARKER)
        closer.close()
        assert other.recv(100) == MARKER and other.recv(1) == b""
    with pair(wire) as (a, b):
        closer, other = (a, b) if closes == "a" else (b, a)
        closer.abort()
        with pytest.raises(ConnectionResetError):
            other.recv(1)


def test_killed_peer(wire: Wire) -> None:
    """RFC 8548 section 3.7: a peer whose process dies sends FIN alone: truncation."""
    with pair(wire) as (a, b):
        a.sendall(MARKER)
        assert b.recv(100) == MARKER
        with socket.socket(fileno=os.dup(a.fileno())) as naked:
            naked.shutdown(socket.SHUT_WR)
        with pytest.raises(TruncationError):
            b.recv(1)


def test_reuse_port(wire: Wire) -> None:
    """RFC 8547 section 4.6: each listener of a SO_REUSEPORT group answers for itself."""

    def listen(config: Config | None, port: int = 0) -> pyeno.Socket:
        return wire.b.inside(
            lambda: pyeno.create_server((wire.b.ip4, port), reuse_port=True, config=config)
        )

    with listen(None) as one:
        port = one.getsockname()[1]
        with listen(Config(app_aware=True), port) as two, wire.b.socket() as three:
            three.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            three.bind((wire.b.ip4, port))
            three.listen()
            served_by = {1: 0, 2: 0, 3: 0}
            for _ in range(40):
                served_by[_one_of(wire, (one, two, three))] += 1
            assert all(served_by.values()), served_by


def _one_of(wire: Wire, listeners: tuple[socket.socket, ...]) -> int:
    """Connect once; which listener got it, with that listener's outcome on both sides."""
    ready = selectors.DefaultSelector()
    for number, listener in enumerate(listeners, 1):
        ready.register(listener, selectors.EVENT_READ, number)
    accepted: list[tuple[int, socket.socket]] = []

    def accept() -> None:
        key, _ = ready.select(TIMEOUT)[0]
        sock, _ = key.fileobj.accept()  # type: ignore[union-attr]
        accepted.append((key.data, sock))
        sock.sendall(MARKER)

    thread = threading.Thread(target=accept)
    thread.start()
    with dialled(wire, listeners[0].getsockname()) as a:
        assert a.recv(100) == MARKER
        thread.join()
        number, b = accepted[0]
        with b:
            assert a.eno.encrypted is (number < 3)
            if number < 3:
                assert isinstance(b, pyeno.Socket) and b.eno.encrypted
                assert a.eno.peer_aware is b.eno.self_aware is (number == 2)
            else:
                assert a.eno.reason is Reason.SYN_ACK_WITHOUT_ENO
    ready.close()
    return number


def test_require_without_blocking(wire: Wire) -> None:
    """A non-blocking opener that demands encryption never sends a plain byte."""
    with plain_listener(wire) as listener:
        a = wire.a.inside(
            lambda: pyeno.Socket(
                socket.AF_INET, socket.SOCK_STREAM, config=Config(require=True)
            )
        )
        with a, selectors.DefaultSelector() as selector:
            a.setblocking(False)
            assert a.connect_ex(listener.getsockname()) == errno.EINPROGRESS
            selector.register(a, selectors.EVENT_WRITE)
            assert selector.select(TIMEOUT)
            for _ in range(2):
                with pytest.raises(EncryptionRequiredError):
                    a.send(MARKER)
        b, _ = listener.accept()
        with b, pytest.raises(ConnectionResetError):
            b.recv(1)


def test_dual_stack(wire: Wire) -> None:
    """create_server(dualstack_ipv6=True) serves both families, encrypted."""
    listener = wire.b.inside(
        lambda: pyeno.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    )
    with listener:
        port = listener.getsockname()[1]
        for host in wire.b.ip4, wire.b.ip6:
            number: list[pyeno.Socket] = []
            thread = threading.Thread(
                target=lambda n=number: (  # type: ignore[misc]
                    n.append(listener.accept()[0]), n[0].sendall(MARKER), n[0].close(),
                )
            )  # fmt: skip
            thread.start()
            with dialled(wire, (host, port)) as a:
                assert a.eno.encrypted and a.recv(100) == MARKER and a.recv(1) == b""
            thread.join()
