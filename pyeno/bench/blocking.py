"""The scenarios over blocking sockets: what each end does in one run.

``near_*`` and ``far_*`` come in pairs.  The far end serves until it is killed.
"""

import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from pyeno.bench.cpus import Stopwatch
from pyeno.bench.errors import BenchError
from pyeno.bench.pairs import Peer
from pyeno.bench.summary import Figures, percentile
from pyeno.bench.transports import Plain

Near = Callable[[Plain, Peer, int], Figures]
Far = Callable[[Plain, socket.socket, int], None]
READ = 1 << 18
"""bytes asked for in one receive call"""
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
DONE = b"!"


def connected(transport: Plain, peer: Peer) -> socket.socket:
    """One connection, ready for data, and what it should be."""
    sock = transport.connect(peer.address)
    transport.check(sock)
    return sock


def ended() -> BenchError:
    """What came instead of data."""
    return BenchError("the stream ended too early")


# -- one way -----------------------------------------------------------------------


def near_stream(size: int) -> Near:
    """Send ``amount`` bytes in calls of ``size``; done when the last has arrived."""

    def near(transport: Plain, peer: Peer, amount: int) -> Figures:
        data = bytes(size)
        with connected(transport, peer) as sock, Stopwatch(peer.pid) as watch:
            for _ in range(amount // size):
                sock.sendall(data)
            if sock.recv(1) != DONE:
                raise ended()
        return watch.figures(amount)

    return near


def far_stream(transport: Plain, listener: socket.socket, amount: int) -> None:
    """Receive so many bytes, then say so."""
    sock, buffer, total = transport.accept(listener), bytearray(READ), 0
    while total < amount:
        got = sock.recv_into(buffer)
        if not got:
            raise ended()
        total += got
    sock.sendall(DONE)
    sock.recv(1)


# -- both ways at once -------------------------------------------------------------


def near_duplex(size: int) -> Near:
    """``amount`` bytes, half of them in each direction, in calls of ``size``."""

    def near(transport: Plain, peer: Peer, amount: int) -> Figures:
        with connected(transport, peer) as sock, Stopwatch(peer.pid) as watch:
            exchange(sock, size, amount // 2)
            sock.setblocking(True)
            if sock.recv(1) != DONE:
                raise ended()
        return watch.figures(amount)

    return near


def far_duplex(size: int) -> Far:
    """The other half."""

    def far(transport: Plain, listener: socket.socket, amount: int) -> None:
        sock = transport.accept(listener)
        exchange(sock, size, amount // 2)
        sock.setblocking(True)
        sock.sendall(DONE)
        sock.recv(1)

    return far


def exchange(sock: Any, size: int, amount: int) -> None:
    """Send and receive ``amount`` bytes each, in one thread, never blocking in a call.

    Two threads, one for each direction, are what ``ssl`` does not allow.
    """
    sock.setblocking(False)
    poll, data, buffer = select.poll(), memoryview(bytes(size)), bytearray(READ)
    poll.register(sock, select.POLLIN)
    sent = received = 0
    while sent < amount or received < amount:
        # what a call could not take is offered again from its first byte
        put = attempt(sock.send, data[sent % size :]) if sent < amount else None
        sent += put or 0
        room = min(READ, amount - received)
        got = attempt(sock.recv_into, buffer, room) if room else None
        if got == 0:
            raise ended()
        received += got or 0
        if put is None and got is None:
            poll.modify(sock, select.POLLIN | (select.POLLOUT if sent < amount else 0))
            poll.poll()


def attempt(call: Callable[..., int], *arguments: Any) -> int | None:
    """What the call returns; None if it would have to wait."""
    try:
        return call(*arguments)
    except WOULD_BLOCK:
        return None


# -- requests and answers ------------------------------------------------------------


def near_ping_pong(transport: Plain, peer: Peer, amount: int) -> Figures:
    """``amount`` round trips of one byte, each one timed."""
    times, clock = [], time.perf_counter_ns
    with connected(transport, peer) as sock, Stopwatch(peer.pid) as watch:
        for _ in range(amount):
            begun = clock()
            sock.sendall(b"a")
            if sock.recv(1) != b"a":
                raise ended()
            times.append(clock() - begun)
    return watch.figures(amount) | latency(times)


def latency(nanoseconds: list[int]) -> Figures:
    """Percentiles, in microseconds."""
    times = sorted(nanoseconds)
    return {f"p{share}_us": percentile(times, share) / 1000 for share in (50, 99)}


def far_ping_pong(transport: Plain, listener: socket.socket, amount: int) -> None:
    """Send back what comes."""
    sock = transport.accept(listener)
    while data := sock.recv(1):
        sock.sendall(data)


# -- connections -------------------------------------------------------------------


def near_fresh(transport: Plain, peer: Peer, amount: int) -> Figures:
    """Connect, one byte echoed, close; one after another."""
    connected(transport, peer).close()
    with Stopwatch(peer.pid) as watch:
        for _ in range(amount):
            with transport.connect(peer.address) as sock:
                sock.sendall(b"a")
                if sock.recv(1) != b"a":
                    raise ended()
    return watch.figures(amount)


def near_resumed(transport: Plain, peer: Peer, amount: int) -> Figures:
    """The same, each of them resuming the session of the one before."""
    with connected(transport, peer) as sock:
        echoed(transport, sock)
    with Stopwatch(peer.pid) as watch:
        for _ in range(amount):
            with transport.connect(peer.address) as sock:
                echoed(transport, sock)
                if not transport.resumed(sock):
                    raise BenchError("a session was not resumed")
    return watch.figures(amount)


def echoed(transport: Plain, sock: socket.socket) -> None:
    """One byte there and back, after which there is a session to resume."""
    sock.sendall(b"a")
    if sock.recv(1) != b"a":
        raise ended()
    transport.keep(sock)


def far_echo(transport: Plain, listener: socket.socket, amount: int) -> None:
    """Echo one byte of each connection."""
    while True:
        with transport.accept(listener) as sock:
            if data := sock.recv(1):
                sock.sendall(data)
