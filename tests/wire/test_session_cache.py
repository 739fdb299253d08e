"""Whose sessions they are, how often one is used, and how they end."""

import contextlib
import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from wire import bpfmaps
from wire.conftest import Attached
from wire.connect import OFFER, Setup, disconnect, listen
from wire.netns import Wire
from wire.sessions import (
    CONNECTION,
    SCOPE,
    USER,
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
TCP = socket.IPPROTO_TCP
SESSION_KEY, SESSION, SESSIONS_MAX = 40, 80, 16384


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


# -- whose ---------------------------------------------------------------------------------


def test_another_token(wire: Wire, keeper: Keeper, token: bytes) -> None:
    """Sessions made under one policy are not resumed under another, on either side."""
    session = keeper.prime()
    with keeper.met(keeps(os.urandom(8))) as ends:
        assert_fresh(ends)
        assert ends.seen.syns()[0].eno == (OFFER,)
    keeper.listen_as(keeps(os.urandom(8)))
    with keeper.met(says(proposal(session))) as ends:
        assert_fresh(ends)
    keeper.listen_as(keeps(token))
    with keeper.met() as ends:
        assert_resumed(ends, session)


def test_another_user(wire: Wire, keeper: Keeper, token: bytes) -> None:
    """Each user sees their own; a socket is whose process configured it."""
    session = keeper.prime()

    def nobodys(sock: socket.socket) -> None:
        assert child(lambda: keeps(token)(sock) is not None or True, uid=65534)

    with keeper.met(nobodys) as ends:
        assert_fresh(ends)
        assert ends.seen.syns()[0].eno == (OFFER,)
        own = fresh()
        put(ends.a, own)
    keeper.listen_as(nobodys)
    with keeper.met(says(proposal(session))) as ends:
        assert_fresh(ends)
    with keeper.met(nobodys) as ends:  # their own
        assert ends.seen.syns()[0].eno == (proposal(own, ends.seen.syns()[0].eno[0][12:]),)
    keeper.listen_as(keeps(token))
    with keeper.met() as ends:
        assert_resumed(ends, session)


def test_unprivileged_users_resume(keeper: Keeper, token: bytes) -> None:
    """No privilege is needed, by either host, once it is attached."""
    session = fresh()

    def put_as_nobody(sock: socket.socket) -> bool:
        return child(lambda: put(sock, session) is None, uid=65534)

    def nobodys(sock: socket.socket) -> None:
        assert child(lambda: bool(keeps(token)(sock)) or True, uid=65534)

    with keeper.met(nobodys) as ends:
        assert put_as_nobody(ends.a)
        put(ends.b, opposite(session))
    with keeper.met(nobodys) as ends:
        assert ends.active.resumed
        assert child(lambda: take(ends.a) == session.ss, uid=65534)


def test_maps_are_roots(keeper: Keeper, attached: Attached) -> None:
    """Other users cannot open the pinned maps (docs/socket-options.md)."""
    keeper.prime()
    pin = attached.pin / "maps" / "eno_sessions"

    def open_it() -> bool:
        try:
            bpfmaps.entries(pin)
        except OSError as error:
            return error.errno in (errno.EACCES, errno.EPERM)
        return False

    assert child(open_it, uid=65534)


def test_another_network_namespace(wire: Wire, keeper: Keeper, token: bytes) -> None:
    """The same address, port, user and token, but not the same network."""
    session = keeper.prime()
    with wire.b.socket() as own:
        keeps(token)(own)
        own.connect(keeper.address)  # b's own address, by loopback
        keeper.listener.accept()[0].close()
        assert not kernel.result(own).resumed
    with listen(wire.a, wire.a.ip4, keeps(token)) as elsewhere, wire.b.socket() as b:
        says(proposal(session))(b)
        b.connect(elsewhere.getsockname())
        elsewhere.accept()[0].close()
        assert kernel.result(b).state is State.ENCRYPTED and not kernel.result(b).resumed
    with keeper.met() as ends:
        assert_resumed(ends, session)


def test_the_hosts_policy(keeper: Keeper, token: bytes, change: Callable[..., Any]) -> None:
    """What the administrator forbids is neither proposed nor agreed to."""
    keeper.listen_as(keeps(token, "2123"))
    session, other = keeper.prime(), keeper.prime(active=False)
    change(teps=(0x21,))
    with keeper.met(keeps(token, "2123")) as ends:
        assert_fresh(ends, 0x21)
        assert ends.seen.syns()[0].eno == (bytes.fromhex("450321"),)
    change(teps=None)
    with keeper.met(keeps(token, "2123")) as ends:
        assert ends.active.resumed and take(ends.a) in (session.ss, other.ss)


# -- flush -----------------------------------------------------------------------------


@pytest.mark.rfc("8548:3.5-39")
def test_flush_of_a_connection(keeper: Keeper) -> None:
    """ "any cache state that ... resulted from establishing the connection"."""
    first = keeper.prime()
    second = first.next()
    with keeper.met() as ends:
        assert_resumed(ends, first)
        flush(ends.a, CONNECTION)  # nothing yet
        put(ends.a, second)
        put(ends.b, opposite(second))
        third = keeper.prime()
        flush(ends.a, CONNECTION)
        flush(ends.a, CONNECTION)
    with keeper.met() as ends:
        assert_resumed(ends, third)
    with keeper.met() as ends:
        assert_fresh(ends)
        assert ends.seen.syns()[0].eno == (OFFER,)
    with keeper.met(says(proposal(second))) as ends:  # b's own was not flushed
        assert ends.passive.resumed


@pytest.mark.parametrize("what", [SCOPE, USER])
def test_flush_of_a_scope_and_of_a_user(
    wire: Wire, keeper: Keeper, attached: Attached, what: int
) -> None:
    """All of this token, or of any; in this network namespace, of this user."""
    keeper.prime()
    with Keeper(wire, os.urandom(8)) as other:
        session = other.prime()
        before = len(cached(attached.pin))
        with wire.a.socket() as sock:
            if what == SCOPE:
                keeps(keeper.token)(sock)
            flush(sock, what)
        assert len(cached(attached.pin)) < before
        with other.met() as ends:
            if what == SCOPE:
                assert_resumed(ends, session)
            else:
                assert_fresh(ends)
                assert ends.seen.syns()[0].eno == (OFFER,)
    with keeper.met() as ends:
        assert_fresh(ends)
        assert ends.seen.syns()[0].eno == (OFFER,)


def test_flush_leaves_other_users_alone(wire: Wire, keeper: Keeper) -> None:
    session = keeper.prime()
    for host in (wire.a, wire.b):
        with host.socket() as sock:
            assert child(lambda s=sock: flush(s, USER) is None, uid=65534)
    with keeper.met() as ends:
        assert_resumed(ends, session)


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
