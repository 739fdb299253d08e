"""The relay's engine between a program's plain socket and a pyeno.Socket at the peer (played
negotiation, kernel TCP over loopback)."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from unit.played import TIMEOUT, pair

import pyeno
from pyeno import Config
from pyeno.relay.engine import End, Engine

pytestmark = pytest.mark.usefixtures("negotiated")
MUCH = bytes(range(256)) * (1 << 15)
"""8 MiB: more than loopback's buffers hold"""


class Carried(NamedTuple):
    engine: Engine
    program: socket.socket
    """the program's end of near"""
    peer: pyeno.Socket
    """the other end of far"""

    def end(self) -> End:
        return end_of(self.engine)


def end_of(engine: Engine) -> End:
    assert select.select([engine], [], [], TIMEOUT)[0], engine.connections()
    (end,) = engine.ended()
    return end


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname(), TIMEOUT)
        other, _ = listener.accept()
        other.settimeout(TIMEOUT)
        return one, other


@contextlib.contextmanager
def carried(config: Config | None = None) -> Iterator[Carried]:
    program, near = tcp_pair()
    with Engine() as engine, pair(config) as (a, b), program, near:
        engine.add(near, a, 7)
        assert near.fileno() == a.fileno() == -1
        yield Carried(engine, program, b)


def read(sock: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        part = sock.recv(1 << 18)
        assert part
        got += part
    return bytes(got)


@pytest.mark.parametrize("size", [1, 100, 13_999, 65_518, 65_519, 300_000, len(MUCH)])
def test_every_size_both_ways(size: int) -> None:
    with carried() as c:
        for here, there in ((c.program, c.peer), (c.peer, c.program)):
            thread = threading.Thread(target=here.sendall, args=(MUCH[:size],))
            thread.start()
            assert read(there, size) == MUCH[:size]
            thread.join()


def test_fin_each_way_by_itself() -> None:
    with carried() as c:
        c.program.sendall(b"question")
        c.program.shutdown(socket.SHUT_WR)
        assert read(c.peer, 8) == b"question"
        assert c.peer.recv(1) == b""
        c.peer.sendall(b"answer")
        assert read(c.program, 6) == b"answer"
        assert not c.engine.ended()
        c.peer.close()
        assert c.program.recv(1) == b""
        assert c.end() == End(7, 8, 6, "fin", 0)
