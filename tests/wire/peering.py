"""One pyeno socket opposite one EnoPeer, whichever of them opens.

with face(field, "A") as facing:   # pyeno is host A, the active opener, in its own thread
    facing.peer.handshake()        # pyeno sends MARKER, reads to the end, ends its stream
    facing.peer.finish()
    data, error = facing.end()     # what its application read, and what was raised
"""

import contextlib
import errno
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from oracle import OracleError
from wire.programs import inside
from wire.rfcpeer import EnoPeer
from wire.rfcpeer_host import Host
from wire.tun import Tun

import pyeno

MARKER = b"plaintext-marker-" * 3
TIMEOUT = 6.0
_ports = itertools.count(9000)


class Field(NamedTuple):
    """A namespace with pyeno's kernel half on one side of a TUN device, a Host on the other."""

    tun: Tun
    host: Host

    def ours(self, family: str = "4") -> str:
        """pyeno's address."""
        return self.tun.kernel4 if family == "4" else self.tun.kernel6

    def theirs(self, family: str = "4") -> str:
        """The EnoPeer's address."""
        return self.tun.peer4 if family == "4" else self.tun.peer6

    def call(self, call: Any) -> Any:
        return inside(self.tun.namespace, call)

    def opener(self, port: int, family: str = "4", **wishes: Any) -> EnoPeer:
        """An EnoPeer that opened a connection to pyeno."""
        peer = EnoPeer(self.host, source=self.theirs(family), **wishes)
        return peer.connect((self.ours(family), port), timeout=TIMEOUT)


class End(NamedTuple):
    """What became of pyeno's side: what the application read, and what was raised."""

    data: bytes
    error: Exception | None


class Facing:
    """Both ends; pyeno's runs in a thread of its own, so that nothing can hang the test."""

    def __init__(self, peer: EnoPeer) -> None:
        self.peer = peer
        self.socket: pyeno.Socket | None = None
        self.data = bytearray()
        self.error: Exception | None = None
        self._thread: threading.Thread | None = None

    def run(self, open_socket: Any, marker: bytes, silent: bool) -> None:
        """Open, send the marker, read to the end, end the stream; in a thread.  `silent`:
        only the key exchange; the rest is the test's."""

        def body() -> None:
            try:
                sock = open_socket()
                sock.settimeout(TIMEOUT)
                if silent:
                    sock.do_handshake()
                self.socket = sock
                if silent:
                    return
                self.socket.sendall(marker)
                while data := self.socket.recv(1 << 16):
                    self.data += data
                end_of(self.socket)
            except Exception as error:
                self.error = error

        self._thread = threading.Thread(target=body)
        self._thread.start()

    def opened(self, size: int = 0) -> pyeno.Socket:
        """pyeno's socket, once it has read that many bytes of data."""
        until = time.monotonic() + TIMEOUT
        while self.socket is None or len(self.data) < size:
            assert time.monotonic() < until and self.error is None, repr(self.error)
            time.sleep(0.002)
        return self.socket

    def end(self) -> End:
        """Once pyeno's side is through; an error it kept, if it raised one."""
        assert self._thread is not None
        self._thread.join(2 * TIMEOUT)
        assert not self._thread.is_alive(), "pyeno's side hangs"
        return End(bytes(self.data), self.error)

    def wire(self) -> bytes:
        """Every byte of TCP payload that pyeno sent, retransmissions included."""
        return b"".join(s.payload for s in self.peer.conn.received)

    def close(self) -> None:
        if hasattr(self.peer, "conn"):
            self.peer.conn.abort()
        if self._thread is not None:
            self._thread.join(2 * TIMEOUT)
        if self.socket is not None:
            self.socket.close()


@contextlib.contextmanager
def face(
    field: Field,
    role: str,
    *,
    config: pyeno.Config | None = None,
    marker: bytes = MARKER,
    port: int | None = None,
    silent: bool = False,
    **wishes: Any,
) -> Iterator[Facing]:
    """pyeno in `role`: "A" opens actively, "B" accepts; TCP is established, no key is yet.

    Sessions that pyeno made as active opener are for the same `port` only."""
    port = next(_ports) if port is None else port
    if role == "A":
        peer = EnoPeer(field.host, **wishes).listen(port)
        facing = Facing(peer)
        target = field.theirs(), port

        def open_socket() -> pyeno.Socket:
            return field.call(lambda: pyeno.create_connection(target, TIMEOUT, config=config))

        try:
            facing.run(open_socket, marker, silent)
            peer.accept(TIMEOUT)
            yield facing
        finally:
            facing.close()
        return
    address = field.ours(), port
    with field.call(lambda: pyeno.create_server(address, config=config)) as listener:
        listener.settimeout(TIMEOUT)
        peer = EnoPeer(field.host, source=field.theirs(), **wishes)
        facing = Facing(peer)
        try:
            facing.run(lambda: listener.accept()[0], marker, silent)
            peer.connect(address, timeout=TIMEOUT)
            yield facing
        finally:
            facing.close()


def end_of(sock: pyeno.Socket) -> None:
    """Shut the sending side down; the test may have done so before."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise


def attempt(peer: EnoPeer) -> None:
    """The key exchange as far as it goes: an abort by pyeno is what the test is about."""
    with contextlib.suppress(ConnectionError, OracleError):
        peer.handshake(TIMEOUT)
