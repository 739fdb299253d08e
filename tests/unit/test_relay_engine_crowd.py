"""Many pairs of one engine: memory, descriptors, threads (played negotiation)."""

import contextlib
import itertools
import os
import resource
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from unit.played import TIMEOUT, listening, pair
from unit.relaying import (
    MUCH,
    Carried,
    carried,
    carried_plain,
    in_background,
    read,
    tcp_pair,
)

import pyeno
from pyeno.relay.engine import Engine

pytestmark = pytest.mark.usefixtures("negotiated")

KIB = 1 << 10


@contextlib.contextmanager
def crowd(count: int, *, plain: bool = False) -> Iterator[list[Carried]]:
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(Engine())
        there: list[Carried] = []
        for n in range(count):
            program, near = tcp_pair()
            peer, far = tcp_pair() if plain else reversed(stack.enter_context(pair()))
            stack.enter_context(program)
            stack.enter_context(peer)
            engine.add(near, far, n)
            there.append(Carried(engine, program, peer))
        yield there


@contextlib.contextmanager
def descriptors(count: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("plain", [False, True])
def test_a_thousand_pairs(plain: bool) -> None:
    """Each gets its own bytes, whatever the others do."""
    with descriptors(8192), crowd(1000, plain=plain) as pairs:
        random = Random(1)
        for round_ in range(3):
            random.shuffle(pairs)
            for n, c in enumerate(pairs):
                c.program.sendall(b"%d of %d" % (n, round_))
            for n, c in enumerate(pairs):
                expected = b"%d of %d" % (n, round_)
                assert read(c.peer, len(expected)) == expected
                c.peer.sendall(expected)
            for n, c in enumerate(pairs):
                expected = b"%d of %d" % (n, round_)
                assert read(c.program, len(expected)) == expected
        engine = pairs[0].engine
        assert len(engine.connections()) == engine.counters().active == 1000
        for c in pairs:
            c.program.close()
            c.peer.close()
        left = 1000
        while left:
            for end in engine.ended():
                assert end.end == "fin"
                left -= 1
        assert engine.counters().active == 0


def test_many_large_transfers_at_once() -> None:
    with descriptors(8192), crowd(30) as pairs:
        size = 1_000_003

        def transfer(c: Carried, out: bool) -> None:
            here, there = c.both_ways()[out]
            thread = in_background(threading.Thread(target=here.sendall, args=(MUCH[:size],)))
            assert read(there, size) == MUCH[:size]
            thread.join()
            done.append(1)

        done: list[int] = []
        threads = [
            in_background(threading.Thread(target=transfer, args=(c, out)))
            for c in pairs
            for out in (False, True)
        ]
        for thread in threads:
            thread.join()
        assert len(done) == 60


@contextlib.contextmanager
def in_a_child(work: Callable[[Callable[[object], None]], None]) -> Iterator[Callable[[], str]]:
    """``work`` tells the parent something and waits to be told to go on, again and again."""
    here, there = socket.socketpair()

    def tell(what: object) -> None:
        there.sendall(f"{what}\n".encode())
        there.recv(1)

    def ask() -> str:
        answer = here.makefile().readline().strip()
        here.sendall(b"x")
        return answer

    with here, there:
        here.settimeout(TIMEOUT)
        pid = os.fork()
        if pid == 0:
            try:
                work(tell)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        try:
            yield ask
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def stall(sock: socket.socket, sizes: Sequence[int]) -> None:
    """Send until nothing moves any more."""
    sock.settimeout(0.05)
    with contextlib.suppress(TimeoutError):
        for size in itertools.cycle(sizes):
            sock.send(MUCH[:size])


@pytest.mark.parametrize("sizes", [[65_518], [16_000], [100, 65_518, 30_000], [14_000, 65_518]])
def test_memory_of_idle_and_of_stalled_pairs(sizes: list[int]) -> None:
    """At most 16 KiB of an idle pair, and 64 KiB of one both of whose readers have stopped,
    whatever the sizes of frames: all pairs of the engine are in that state together."""
    count = 12
    with listening() as listener, socket.create_server(("127.0.0.1", 0)) as programs:
        programs.settimeout(TIMEOUT)

        def work(tell: Callable[[object], None]) -> None:
            with Engine() as engine:
                for n in range(2 * count):  # the first ones use what Python has spare
                    near = socket.create_connection(programs.getsockname())
                    far = pyeno.create_connection(listener.getsockname(), TIMEOUT)
                    if n == count:
                        before = resident()
                    engine.add(near, far, n)
                tell(resident() - before)
                tell(resident() - before)

        with in_a_child(work) as ask, contextlib.ExitStack() as stack:
            ends = []
            for _ in range(2 * count):
                program = stack.enter_context(programs.accept()[0])
                peer = stack.enter_context(listener.accept()[0])
                peer.do_handshake()
                ends.append((program, peer))
            assert int(ask()) < count * 16 * KIB
            for sock in itertools.chain(*ends):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
                stall(sock, sizes)
            assert int(ask()) < 2 * count * 64 * KIB


def test_without_descriptors_for_pipes_plain_pairs_are_copied() -> None:
    with carried_plain() as c:
        held = []
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limit[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                while True:
                    held.append(os.dup(0))
            for here, there in c.both_ways():
                thread = in_background(threading.Thread(target=here.sendall, args=(MUCH,)))
                assert read(there, len(MUCH)) == MUCH
                thread.join()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            for number in held:
                os.close(number)


def test_no_descriptor_is_left() -> None:
    def open_ones() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with carried() as c:
        c.program.sendall(b"x")
        assert read(c.peer, 1) == b"x"
    del c
    before = open_ones()
    for way in (carried, carried_plain):
        for _ in range(3):
            with way() as c:
                c.program.sendall(b"x")
                assert read(c.peer, 1) == b"x"
            del c
    assert open_ones() == before


def test_pairs_come_and_go_in_all_threads() -> None:
    """add(), ended() and counters() while others do the same."""
    engine = Engine()
    lock = threading.Lock()
    seen: list[int] = []

    def work(base: int) -> None:
        for n in range(40):
            program, near = tcp_pair()
            peer, far = tcp_pair()
            engine.add(near, far, base + n)
            program.sendall(b"x" * 1000)
            assert read(peer, 1000) == b"x" * 1000
            assert base + n in {pair.token for pair in engine.connections()}
            program.close()
            peer.close()
            with lock:
                seen.extend(end.token for end in engine.ended())

    with engine:
        threads = [
            in_background(threading.Thread(target=work, args=(base,)))
            for base in range(0, 400, 100)
        ]
        for thread in threads:
            thread.join()
        while len(seen) < 160:
            seen.extend(end.token for end in engine.ended())
    assert sorted(seen) == sorted(base + n for base in range(0, 400, 100) for n in range(40))


def test_a_killed_process_leaves_resets() -> None:
    """Never a clean end of what it was carrying."""
    program, near = tcp_pair()
    peer, far = tcp_pair()
    with program, near, peer, far:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            engine = Engine()
            program.close()
            peer.close()
            engine.add(near, far, 1)
            while engine.progress(1)[0] < 1:
                pass
            os.write(writing, b"x")
            threading.Event().wait()
        near.close()
        far.close()
        program.sendall(b"x")
        assert read(peer, 1) == b"x"
        assert os.read(reading, 1) == b"x"
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for sock in (program, peer):
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        os.close(reading)
        os.close(writing)


def test_sockets_that_are_not_tcp() -> None:
    """A program may be reached through AF_UNIX."""
    program, near = socket.socketpair()
    peer, far = tcp_pair()
    with program, near, peer, far, Engine() as engine:
        engine.add(near, far, 1)
        program.settimeout(TIMEOUT)
        for here, there in ((program, peer), (peer, program)):
            thread = in_background(threading.Thread(target=here.sendall, args=(MUCH,)))
            assert read(there, len(MUCH)) == MUCH
            thread.join()
