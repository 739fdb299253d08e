"""Servers, policy, plain connections, start_eno, names with several addresses."""

import asyncio
import errno
import os
import socket
from typing import Any

import pytest
from unit.looped import Buffered, Drive, Recorder, couple, served, until
from unit.played import listening_port

import pyeno
from pyeno import Config, Reason, Role, kernel
from pyeno.errors import EncryptionRequiredError, LocalProtocolError

pytestmark = pytest.mark.usefixtures("negotiated")

OFF = kernel.NOT_CONFIGURED._replace(reason=Reason.SYN_WITHOUT_ENO)


@pytest.fixture
def plain(negotiated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENO was disabled for every connection."""
    monkeypatch.setattr(kernel, "result", lambda sock: OFF)


def test_a_thousand_connections(drive: Drive) -> None:
    async def main() -> None:
        made: list[Recorder] = []

        def factory() -> Recorder:
            made.append(Recorder())
            return made[-1]

        loop = asyncio.get_running_loop()
        async with served(factory, backlog=1000) as server:
            address = server.sockets[0].getsockname()

            async def one(number: int) -> None:
                _, writer = await pyeno.open_connection(*address)
                writer.write(number.to_bytes(4) * 3)
                await gate
                writer.close()
                await writer.wait_closed()

            gate = loop.create_future()
            tasks = [asyncio.ensure_future(one(number)) for number in range(1000)]
            await until(lambda: sum(len(b.got) for b in made) == 12_000)
            gate.set_result(None)
            await asyncio.gather(*tasks)
            await asyncio.gather(*(b.lost for b in made))
            numbers = {int.from_bytes(b.got[:4]) for b in made if b.got[:4] == b.got[8:]}
            assert numbers == set(range(1000))

    drive(main)


def test_server_calls(drive: Drive) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await pyeno.create_eno_server(
            loop, Recorder, "127.0.0.1", 0, start_serving=False
        )
        assert not server.is_serving() and server.get_loop() is loop
        listening_port[0] = server.sockets[0].getsockname()[1]
        forever = asyncio.ensure_future(server.serve_forever())
        await until(server.is_serving)
        _, writer = await pyeno.open_connection(*server.sockets[0].getsockname())
        await until(lambda: server._transports)
        with pytest.raises(RuntimeError, match="already"):
            await server.serve_forever()
        waiting = asyncio.ensure_future(server.wait_closed())
        server.close()
        server.close()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done() and not server.is_serving() and not server.sockets
        server.close_clients()
        await waiting
        with pytest.raises(asyncio.CancelledError):
            await forever
        with pytest.raises(RuntimeError, match="closed"):
            await server.start_serving()
        writer.close()
        async with await pyeno.start_server(print, None, 0) as both:
            families = {sock.family for sock in both.sockets}
            assert families == {socket.AF_INET, socket.AF_INET6}
        with pytest.raises(ValueError, match="host/port"):
            await pyeno.start_server(print)
        taken = socket.create_server(("127.0.0.1", 0))
        with taken, pytest.raises(OSError, match="in use"):
            await pyeno.start_server(print, *taken.getsockname())

    drive(main)


def test_a_server_over_its_socket(drive: Drive) -> None:
    async def main() -> None:
        with pyeno.create_server(("127.0.0.1", 0)) as listener:
            listening_port[0] = listener.getsockname()[1]
            loop = asyncio.get_running_loop()
            server = await pyeno.create_eno_server(loop, Recorder, sock=listener)
            _, writer = await pyeno.open_connection(*listener.getsockname())
            writer.close()
            await writer.wait_closed()
            server.close()
            await server.wait_closed()
            assert listener.fileno() == -1

    drive(main)


def test_out_of_descriptors(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server waits, says so, and accepts again."""
    monkeypatch.setattr("pyeno.aio.server.RETRY_SECONDS", 0.05)
    accept = pyeno.Socket.accept
    failures = [OSError(errno.EMFILE, "too many open files")]

    def failing(listener: pyeno.Socket) -> Any:
        if failures:
            raise failures.pop()
        return accept(listener)

    monkeypatch.setattr(pyeno.Socket, "accept", failing)

    async def main() -> None:
        async with couple() as (a, b):
            a.transport.write(b"late")
            await until(lambda: b.got == b"late")

    drive(main)
    assert "accept() failed" in drive.complaints.pop()["message"]


def test_a_failing_factory(drive: Drive) -> None:
    async def main() -> None:
        def factory() -> Any:
            raise ZeroDivisionError

        async with served(factory) as server:
            reader, writer = await pyeno.open_connection(*server.sockets[0].getsockname())
            with pytest.raises(ConnectionError):
                await reader.read()
            writer.close()

    drive(main)
    assert isinstance(drive.complaints.pop()["exception"], ZeroDivisionError)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("protocol", [Recorder, Buffered])
def test_plain_connections_are_the_loops_own(drive: Drive, protocol: Any) -> None:
    async def main() -> None:
        async with couple(protocol, protocol) as (a, b):
            for each in (a, b):
                info = each.transport.get_extra_info("eno")
                assert (info.encrypted, info.reason) == (False, Reason.SYN_WITHOUT_ENO)
                module = type(each.transport).__module__
                assert module == "asyncio.selector_events" or drive.name == "uvloop"
                assert each.transport.get_extra_info("peername")
                assert each.transport.get_protocol() is each
            data = os.urandom(1 << 20)
            a.transport.write(data)
            a.transport.writelines([b"1", b"2"])
            a.transport.write_eof()
            await b.ended
            assert bytes(b.got) == data + b"12" and await b.lost is None
            assert not a.transport.is_reading() or a.transport.can_write_eof()

    drive(main)


@pytest.mark.usefixtures("plain")
def test_plain_streams_and_server_ends(drive: Drive) -> None:
    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(100):
                writer.write(data)
            writer.close()

        server = await pyeno.start_server(echo, "127.0.0.1", 0)
        reader, writer = await pyeno.open_connection(*server.sockets[0].getsockname())
        assert not writer.get_extra_info("eno").encrypted
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        server.close()
        waiting = asyncio.ensure_future(server.wait_closed())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        server.abort_clients()
        await waiting
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        await asyncio.sleep(0)

    drive(main)


@pytest.mark.usefixtures("plain")
def test_required_encryption(drive: Drive) -> None:
    async def main() -> None:
        config = Config(require=True)
        async with served() as server:
            address = server.sockets[0].getsockname()
            with pytest.raises(EncryptionRequiredError) as caught:
                await pyeno.open_connection(*address, config=config)
            assert caught.value.reason is Reason.SYN_WITHOUT_ENO
        made: list[Recorder] = []
        async with served(lambda: made.append(Recorder()), config) as server:
            with socket.socket() as sock, pytest.raises(ConnectionResetError):
                sock.setblocking(False)  # the RST may come before connect() returns
                loop = asyncio.get_running_loop()
                await loop.sock_connect(sock, server.sockets[0].getsockname())
                await loop.sock_recv(sock, 1)
            assert not made

    drive(main)


class Upgrading(Recorder):
    """What a server that accepts by itself does."""

    config: Config | None = None
    failure: Exception | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        started = pyeno.start_eno(transport, self, config=self.config)
        self.task = asyncio.ensure_future(self.upgrade(started))

    async def upgrade(self, started: Any) -> None:
        try:
            self.transport = await started
        except Exception as error:
            self.failure = error
            return
        self.transport.write(b"ready")


def upgraded(drive: Drive, near: Any) -> list[Upgrading]:
    made: list[Upgrading] = []

    async def main() -> None:
        def factory() -> Upgrading:
            made.append(Upgrading())
            return made[-1]

        loop = asyncio.get_running_loop()
        server = await loop.create_server(factory, "127.0.0.1", 0)
        listening_port[0] = server.sockets[0].getsockname()[1]
        await near(server.sockets[0].getsockname())
        await until(lambda: made[0].lost.done())
        server.close()
        await server.wait_closed()

    drive(main)
    return made


def test_start_eno(drive: Drive) -> None:
    async def near(address: Any) -> None:
        reader, writer = await pyeno.open_connection(*address)
        assert writer.get_extra_info("eno").encrypted
        assert await reader.readexactly(5) == b"ready"
        writer.write(b"sealed")
        writer.close()
        await writer.wait_closed()

    (made,) = upgraded(drive, near)
    assert bytes(made.got) == b"sealed" and made.told == ["made", "data", "eof", "lost"]
    assert made.transport.get_extra_info("eno").role is Role.B


@pytest.mark.usefixtures("plain")
def test_start_eno_on_a_plain_connection(drive: Drive) -> None:
    async def near(address: Any) -> None:
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.readexactly(5) == b"ready"
        writer.write(b"plain")
        writer.close()
        await writer.wait_closed()

    (made,) = upgraded(drive, near)
    assert bytes(made.got) == b"plain" and made.failure is None
    assert made.transport.get_extra_info("eno").reason is Reason.SYN_WITHOUT_ENO


@pytest.mark.usefixtures("plain")
def test_start_eno_refused(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Upgrading, "config", Config(require=True))

    async def near(address: Any) -> None:
        reader, writer = await asyncio.open_connection(*address)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    (made,) = upgraded(drive, near)
    assert isinstance(made.failure, EncryptionRequiredError)
    assert made.lost.result() is made.failure


def test_start_eno_fails_with_the_peer(drive: Drive) -> None:
    async def near(address: Any) -> None:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"no Init1")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    (made,) = upgraded(drive, near)
    assert isinstance(made.failure, ConnectionError) and made.told == ["made", "lost"]


def test_start_eno_comes_first(drive: Drive) -> None:
    """Once bytes have passed, the transport stays what it was."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made: list[Recorder] = []
        server = await loop.create_server(
            lambda: made.append(Recorder()) or made[-1], "127.0.0.1", 0
        )
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"early")
        await until(lambda: made and made[0].got == b"early")
        with pytest.raises(LocalProtocolError, match="5 bytes were received and 0 sent"):
            await pyeno.start_eno(made[0].transport, made[0])
        writer.write(b"more")
        await until(lambda: made[0].got == b"earlymore")
        made[0].transport.write(b"seen")
        with pytest.raises(LocalProtocolError, match="4 sent"):
            await pyeno.start_eno(made[0].transport, made[0])
        writer.close()
        await writer.wait_closed()
        await made[0].lost
        server.close()

    drive(main)


def silent_address() -> tuple[socket.socket, Any]:
    """A listener whose queue is full: connects to it neither succeed nor fail."""
    listener = socket.create_server(("127.0.0.2", 0), backlog=0)
    return listener, listener.getsockname()


@pytest.mark.parametrize("delay", [None, 0.02])
def test_the_next_address_is_tried(
    drive: Drive, delay: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with served() as server:
            good = server.sockets[0].getsockname()
            listener, silent = silent_address()
            with listener, socket.socket() as filler, socket.socket() as refused:
                refused.bind(("127.0.0.3", 0))
                filler.connect(silent)
                order = [refused.getsockname(), *([silent] if delay else []), good]
                found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in order]
                monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: found)
                _, writer = await pyeno.open_connection("name", 1, happy_eyeballs_delay=delay)
                assert writer.get_extra_info("peername") == good
                writer.close()
                await writer.wait_closed()
                found.pop()
                if not delay:
                    with pytest.raises(ConnectionRefusedError):
                        await pyeno.open_connection("name", 1)
                    found *= 2
                    with pytest.raises(ExceptionGroup) as caught:
                        await pyeno.open_connection("name", 1, all_errors=True)
                    assert len(caught.value.exceptions) == 2

    drive(main)


def test_local_address(drive: Drive) -> None:
    async def main() -> None:
        async with served() as server:
            address = server.sockets[0].getsockname()
            _, writer = await pyeno.open_connection(*address, local_addr=("127.0.0.9", 0))
            assert writer.get_extra_info("sockname")[0] == "127.0.0.9"
            writer.close()
            await writer.wait_closed()
            with pytest.raises(OSError):
                await pyeno.open_connection(*address, local_addr=("192.0.2.1", 0))

    drive(main)
