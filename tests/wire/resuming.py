"""Hosts that connect again and again, and what the sessions of both ends were.

with Server(wire.b) as server:
    first = call(wire.a, server)      # (opened, accepted): both ends' Info
    second = call(wire.a, server)
    assert second.resumed
"""

import contextlib
import itertools
import queue
import socket
import threading
from typing import Any, NamedTuple, Self

from wire.netns import Namespace
from wire.programs import inside

import pyeno

TIMEOUT = 6.0
MARKER = b"plaintext-marker-" * 3
_ports = itertools.count(11000)


class Met(NamedTuple):
    """Both ends of one connection, after it ended well."""

    opened: pyeno.Info
    accepted: pyeno.Info

    @property
    def resumed(self) -> bool:
        assert self.opened.resumed is self.accepted.resumed
        return self.opened.resumed

    @property
    def session_id(self) -> bytes:
        return self.opened.session_id


def address_of(host: Namespace, family: str) -> str:
    return host.ip4 if family == "4" else host.ip6


class Server:
    """Echoes every connection, each in a thread of its own; `infos` in order of their ends."""

    def __init__(
        self, host: Namespace, config: pyeno.Config | None = None, family: str = "4"
    ) -> None:
        self.address = address_of(host, family), next(_ports)
        kind = socket.AF_INET if family == "4" else socket.AF_INET6
        self.listener: pyeno.Socket = inside(
            host,
            lambda: pyeno.create_server(self.address, family=kind, backlog=64, config=config),
        )
        self.infos: queue.Queue[pyeno.Info] = queue.Queue()
        self.errors: list[Exception] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                thread = threading.Thread(target=self._serve, args=[sock], daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: pyeno.Socket) -> None:
        sock.settimeout(TIMEOUT)
        try:
            with sock:
                while data := sock.recv(1 << 16):
                    sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                info = sock.eno
        except Exception as error:
            self.errors.append(error)
        else:
            self.infos.put(info)

    def info(self) -> pyeno.Info:
        """Of the next connection that ended."""
        try:
            return self.infos.get(timeout=TIMEOUT)
        except queue.Empty:
            raise AssertionError(self.errors) from None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self._threads:
            thread.join(TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def echoed(sock: pyeno.Socket, data: bytes = MARKER) -> pyeno.Info:
    """Send, read it back, end both streams."""
    with sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        back = bytearray()
        while part := sock.recv(1 << 16):
            back += part
        assert back == data
        return sock.eno


def call(
    host: Namespace, server: Server, config: pyeno.Config | None = None, data: bytes = MARKER
) -> Met:
    """One connection from `host`; both ends agree on what it was."""
    sock = inside(host, lambda: pyeno.create_connection(server.address, TIMEOUT, config=config))
    met = Met(echoed(sock, data), server.info())
    agreed(met)
    return met


def agreed(met: Met) -> None:
    opened, accepted = met
    assert opened.encrypted and accepted.encrypted, met
    assert opened.session_id == accepted.session_id and len(opened.session_id) == 33
    assert opened.transcript == accepted.transcript and opened.aead is accepted.aead
    assert {opened.role, accepted.role} == set(pyeno.Role)
    assert bool(opened.session_id[0] & 0x80) is met.resumed


def flush(host: Any) -> None:
    """Whatever the kernel caches for this user there."""
    assert inside(host, lambda: pyeno.flush_sessions(everything=True))
