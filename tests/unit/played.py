"""Pairs of sockets over loopback TCP whose negotiation the test plays (no BPF)."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pyeno
from pyeno import Config, Reason, Role, kernel
from pyeno._values import Outcome
from pyeno.constants import State
from pyeno.tcpcrypt.connection import Connection

TRANSCRIPT = bytes.fromhex("45032345040123")
TIMEOUT = 10.0


def verdict(role: Role) -> kernel.Result:
    return kernel.Result(
        state=State.ENCRYPTED, reason=Reason.NEGOTIATED, role=role, tep_byte=0x23,
        peer_aware=False, self_aware=0, resumed=False, transcript=TRANSCRIPT,
    )  # fmt: skip


listening_port = [0]


@contextlib.contextmanager
def listening(config: Config | None = None) -> Iterator[pyeno.Socket]:
    with pyeno.create_server(("127.0.0.1", 0), config=config) as listener:
        listener.settimeout(TIMEOUT)
        listening_port[0] = listener.getsockname()[1]
        yield listener


@contextlib.contextmanager
def raw_listening() -> Iterator[socket.socket]:
    """A plain socket that plays host B by hand."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        listening_port[0] = listener.getsockname()[1]
        yield listener


@contextlib.contextmanager
def pair(
    config: Config | None = None, timeout: float | None = TIMEOUT
) -> Iterator[tuple[pyeno.Socket, pyeno.Socket]]:
    """(host A, host B), key exchange complete."""
    with listening(config) as listener:
        accepted: list[pyeno.Socket] = []

        def accept() -> None:
            accepted.append(listener.accept()[0])
            accepted[0].do_handshake()

        thread = threading.Thread(target=accept)
        thread.start()
        a = pyeno.create_connection(listener.getsockname(), TIMEOUT, config=config)
        thread.join()
        b = accepted[0]
        a.settimeout(timeout)
        b.settimeout(timeout)
        try:
            yield a, b
        finally:
            a.close()
            b.close()


@contextlib.contextmanager
def raw_peer(config: Config | None = None) -> Iterator[tuple[socket.socket, pyeno.Socket]]:
    """A plain socket that plays host A by hand, and host B's accepted socket."""
    with listening(config) as listener:
        peer = socket.create_connection(listener.getsockname(), TIMEOUT)
        b, _ = listener.accept()
        b.settimeout(TIMEOUT)
        with peer, b:
            yield peer, b


def hand_made(peer: socket.socket, b: pyeno.Socket) -> Connection:
    """Host A's sans-IO connection over ``peer``, key exchange complete."""
    a = Connection(
        Outcome(Reason.NEGOTIATED, Role.A, tep_byte=0x23, transcript=TRANSCRIPT), Config()
    )
    peer.sendall(a.data_to_send())
    b.do_handshake()
    while not a.established:
        a.receive_data(peer.recv(4096))
    return a
