"""The channel binding of each kind of connection, and the application-aware bit."""

import asyncio
import socket

import anyio
import pytest
from unit.looped import Drive, served
from unit.played import TRANSCRIPT, pair, verdict
from unit.proving import SESSION_ID

import pyeno
from pyeno import Config, NotEncryptedError, Reason, Role, kernel
from pyeno._values import Outcome
from pyeno.aio.stream import connect_eno
from pyeno.auth import (
    Authenticated,
    ChannelBinding,
    NotAuthenticated,
    WhyNot,
    channel_binding,
    if_aware,
    unaware,
)
from pyeno.auth.aio import if_aware as if_aware_async
from pyeno.constants import State
from pyeno.sockets.info import Info
from pyeno.tcpcrypt.connection import Connection

PLAIN = kernel.NOT_CONFIGURED._replace(state=State.DISABLED, reason=Reason.SYN_WITHOUT_ENO)


def info(self_aware: int = 0, peer_aware: bool = False) -> Info:
    """Of an encrypted connection whose key exchange is not complete."""
    result = verdict(Role.A)._replace(self_aware=self_aware, peer_aware=peer_aware)
    outcome = Outcome(Reason.NEGOTIATED, Role.A, tep_byte=0x23, transcript=TRANSCRIPT)
    return Info(result, Connection(outcome, Config()))


@pytest.mark.rfc("8547:5.1-4")
def test_the_value() -> None:
    """Its name, the role, the whole session ID: nothing of it may be picked apart."""
    a, b = ChannelBinding(Role.A, SESSION_ID), ChannelBinding(Role.B, SESSION_ID)
    assert a.local == b"tcp-enoA" + SESSION_ID == b.remote == b.of(Role.A)
    assert a.remote == b"tcp-enoB" + SESSION_ID == b.local
    assert a.local != a.remote
    assert SESSION_ID.hex() not in repr(a) and repr(SESSION_ID) not in repr(a)


@pytest.mark.usefixtures("negotiated")
def test_of_sockets() -> None:
    with pair() as (a, b):
        one, two = channel_binding(a), channel_binding(b)
        assert (one.role, two.role) == (Role.A, Role.B)
        assert one.session_id == a.eno.session_id and one.local == two.remote
        assert channel_binding(a.eno) == one


@pytest.mark.usefixtures("negotiated")
def test_of_streams(drive: Drive) -> None:
    async def main() -> None:
        async with served() as server:
            streams = await pyeno.open_connection(*server.sockets[0].getsockname())
            binding = channel_binding(streams)
            assert binding.session_id == streams[1].get_extra_info("eno").session_id
            assert channel_binding(streams[1]) == binding
            assert channel_binding(streams[1].transport) == binding
            streams[1].transport.abort()

    drive(main)


@pytest.mark.usefixtures("negotiated")
def test_of_enostreams() -> None:
    async def main() -> None:
        async with served() as server:
            stream = await connect_eno(*server.sockets[0].getsockname())
            assert channel_binding(stream).session_id == stream.eno.session_id
            stream.abort()

    anyio.run(main)


def test_where_there_is_no_session_id() -> None:
    """RFC 8547 section 5.1: an error, for each reason."""
    for result, says in (
        (PLAIN, r"\(syn-without-eno\), so nothing ties a proof to it; Config\(require=True\)"),
        (kernel.NOT_CONFIGURED._replace(state=State.READY), "not encrypted"),
    ):
        with pytest.raises(NotEncryptedError, match=says):
            channel_binding(Info(result, None))
    with pytest.raises(NotEncryptedError, match="key exchange is not complete"):
        channel_binding(info())
    with pyeno.Socket() as sock, pytest.raises(NotEncryptedError):
        channel_binding(sock)


@pytest.mark.parametrize("what", [None, 7, b"bytes", object(), ()])
def test_what_is_no_connection(what: object) -> None:
    with pytest.raises(TypeError, match="no connection of pyeno's"):
        channel_binding(what)


def test_a_plain_asyncio_connection() -> None:
    async def main() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        with pytest.raises(TypeError, match="no connection of pyeno's"):
            channel_binding((reader, writer))
        writer.close()
        await writer.wait_closed()
        listener.close()

    asyncio.run(main())


# -- the application-aware bit ---------------------------------------------------------


@pytest.mark.rfc("8547:10-2")
@pytest.mark.parametrize(
    ("connection", "why"),
    [
        (info(1, True), None),
        (info(2, True), None),
        (info(1, False), WhyNot.PEER_NOT_AWARE),
        (info(0, True), WhyNot.SELF_NOT_AWARE),
        (info(0, False), WhyNot.SELF_NOT_AWARE),
        (Info(PLAIN._replace(self_aware=1, peer_aware=True), None), WhyNot.NOT_ENCRYPTED),
    ],
)
def test_only_where_both_are_aware(connection: Info, why: WhyNot | None) -> None:
    """RFC 8547 section 8.4: "only activates the new behavior when the other end of the
    connection also sets a = 1"."""
    asked = []

    def authenticate(given: object, key: bytes, *, context: bytes) -> Authenticated:
        asked.append((given, key, context))
        return Authenticated("psk")

    async def authenticate_async(*words: object, **options: object) -> Authenticated:
        return authenticate(*words, **options)

    skipped = unaware(connection)
    done = if_aware(connection, authenticate, b"key", context=b"c")
    done_async = asyncio.run(
        if_aware_async(connection, authenticate_async, b"key", context=b"c")
    )
    assert done == done_async
    if why is None:
        assert skipped is None and done == Authenticated("psk")
        assert asked == [(connection, b"key", b"c")] * 2
    else:
        assert isinstance(done, NotAuthenticated) and not done and done == skipped
        assert not asked and done.why is why


def test_it_says_why() -> None:
    assert "syn-without-eno" in str(unaware(Info(PLAIN, None)))
    assert "Config(app_aware=True)" in str(unaware(info()))
    assert "the peer did not set" in str(unaware(info(1)))
    assert "not encrypted" in str(unaware(Info(kernel.NOT_CONFIGURED, None)))
