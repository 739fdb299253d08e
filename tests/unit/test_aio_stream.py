"""EnoStream on asyncio and on Trio."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute
from unit.played import listening, listening_port

from pyeno import Config, Reason, kernel
from pyeno.aio.stream import (
    EnoAttribute,
    EnoStream,
    agree,
    connect_eno,
    create_eno_listener,
)
from pyeno.errors import (
    EncryptionRequiredError,
    HandshakeTimeoutError,
    LocalProtocolError,
    TruncationError,
)
from pyeno.sockets.raw import BaseSocket

pytestmark = pytest.mark.usefixtures("negotiated")

BLOCK = os.urandom(1 << 20)
Run = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Run:
    async def timed(main: Callable[[], Awaitable[Any]]) -> Any:
        with anyio.fail_after(20):
            return await main()

    return lambda main: anyio.run(timed, main, backend=request.param)


@asynccontextmanager
async def couple(config: Config | None = None) -> AsyncIterator[tuple[EnoStream, EnoStream]]:
    """(connected, accepted)."""
    with listening(config) as listener:
        listener.setblocking(False)
        accepted: list[EnoStream] = []

        async def accept() -> None:
            await anyio.wait_readable(listener)
            accepted.append(await agree(listener.accept()[0]))

        async with anyio.create_task_group() as group:
            group.start_soon(accept)
            a = await connect_eno(*listener.getsockname(), config=config)
        try:
            yield a, accepted[0]
        finally:
            a.abort()
            accepted[0].abort()


async def drained(stream: EnoStream, size: int = 65536) -> bytes:
    got = bytearray()
    try:
        while True:
            got += await stream.receive(size)
    except anyio.EndOfStream:
        return bytes(got)


def test_both_ways(run: Run) -> None:
    async def main() -> None:
        async with couple() as (a, b):
            got: dict[str, bytes] = {}
            near, far = SocketAttribute.local_address, SocketAttribute.remote_address
            assert a.extra(near) == b.extra(far) and a.extra(far) == b.extra(near)
            assert a.extra(SocketAttribute.family) is socket.AF_INET
            assert a.extra(SocketAttribute.local_port) == b.extra(SocketAttribute.remote_port)
            assert a.extra(SocketAttribute.raw_socket).fileno() >= 0

            async def take(name: str, stream: EnoStream) -> None:
                got[name] = await drained(stream)

            async def give(stream: EnoStream, data: bytes) -> None:
                await stream.send(data)
                await stream.send(b"")
                await stream.send_eof()

            async with anyio.create_task_group() as group:
                group.start_soon(take, "a", a)
                group.start_soon(take, "b", b)
                group.start_soon(give, a, BLOCK * 3)
                group.start_soon(give, b, BLOCK[::-1])
            assert got == {"a": BLOCK[::-1], "b": BLOCK * 3}
            assert a.eno.session_id == b.extra(EnoAttribute.info).session_id

    run(main)


def test_listener(run: Run) -> None:
    """serve() handles several at once, and is not stopped by one that breaks the exchange."""

    async def main() -> None:
        async with anyio.create_task_group() as group:

            async def echo(stream: EnoStream) -> None:
                async with stream:
                    await stream.send(await stream.receive(10))

            listener = create_eno_listener("127.0.0.1", 0)
            listening_port[0] = listener.extra(SocketAttribute.local_port)
            address = listener.extra(SocketAttribute.local_address)
            group.start_soon(listener.serve, echo)
            bad = socket.create_connection(address)
            bad.sendall(b"no Init1")
            for number in range(5):
                async with await connect_eno(*address) as stream:
                    await stream.send(b"%d" % number)
                    assert await drained(stream) == b"%d" % number
            bad.close()
            group.cancel_scope.cancel()
        await listener.aclose()
        await listener.aclose()
        with pytest.raises(ExceptionGroup) as caught:
            await listener.serve(echo)
        assert caught.group_contains(anyio.ClosedResourceError)

    run(main)


def test_ends(run: Run) -> None:
    async def main() -> None:
        async with couple() as (a, b):
            await a.aclose()
            await a.aclose()
            assert await drained(b) == b""
            with pytest.raises(anyio.ClosedResourceError):
                await a.receive()
            with pytest.raises(anyio.ClosedResourceError):
                await a.send(b"x")
            with pytest.raises(ValueError, match="max_bytes"):
                await b.receive(0)
        async with couple() as (a, b):
            await a.send_eof()
            with pytest.raises(anyio.BrokenResourceError) as caught:
                await a.send(b"x")
            assert isinstance(caught.value.__cause__, BrokenPipeError)
        async with couple() as (a, b):
            a.abort()
            with pytest.raises(anyio.BrokenResourceError) as caught:
                await b.receive()
            assert isinstance(caught.value.__cause__, ConnectionResetError)

    run(main)


def test_truncation_is_no_end_of_stream(run: Run) -> None:
    async def main() -> None:
        async with couple() as (a, b):
            await a.send(b"data")
            os.close(socket.socket.detach(a._sock))  # FIN without FINp
            a._sock._link._forget()
            assert await b.receive() == b"data"
            with pytest.raises(anyio.BrokenResourceError) as caught:
                await b.receive()
            assert isinstance(caught.value.__cause__, TruncationError)

    run(main)


def test_closing_from_another_task(run: Run) -> None:
    async def main() -> None:
        async with couple() as (a, _), anyio.create_task_group() as group:

            async def close() -> None:
                await anyio.sleep(0.01)
                await a.aclose()

            group.start_soon(close)
            with pytest.raises(anyio.ClosedResourceError):
                await a.receive()

    run(main)


def test_one_task_per_direction(run: Run) -> None:
    async def main() -> None:
        async with couple() as (a, _), anyio.create_task_group() as group:
            group.start_soon(a.receive)
            await anyio.sleep(0.01)
            with pytest.raises(anyio.BusyResourceError):
                await a.receive()
            group.cancel_scope.cancel()

    run(main)


def test_cancelled_sends_and_receives_keep_the_stream_whole(run: Run) -> None:
    """What came of a cancelled send is a prefix of it; then the next one's bytes follow."""

    async def main() -> None:
        async with couple() as (a, b):
            with anyio.move_on_after(0.02) as scope:
                await a.receive()
            assert scope.cancelled_caught
            with anyio.move_on_after(0.05) as scope:
                while True:
                    await a.send(BLOCK)
            assert scope.cancelled_caught

            async def finish() -> None:
                await a.send(b"the end")
                await a.send_eof()

            async with anyio.create_task_group() as group:
                group.start_soon(finish)
                got = await drained(b)
            body = got.removesuffix(b"the end")
            assert len(body) == len(got) - 7
            assert body == (BLOCK * (len(body) // len(BLOCK) + 1))[: len(body)]

    run(main)


def test_a_receive_cancelled_too_late_has_its_bytes(run: Run) -> None:
    async def main() -> None:
        async with couple() as (a, b):
            await a.send(b"data")
            got = []
            with anyio.CancelScope() as scope:
                recv = b._sock.recv

                def receive_and_cancel(size: int) -> bytes:
                    data = recv(size)
                    scope.cancel()
                    return data

                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(
                        type(b._sock), "recv", lambda _, size: receive_and_cancel(size)
                    )
                    got.append(await b.receive())
            assert got == [b"data"]

    run(main)


def test_close_under_backpressure(run: Run) -> None:
    """aclose() waits for room; cancelled, it resets."""

    async def main() -> None:
        async with couple() as (a, b):
            for stream, option in ((a, socket.SO_SNDBUF), (b, socket.SO_RCVBUF)):
                stream._sock.setsockopt(socket.SOL_SOCKET, option, 1 << 16)
            with anyio.move_on_after(0.2):
                while True:
                    await a.send(BLOCK)
            with pytest.raises(BlockingIOError):
                while True:  # to the last byte, or what waits might just fit
                    BaseSocket.send(a._sock, b"-")
            with anyio.move_on_after(0.05) as scope:
                await a.aclose()
            assert scope.cancelled_caught and a._sock.fileno() < 0
            with pytest.raises(anyio.BrokenResourceError):
                await drained(b)

    run(main)


def test_cancelled_while_opening(run: Run) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            with anyio.move_on_after(0.05) as scope:
                await connect_eno(*listener.getsockname())
            assert scope.cancelled_caught
            peer, _ = listener.accept()
            with peer, pytest.raises(ConnectionResetError):
                while peer.recv(100):
                    pass

    run(main)


def test_opening_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with listening() as listener, pytest.raises(HandshakeTimeoutError):
            await connect_eno(*listener.getsockname(), config=Config(handshake_timeout=0.05))
        with pytest.raises(ConnectionRefusedError):
            await connect_eno("127.0.0.1", listening_port[0])
        off = kernel.NOT_CONFIGURED._replace(reason=Reason.SYN_WITHOUT_ENO)
        monkeypatch.setattr(kernel, "result", lambda sock: off)
        with listening() as listener:
            with pytest.raises(EncryptionRequiredError):
                await connect_eno(*listener.getsockname(), config=Config(require=True))
            async with await connect_eno(*listener.getsockname()) as plain:
                assert not plain.eno.encrypted
                listener.accept()[0].close()  # the refused one
                peer = listener.accept()[0]
                await plain.send(b"plain")
                with peer:
                    assert socket.socket.recv(peer, 10) == b"plain"

    run(main)


def test_wrong_use(run: Run) -> None:
    async def main() -> None:
        async with couple() as (a, _):
            link = a._sock.link()
            assert link is not None
            link.disown(LocalProtocolError("fork"))
            with pytest.raises(anyio.BrokenResourceError) as caught:
                await a.send(b"x")
            assert isinstance(caught.value.__cause__, LocalProtocolError)

    run(main)
