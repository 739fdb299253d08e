"""Simultaneous opens that need no luck.

with held(wire):                    # both ends' segments wait for an address
    a.connect_ex(...)               # non-blocking, each from its own port
    b.connect_ex(...)
await_crossed([a, b])               # the SYNs have crossed
"""

import contextlib
import errno
import socket
import time
from collections.abc import Iterable, Iterator

from wire.connect import Setup
from wire.netns import Wire

HOLD_ARP = """add table arp eno
add chain arp eno c { type filter hook input priority 0; }
add rule arp eno c drop
"""
TIMEOUT = 8.0


@contextlib.contextmanager
def held(wire: Wire) -> Iterator[None]:
    """Segments wait at both ends for an address that ARP does not find; then all go."""
    ends = ((wire.a, wire.b), (wire.b, wire.a))
    for host, _ in ends:
        host.run("nft", "-f", "-", stdin=HOLD_ARP)
        host.run("ip", "neigh", "flush", "all")
    try:
        yield
    finally:
        for host, peer in ends:
            address = peer.run("cat", "/sys/class/net/eth/address").strip()
            at = (peer.ip4, "lladdr", address, "nud", "reachable", "dev", "eth")
            host.run("ip", "neigh", "replace", *at)
            host.run("nft", "delete", "table", "arp", "eno")


def await_crossed(ends: Iterable[socket.socket]) -> None:
    """Until all are connected; they block from then on."""
    until = time.monotonic() + TIMEOUT
    for sock in ends:
        while not _connected(sock):
            assert time.monotonic() < until, "the SYNs did not cross"
            time.sleep(0.01)
        sock.settimeout(TIMEOUT)


def _connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def crossing(wire: Wire, a: Setup, b: Setup, ports: int) -> Iterator[list[socket.socket]]:
    """Both ends connect, from ports `ports` and the next, and their SYNs cross."""
    with contextlib.ExitStack() as stack:
        ends = []
        for host, setup, port in ((wire.a, a, ports), (wire.b, b, ports + 1)):
            sock = stack.enter_context(host.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host.ip4, port))
            setup(sock)
            sock.setblocking(False)
            ends.append(sock)
        with held(wire):
            for sock, to in zip(
                ends, ((wire.b.ip4, ports + 1), (wire.a.ip4, ports)), strict=True
            ):
                assert sock.connect_ex(to) == errno.EINPROGRESS
        await_crossed(ends)
        for x, y in (ends, reversed(ends)):
            x.sendall(b"x")
            assert y.recv(1) == b"x"
        yield ends
        for sock in ends:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
