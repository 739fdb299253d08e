"""What is compared, as blocking sockets: plain TCP, stdlib TLS 1.3, pyeno.

All of them without Nagle's algorithm (TCP_NODELAY).  A transport is made in
the process that uses it.
"""

import socket
import ssl
from functools import cached_property
from typing import Any

import pyeno
from pyeno.bench import tls
from pyeno.bench.errors import BenchError

Address = tuple[str, int]
BACKLOG = 4096


def nodelay(sock: socket.socket) -> socket.socket:
    """What performance-sensitive services set; accepted sockets inherit it."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Plain:
    """Kernel TCP and nothing else."""

    def listen(self, host: str) -> socket.socket:
        """A listening socket on a free port."""
        return nodelay(socket.create_server((host, 0), backlog=BACKLOG))

    def accept(self, listener: socket.socket) -> socket.socket:
        """One accepted connection, ready for data."""
        return listener.accept()[0]

    def connect(self, address: Address) -> socket.socket:
        """One connection, ready for data."""
        return nodelay(socket.create_connection(address))

    def check(self, sock: Any) -> None:
        """BenchError unless it is encrypted as it should be."""

    def keep(self, sock: Any) -> None:
        """Let the next connection resume this one's session."""

    def resumed(self, sock: Any) -> bool:
        """Whether it did; plain TCP has nothing to resume."""
        return True


class Tls(Plain):
    """Stdlib ``ssl``: TLS 1.3, its default suite or one that is demanded."""

    def __init__(self, suite: str | None, resume: bool) -> None:
        self._suite, self._resume = suite, resume
        self._session: ssl.SSLSession | None = None
        if suite is not None:
            tls.demand(suite)

    @cached_property
    def _passive(self) -> ssl.SSLContext:
        return tls.passive(tickets=self._resume)

    @cached_property
    def _active(self) -> ssl.SSLContext:
        return tls.active()

    def accept(self, listener: socket.socket) -> socket.socket:
        return self._passive.wrap_socket(super().accept(listener), server_side=True)

    def connect(self, address: Address) -> socket.socket:
        return self._active.wrap_socket(super().connect(address), session=self._session)

    def check(self, sock: ssl.SSLSocket) -> None:
        tls.check(sock, self._suite)

    def keep(self, sock: ssl.SSLSocket) -> None:
        self._session = sock.session

    def resumed(self, sock: ssl.SSLSocket) -> bool:
        return bool(sock.session_reused)


class Eno(Plain):
    """pyeno with one AEAD."""

    def __init__(self, aead: pyeno.Aead, resume: bool) -> None:
        self._aead = aead
        self._config = policy(aead, resume)

    def listen(self, host: str) -> socket.socket:
        return nodelay(pyeno.create_server((host, 0), backlog=BACKLOG, config=self._config))

    def connect(self, address: Address) -> socket.socket:
        return nodelay(pyeno.create_connection(address, config=self._config))

    def check(self, sock: pyeno.Socket) -> None:
        check_info(sock.eno, self._aead)

    def resumed(self, sock: pyeno.Socket) -> bool:
        return sock.eno.resumed


def policy(aead: pyeno.Aead, resume: bool) -> pyeno.Config:
    """Encrypted or refused; without ``resume`` every key exchange is a fresh one."""
    return pyeno.Config(aeads=(aead,), require=True, resume=resume, cache=resume)


def check_info(info: pyeno.Info, aead: pyeno.Aead) -> None:
    """BenchError unless it is encrypted, with that AEAD."""
    if not info.encrypted or info.aead is not aead:
        raise BenchError(f"expected a connection encrypted with {aead.name}, got {info!r}")
