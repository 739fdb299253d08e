"""Whose cached sessions are, and who flushes which (RFC 8548 section 3.5)."""

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
from wire import bpfmaps
from wire.conftest import Attached
from wire.connect import OFFER, listen
from wire.netns import Wire
from wire.sessions import (
    CONNECTION,
    SCOPE,
    USER,
    Keeper,
    assert_fresh,
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
