"""Authentication over asyncio's streams on each loop, and EnoStreams on asyncio and Trio."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from unit.looped import Drive, until
from unit.played import listening_port
from unit.proving import IDENTITIES, PSK, STRANGER, both_known, end, owed_and
from unit.test_aio_stream import couple as enostreams

import pyeno
from pyeno import ConfigError, Role, auth
from pyeno.auth import (
    AuthenticationTimeoutError,
    ChangedKeyError,
    EndedEarlyError,
    MessageError,
    PeerNotAuthenticatedError,
    ProofError,
    RefusedByPeerError,
    channel_binding,
)
from pyeno.auth.aio import authenticate_ed25519, authenticate_psk, if_aware

pytestmark = pytest.mark.usefixtures("negotiated")

Run = Callable[[Callable[[], Awaitable[Any]]], Any]


@asynccontextmanager
async def streams() -> AsyncIterator[tuple[Any, Any]]:
    """((reader, writer) of host A, of host B)."""
    accepted: asyncio.Queue[Any] = asyncio.Queue()
    server = await pyeno.start_server(lambda *pair: accepted.put_nowait(pair), "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    listening_port[0] = address[1]
    near = await pyeno.open_connection(*address)
    far = await accepted.get()
    try:
        yield near, far
    finally:
        for _, writer in (near, far):
            writer.transport.abort()
        server.close()
        await server.wait_closed()


async def both(near: Awaitable[Any], far: Awaitable[Any]) -> list[Any]:
    """What each gave or raised."""
    results: list[Any] = [None, None]

    async def keep(place: int, what: Awaitable[Any]) -> None:
        try:
            results[place] = await what
        except (OSError, anyio.BrokenResourceError) as error:
            results[place] = error

    async with anyio.create_task_group() as group:
        group.start_soon(keep, 0, near)
        group.start_soon(keep, 1, far)
    return results


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return both_known(tmp_path / "known_hosts")


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Run:
    async def timed(main: Callable[[], Awaitable[Any]]) -> Any:
        with anyio.fail_after(20):
            return await main()

    return lambda main: anyio.run(timed, main, backend=request.param)


def proofs(a: Any, b: Any, known: Path) -> list[tuple[Awaitable[Any], Awaitable[Any]]]:
    return [
        (authenticate_psk(a, PSK), authenticate_psk(b, PSK)),
        (
            authenticate_ed25519(a, IDENTITIES[Role.A], known_hosts=known, name="B.example"),
            authenticate_ed25519(b, IDENTITIES[Role.B], known_hosts=known),
        ),
    ]


# -- asyncio -----------------------------------------------------------------------------


def test_streams(drive: Drive, known: Path) -> None:
    """Both methods one after the other, and what follows is the application's."""

    async def main() -> None:
        async with streams() as (a, b):
            results = []
            for near, far in proofs(a, b, known):
                results.append(await both(near, far))
            a[1].write(b"first bytes\n")
            assert await b[0].readline() == b"first bytes\n"
            assert [each.method for each in results[0]] == ["psk", "psk"]
            assert [each.name for each in results[1]] == ["b.example", "a.example"]

    drive(main)


def test_what_follows_at_once_is_left(drive: Drive) -> None:
    """The peer's first data in the same frame as its last message, and behind it."""

    async def main() -> None:
        async with streams() as (a, b):

            async def far() -> None:
                reader, writer = b
                other = end("psk", Role.B, session_id=channel_binding(b).session_id)
                while not other.done:
                    writer.write(owed_and(other, b"x" * 1000))
                    if not other.done:
                        other.receive_data(await reader.read(100))
                writer.write(b"x" * 99_000)
                writer.write_eof()

            await both(authenticate_psk(a, PSK), far())
            assert await a[0].read() == b"x" * 100_000

    drive(main)


def test_a_wrong_proof(drive: Drive) -> None:
    """Reset; the readers raise, and do not tell an end of stream."""

    async def main() -> None:
        async with streams() as (a, b):
            done = await both(authenticate_psk(a, PSK), authenticate_psk(b, bytes(32)))
            kinds = {type(each) for each in done}
            assert ProofError in kinds and kinds <= {ProofError, RefusedByPeerError}
            for (reader, writer), error in zip((a, b), done, strict=True):
                for _ in range(2):
                    with pytest.raises(PeerNotAuthenticatedError) as caught:
                        await reader.read(10)
                    assert caught.value is error
                    await asyncio.sleep(0.01)
                assert writer.transport.is_closing()

    drive(main)


def test_a_changed_key(drive: Drive, known: Path) -> None:
    async def main() -> None:
        async with streams() as (a, b):
            done = await both(
                authenticate_ed25519(
                    a, IDENTITIES[Role.A], known_hosts=known, name="b.example"
                ),
                authenticate_ed25519(b, STRANGER, known_hosts=known),
            )
            assert isinstance(done[0], ChangedKeyError) and done[0].line == 2
            assert isinstance(done[1], RefusedByPeerError)

    drive(main)


def test_other_ends(drive: Drive) -> None:
    """A peer that says something else, ends, is silent, or resets."""

    async def main() -> None:
        async with streams() as (a, b):
            b[1].write(b"220 ready\r\n")
            with pytest.raises(MessageError):
                await authenticate_psk(a, PSK)
        async with streams() as (a, b):
            b[1].write(b"ENOa\x01")
            b[1].write_eof()
            with pytest.raises(EndedEarlyError):
                await authenticate_psk(a, PSK)
            with pytest.raises(EndedEarlyError):
                await a[0].read()
        async with streams() as (a, b):
            with pytest.raises(AuthenticationTimeoutError):
                await authenticate_psk(a, PSK, timeout=0.05)
            with pytest.raises(ConnectionError):
                while await b[0].read(100):
                    pass
                await b[1].drain()
        async with streams() as (a, b):
            b[1].transport.abort()
            with pytest.raises(RefusedByPeerError):
                await authenticate_psk(a, PSK)

    drive(main)


def test_cancelled(drive: Drive) -> None:
    """A connection half authenticated is reset, and its reader says so."""

    async def main() -> None:
        async with streams() as (a, b):
            task = asyncio.ensure_future(authenticate_psk(a, PSK))
            await until(lambda: b[0]._buffer)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(ConnectionAbortedError, match="interrupted"):
                await a[0].read()

    drive(main)


def test_wrong_use_changes_nothing(drive: Drive) -> None:
    async def main() -> None:
        async with streams() as (a, b):
            for call in (
                authenticate_psk(a, b"short"),
                authenticate_psk(a, PSK, timeout=0),
                authenticate_ed25519(a, STRANGER, known_hosts="/", name=" "),
            ):
                with pytest.raises(ConfigError):
                    await call
            skipped = await if_aware(a, authenticate_psk, PSK)
            assert not skipped and skipped.why is auth.WhyNot.SELF_NOT_AWARE
            assert all(await both(authenticate_psk(a, PSK), authenticate_psk(b, PSK)))

    drive(main)


# -- EnoStream ---------------------------------------------------------------------------


def test_enostreams(run: Run, known: Path) -> None:
    async def main() -> None:
        async with enostreams() as (a, b):
            for near, far in proofs(a, b, known):
                assert all(await both(near, far))
            await b.send(b"data")
            assert await a.receive() == b"data"

    run(main)


def test_an_enostream_that_is_refused(run: Run) -> None:
    async def main() -> None:
        async with enostreams() as (a, b):
            done = await both(authenticate_psk(a, PSK), authenticate_psk(b, bytes(32)))
            kinds = {type(each) for each in done}
            assert ProofError in kinds and kinds <= {ProofError, RefusedByPeerError}
            for stream in a, b:
                with pytest.raises(anyio.ClosedResourceError):
                    await stream.receive()

    run(main)


def test_other_ends_of_enostreams(run: Run) -> None:
    async def main() -> None:
        async with enostreams() as (a, b):
            await b.send(b"ENOa\x01\x01")
            await b.send_eof()
            with pytest.raises(EndedEarlyError):
                await authenticate_psk(a, PSK)
        async with enostreams() as (a, b):
            with pytest.raises(AuthenticationTimeoutError):
                await authenticate_psk(a, PSK, timeout=0.05)
            with pytest.raises(anyio.BrokenResourceError):
                while await b.receive():
                    pass
        async with enostreams() as (a, b):
            b.abort()
            with pytest.raises(RefusedByPeerError):
                await authenticate_psk(a, PSK)
        async with enostreams() as (a, b):
            with anyio.move_on_after(0.05) as scope:
                await authenticate_psk(a, PSK, timeout=None)
            assert scope.cancelled_caught
            with pytest.raises(anyio.ClosedResourceError):
                await a.receive()

    run(main)
