"""A session secret secures one connection: under threads, process pools and forks
(RFC 8548 section 3.5)."""

import json
import multiprocessing
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from wire.netns import Wire
from wire.pairs import dialled, served
from wire.resuming import TIMEOUT, Server, call, echoed

import pyeno
from pyeno.errors import LocalProtocolError

pytestmark = pytest.mark.wire

CROWD = 24


def connected(wire: Wire, address: Any) -> pyeno.Info:
    return echoed(dialled(wire, address))


@pytest.mark.rfc("8548:3.5-30", "8548:3.5-31")
def test_threads(wire: Wire) -> None:
    """Many at once: those that find no session unused exchange keys, all are encrypted."""
    with Server(wire.b) as server, ThreadPoolExecutor(CROWD) as pool:
        first = call(wire.a, server)
        opened = list(pool.map(lambda _: connected(wire, server.address), range(3 * CROWD)))
        accepted = [server.info() for _ in opened]
    assert all(info.encrypted for info in (*opened, *accepted))
    ids = {info.session_id: info.resumed for info in opened}
    assert ids == {info.session_id: info.resumed for info in accepted}
    assert len(ids) == len(opened) and first.session_id not in ids
    assert any(ids.values())
    named = [info.transcript[:13] for info in opened if info.resumed]
    assert len(set(named)) == len(named), "one session resumed twice"


@pytest.mark.rfc("8548:3.5-30", "8548:3.5-31")
def test_both_open_at_once(wire: Wire) -> None:
    """Section 3.5: "two hosts simultaneously send SYN segments to each other that propose
    resumption with the same session secret": at most one of the two resumes it."""
    with Server(wire.b) as in_b, Server(wire.a) as in_a, ThreadPoolExecutor(2) as pool:
        call(wire.a, in_b)
        for _ in range(10):
            ways = pool.map(lambda way: call(*way), [(wire.a, in_b), (wire.b, in_a)])
            one, two = ways
            assert one.session_id != two.session_id


def _open(namespace: Any, address: Any, answers: Any) -> None:
    sock = namespace.inside(lambda: pyeno.create_connection(address, TIMEOUT))
    info = echoed(sock)
    answers.put((info.session_id, info.resumed))


@pytest.mark.rfc("8548:3.5-30")
def test_a_pool_of_openers(wire: Wire) -> None:
    """Forked processes share the kernel's cache, never a secret."""
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    with Server(wire.b) as server:
        call(wire.a, server)
        pool = [
            fork.Process(target=_open, args=(wire.a, server.address, answers)) for _ in range(8)
        ]
        for process in pool:
            process.start()
        opened = dict(answers.get(timeout=2 * TIMEOUT) for _ in pool)
        for process in pool:
            process.join()
        accepted = {info.session_id: info.resumed for info in (server.info() for _ in pool)}
        assert opened == accepted and len(opened) == 8
        assert any(opened.values())


def serve_one(sock: pyeno.Socket) -> dict[str, Any]:
    sock.settimeout(TIMEOUT)
    with sock:
        while data := sock.recv(1 << 16):
            sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return sock.eno.as_dict()


def forked(body: Any, answers: int) -> int:
    """A child that writes what `body` gives as one line; its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        for answer in body():
            os.write(answers, json.dumps(answer).encode() + b"\n")
        status = 0
    finally:
        os._exit(status)


def lines(descriptor: int, count: int) -> list[dict[str, Any]]:
    with os.fdopen(descriptor, "rb") as stream:
        return [json.loads(stream.readline()) for _ in range(count)]


def test_a_preforked_server(wire: Wire) -> None:
    """Whichever child accepts, the session another child left is resumed."""
    reading, writing = os.pipe()
    turns, children = 12, 4
    with served(wire) as listener:
        listener.settimeout(None)

        def accepting() -> Any:
            while True:
                yield serve_one(listener.accept()[0])

        pids = [forked(accepting, writing) for _ in range(children)]
        try:
            # each waits for the last one's echo, so its server has put its session
            opened = [connected(wire, listener.getsockname()) for _ in range(turns)]
            accepted = lines(reading, turns)
        finally:
            for pid in pids:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
            os.close(writing)
    assert [info.resumed for info in opened] == [False] + (turns - 1) * [True]
    ids = {info.session_id.hex() for info in opened}
    assert len(ids) == turns and ids == {one["session_id"] for one in accepted}


def test_a_group_of_listeners(wire: Wire) -> None:
    """SO_REUSEPORT: whichever of the group the kernel chooses."""
    turns, reading, writing = 12, *os.pipe()

    def listening(port: int) -> pyeno.Socket:
        address = wire.b.ip4, port
        return wire.b.inside(lambda: pyeno.create_server(address, reuse_port=True))

    with listening(0) as one, listening(one.getsockname()[1]) as other:

        def accepting(listener: pyeno.Socket) -> Any:
            while True:
                yield serve_one(listener.accept()[0])

        pids = [forked(lambda each=each: accepting(each), writing) for each in (one, other)]
        try:
            opened = [connected(wire, one.getsockname()) for _ in range(turns)]
            accepted = lines(reading, turns)
        finally:
            for pid in pids:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
            os.close(writing)
    assert [info.resumed for info in opened] == [False] + (turns - 1) * [True]
    assert {info.session_id.hex() for info in opened} == {a["session_id"] for a in accepted}


def test_accept_then_fork(wire: Wire) -> None:
    """The child takes the secret; the parent, which only closes, disturbs nothing."""
    with served(wire) as listener:
        for turn in range(4):
            reading, writing = os.pipe()
            opening = ThreadPoolExecutor(1)
            opened = opening.submit(connected, wire, listener.getsockname())
            conn, _ = listener.accept()
            pid = forked(lambda conn=conn: [serve_one(conn)], writing)
            conn.close()
            os.close(writing)
            (accepted,) = lines(reading, 1)
            assert os.waitpid(pid, 0)[1] == 0
            assert opened.result().session_id.hex() == accepted["session_id"]
            assert accepted["resumed"] is opened.result().resumed is (turn > 0)


def test_the_parent_cannot_use_what_its_child_took(wire: Wire) -> None:
    with served(wire) as listener:
        one = ThreadPoolExecutor(1).submit(connected, wire, listener.getsockname())
        serve_one(listener.accept()[0])
        one.result()
        with dialled(wire, listener.getsockname()) as a:
            assert a.eno.resumed
            conn, _ = listener.accept()
            conn.settimeout(TIMEOUT)
            child = os.fork()
            if child == 0:
                try:
                    conn.sendall(b"from the child")
                    assert conn.recv(99) == b"go on"
                    conn.shutdown(socket.SHUT_WR)
                    os._exit(0)
                finally:
                    os._exit(1)
            assert a.recv(99) == b"from the child"
            for _ in range(2):
                with pytest.raises(LocalProtocolError, match="another process"):
                    conn.recv(1)
            a.sendall(b"go on")
            assert a.recv(99) == b"" and os.waitpid(child, 0)[1] == 0
            conn.close()


def test_children_cannot_use_the_parents(wire: Wire) -> None:
    with Server(wire.b) as server:
        call(wire.a, server)
        with dialled(wire, server.address) as sock:
            assert sock.eno.resumed
            child = os.fork()
            if child == 0:
                try:
                    sock.sendall(b"x")
                except LocalProtocolError:
                    os._exit(7)
                os._exit(1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            assert echoed(sock).resumed
