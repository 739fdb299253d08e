"""How often a cached session is used, and how its secret ends (RFC 8548 section 3.5)."""

import contextlib
import os
import socket
import struct
import threading
import time

import pytest
from wire import bpfmaps
from wire.conftest import Attached
from wire.connect import OFFER, Setup, disconnect
from wire.netns import Wire
from wire.sessions import (
    SCOPE,
    Keeper,
    assert_fresh,
    assert_nothing_to_take,
    assert_resumed,
    cached,
    child,
    flush,
    fresh,
    keeps,
    opposite,
    proposal,
    put,
    says,
    take,
)

from pyeno import kernel
from pyeno.constants import State

pytestmark = pytest.mark.wire
SESSION, SESSIONS_MAX = 80, 16384


# -- used once ---------------------------------------------------------------------------


@pytest.mark.rfc("8548:3.5-30")
def test_racing_openers_propose_it_once(keeper: Keeper, wire: Wire) -> None:
    """Many connections at one moment: one resumes, the others exchange keys."""
    for _ in range(3):
        session = keeper.prime()
        secrets, results = race(keeper, keeper.active, 12)
        assert secrets == [session.ss] * 2
        assert all(r.state is State.ENCRYPTED for r in results)
        assert sum(r.resumed for r in results) == 2


@pytest.mark.rfc("8548:3.5-30", "8548:3.5-31")
def test_racing_proposals_are_accepted_once(keeper: Keeper, wire: Wire) -> None:
    """Hosts that copied each other's memory, or a replayed SYN."""
    for _ in range(3):
        session = keeper.prime(active=False)
        option = proposal(session, bytes(4))
        secrets, results = race(keeper, says(option), 12)
        assert secrets == [session.ss]
        assert all(r.state is State.ENCRYPTED for r in results)
        # the openers, whose option was given as a whole, believe what they are told
        assert sum(r.resumed for r in results) == 2


def race(keeper: Keeper, setup: Setup, count: int) -> tuple[list[bytes], list[kernel.Result]]:
    """Every secret that either end of `count` connections got, and all verdicts."""
    secrets: list[bytes] = []
    results: list[kernel.Result] = []
    gate = threading.Barrier(count)
    keeper.listener.listen(count)

    def settle(sock: socket.socket) -> None:
        results.append(kernel.result(sock))
        with contextlib.suppress(OSError):
            secrets.append(take(sock))

    def opener(sock: socket.socket) -> None:
        setup(sock)
        gate.wait()
        sock.connect(keeper.address)
        sock.sendall(b"x")
        settle(sock)

    with contextlib.ExitStack() as stack:
        threads = []
        for _ in range(count):
            sock = stack.enter_context(keeper.opener.socket())
            threads.append(threading.Thread(target=opener, args=[sock]))
            threads[-1].start()
        for _ in range(count):
            accepted = stack.enter_context(keeper.listener.accept()[0])
            assert accepted.recv(1) == b"x"
            settle(accepted)
        for thread in threads:
            thread.join()
    return secrets, results


def test_forked_processes_take_it_once(keeper: Keeper) -> None:
    """One connection, two processes: who asks first has the secret."""
    session = keeper.prime()
    with keeper.met() as ends:
        assert child(lambda: take(ends.b) == session.ss)
        assert_nothing_to_take(ends.b)


def test_listeners_of_a_port_share_sessions(wire: Wire, token: bytes) -> None:
    """SO_REUSEPORT: whichever listener the next SYN reaches."""

    with contextlib.ExitStack() as stack:
        group = [stack.enter_context(wire.b.socket()) for _ in range(3)]
        address = wire.b.ip4, 0
        for sock in group:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
            address = sock.getsockname()
            keeps(token)(sock)
            sock.listen()
            sock.setblocking(False)
        session, reached = None, set()
        for _ in range(40):
            with wire.a.socket() as a:
                keeps(token)(a)
                a.connect(address)
                which, b = accepted_by(group)
                with b:
                    assert kernel.result(b).resumed is kernel.result(a).resumed
                    assert kernel.result(b).resumed is (session is not None)
                    if session is not None:
                        assert take(a) == take(b) == session.ss
                    session = fresh() if session is None else session.next()
                    put(a, session)
                    put(b, opposite(session))
                reached.add(which)
        assert reached == {0, 1, 2}


def accepted_by(group: list[socket.socket]) -> tuple[int, socket.socket]:
    for _ in range(1000):
        for which, sock in enumerate(group):
            with contextlib.suppress(BlockingIOError):
                return which, sock.accept()[0]
        time.sleep(0.001)
    raise AssertionError("no listener got the connection")


# -- memory ------------------------------------------------------------------------------


def test_secrets_leave_the_map(keeper: Keeper, attached: Attached) -> None:
    """Claimed, flushed or expired: no entry holds it any more."""
    for end in ("claimed", "flushed", "expired"):
        session = keeper.prime(lifetime=1 if end == "expired" else 600)
        assert sum(session.ss in value for value in cached(attached.pin)) == 2
        if end == "flushed":
            for host in (keeper.host, keeper.opener):
                with host.socket() as sock:
                    keeps(keeper.token)(sock)
                    flush(sock, SCOPE)
        elif end == "expired":
            time.sleep(1.1)
            with keeper.met() as ends:  # a meets its own
                assert_fresh(ends)
            with keeper.met(says(proposal(session))) as ends:  # b meets its own
                assert_fresh(ends)
        else:
            with keeper.met() as ends:
                assert_resumed(ends, session)
        assert not any(session.ss in value for value in cached(attached.pin)), end
        requests = bpfmaps.values(attached.pin / "maps" / "eno_requests")
        assert not any(session.ss in value for value in requests), end


@pytest.mark.rfc("8548:3.5-27")
def test_a_full_cache_forgets_the_least_recently_used(
    keeper: Keeper, attached: Attached
) -> None:
    """Bounded: the rest is a fresh key exchange."""
    keeper.prime()

    def others(cpu):  # type: ignore[no-untyped-def]
        for number in range(2 * SESSIONS_MAX):
            key = struct.pack("=QQQ", 1, 2, cpu) + struct.pack("=BQ7x", 0x23, number)
            yield key, struct.pack("=IHBBQ", 0, 1, 0, 0x23, 1 << 62).ljust(SESSION, b"\0")

    pin = attached.pin / "maps" / "eno_sessions"
    cpus = os.sched_getaffinity(0)
    try:
        for cpu in cpus:  # what was put last by one of them the others leave alone
            os.sched_setaffinity(0, {cpu})
            bpfmaps.fill(pin, others(cpu))
        os.sched_setaffinity(0, cpus)
        assert bpfmaps.entries(pin) <= SESSIONS_MAX
        with keeper.met() as ends:
            assert_fresh(ends)
            assert ends.seen.syns()[0].eno == (OFFER,)
        session = keeper.prime()
        with keeper.met() as ends:
            assert_resumed(ends, session)
    finally:
        os.sched_setaffinity(0, cpus)
        bpfmaps.clear(pin)


def test_many_sessions_with_one_peer(keeper: Keeper) -> None:
    """A pool of connections leaves many: 16 of them are proposed, each once."""
    made = [keeper.prime() for _ in range(20)]
    used = []
    while True:
        with keeper.met() as ends:
            if not ends.active.resumed:
                break
            used.append(take(ends.a))
            assert take(ends.b) == used[-1]
    assert len(set(used)) == len(used) == 16
    assert set(used) <= {session.ss for session in made}
    assert made[-1].ss in used and made[0].ss not in used


def test_reconnecting_a_socket(keeper: Keeper) -> None:
    """What the first connection put, or could still take, is not the second's."""
    session = keeper.prime()
    with keeper.met() as ends:
        put(ends.a, session.next())
        disconnect(ends.a)
        ends.a.connect(keeper.address)
        with keeper.listener.accept()[0] as b:
            # it proposed its own, which b never had
            assert not kernel.result(ends.a).resumed and not kernel.result(b).resumed
            assert_nothing_to_take(ends.a)
        put(ends.a, fresh())


def test_a_closed_connection_has_no_secret(keeper: Keeper) -> None:
    """Nobody took it: wiped with the connection, not with the memory."""
    keeper.prime()
    with keeper.met(exchange=False) as ends:
        ends.b.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        ends.b.close()
        time.sleep(0.1)
        assert ends.active.resumed
        assert_nothing_to_take(ends.a)
