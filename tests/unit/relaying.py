"""A program's connection, an engine, and a peer's: loopback TCP, the negotiation played."""

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from unit.played import TIMEOUT, hand_made, pair, raw_peer

import pyeno
from pyeno import Config
from pyeno.relay.engine import End, Engine
from pyeno.tcpcrypt.connection import Connection

MUCH = bytes(range(256)) * (1 << 15)
"""8 MiB: more than loopback's buffers hold"""
TOKEN = 7


class Carried(NamedTuple):
    engine: Engine
    program: socket.socket
    """the program's end of near"""
    peer: socket.socket
    """the other end of far"""

    def end(self) -> End:
        """Of the one pair; waits for it."""
        assert select.select([self.engine], [], [], TIMEOUT)[0], self.engine.connections()
        (end,) = self.engine.ended()
        assert end.token == TOKEN
        return end

    def both_ways(self) -> tuple[tuple[socket.socket, socket.socket], ...]:
        """(sender, receiver)"""
        return (self.program, self.peer), (self.peer, self.program)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname(), TIMEOUT)
        other, _ = listener.accept()
        other.settimeout(TIMEOUT)
        return one, other


@contextlib.contextmanager
def engine_between(near: socket.socket, far: socket.socket) -> Iterator[Engine]:
    with Engine() as engine:
        engine.add(near, far, TOKEN)
        assert near.fileno() == far.fileno() == -1
        yield engine


@contextlib.contextmanager
def carried(config: Config | None = None) -> Iterator[Carried]:
    """To a pyeno.Socket."""
    program, near = tcp_pair()
    with program, near, pair(config) as (a, b), engine_between(near, a) as engine:
        yield Carried(engine, program, b)


@contextlib.contextmanager
def carried_plain() -> Iterator[Carried]:
    """To a plain socket."""
    program, near = tcp_pair()
    peer, far = tcp_pair()
    with program, near, peer, far, engine_between(near, far) as engine:
        yield Carried(engine, program, peer)


@contextlib.contextmanager
def carried_by_hand(config: Config | None = None) -> Iterator[tuple[Carried, Connection]]:
    """To a plain socket whose frames the test makes itself."""
    program, near = tcp_pair()
    with program, near, raw_peer(config) as (peer, b):
        connection = hand_made(peer, b)
        with engine_between(near, b) as engine:
            yield Carried(engine, program, peer), connection


def read(sock: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        part = sock.recv(min(size - len(got), 1 << 18))
        assert part, f"end of stream after {len(got)} of {size} bytes"
        got += part
    return bytes(got)


def read_frames(peer: socket.socket, connection: Connection, size: int) -> bytes:
    """Application bytes, by hand."""
    got = connection.read(size)
    while len(got) < size:
        part = peer.recv(1 << 16)
        assert part
        connection.receive_data(part)
        got += connection.read(size)
    return got


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def is_reset(sock: socket.socket) -> bytes | None:
    """What came before the RST; None if the stream ended otherwise."""
    got = bytearray()
    sock.settimeout(TIMEOUT)
    try:
        while part := sock.recv(1 << 16):
            got += part
    except (ConnectionResetError, pyeno.RemoteProtocolError):
        return bytes(got)
    return None


def send_in_pieces(sock: socket.socket, data: bytes, seed: int) -> None:
    """Cut at odd places."""
    random = Random(seed)
    at = 0
    while at < len(data):
        size = random.choice([1, 7, 100, 1400, 14_000, 65_518, 65_519, 200_000])
        sock.sendall(data[at : at + size])
        at += size


def in_background(work: threading.Thread) -> threading.Thread:
    work.start()
    return work


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)
