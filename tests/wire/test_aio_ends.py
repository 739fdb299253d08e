"""How asyncio's connections end, or never begin, as segments on the wire show it."""

import asyncio
import socket
import struct
from typing import Any

import pytest
from wire.looping import Driver, Ending
from wire.netns import Wire
from wire.pairs import TIMEOUT, plain_listener, served
from wire.rfcpeer_packet import FIN, RST

import pyeno
from pyeno import Config, Reason, kernel
from pyeno.errors import (
    AuthenticationError,
    EncryptionRequiredError,
    HandshakeTimeoutError,
    TruncationError,
)

pytestmark = pytest.mark.wire


def test_a_peer_without_eno(drive: Driver, wire: Wire) -> None:
    """Plain TCP by the loop's own transport, either way round."""

    async def main() -> None:
        with plain_listener(wire) as listener:
            reader, writer = await pyeno.open_connection(*listener.getsockname())
            info = writer.get_extra_info("eno")
            assert (info.encrypted, info.reason) == (False, Reason.SYN_ACK_WITHOUT_ENO)
            own = "uvloop" if drive.name == "uvloop" else "asyncio.selector_events"
            assert type(
                getattr(writer.transport, "_transport", writer.transport)
            ).__module__.startswith(own)
            peer, _ = listener.accept()
            with peer:
                writer.write(b"plain")
                await writer.drain()
                assert await asyncio.to_thread(peer.recv, 10) == b"plain"
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        async with drive.server(Ending) as (server, address):
            with socket.socket() as peer:
                await asyncio.to_thread(peer.connect, address)
                peer.sendall(b"plain")
                while not server._open_transports():
                    await asyncio.sleep(0.001)
                (transport,) = server._open_transports()
                while not transport.get_protocol().got:
                    await asyncio.sleep(0.001)
                assert transport.get_extra_info("eno").reason is Reason.SYN_WITHOUT_ENO

    drive(main)


def test_required_encryption(drive: Driver, wire: Wire) -> None:
    """No connection_made(), a RST, and not one byte."""
    config = Config(require=True)

    async def main() -> None:
        with plain_listener(wire) as listener:
            with pytest.raises(EncryptionRequiredError) as caught:
                await pyeno.open_connection(*listener.getsockname(), config=config)
            assert caught.value.reason is Reason.SYN_ACK_WITHOUT_ENO
            peer, _ = listener.accept()
            with peer, pytest.raises(ConnectionResetError):
                peer.recv(1)
        made: list[Any] = []
        async with drive.server(lambda: made.append(1), config) as (_, address):
            with pytest.raises(ConnectionResetError):
                reader, _ = await asyncio.open_connection(*address)
                await reader.read(1)
        assert not made

    drive(main)


def test_ends_on_the_wire(drive: Driver, wire: Wire) -> None:
    """close(): the FIN rides with the frame that has FINp; abort(): a RST."""

    async def main() -> None:
        for end in ("close", "abort"):
            async with drive.server(Ending) as (server, address):
                with wire.capture() as seen:
                    loop = asyncio.get_running_loop()
                    transport, near = await pyeno.create_eno_connection(loop, Ending, *address)
                    while not server._transports:
                        await asyncio.sleep(0.001)
                    far = next(iter(server._transports)).get_protocol()
                    transport.write(b"data")
                    while not far.got:
                        await asyncio.sleep(0.001)
                    getattr(transport, end)()
                    assert await near.lost is None
                    error = await far.lost
                mine = [s for s in seen.segments if s.source[1] == near_port(transport)]
                if end == "close":
                    assert error is None and far.eof
                    (fin,) = [s for s in mine if s.flags & FIN]
                    assert len(fin.payload) == 20
                else:
                    assert isinstance(error, ConnectionResetError) and not far.eof
                    assert any(s.flags & RST for s in mine)
                    assert not any(s.flags & FIN for s in mine)

    drive(main)


def near_port(transport: Any) -> int:
    port: int = transport.get_extra_info("sockname")[1]
    return port


@pytest.mark.parametrize("fault", ["fin", "forged"])
def test_the_peers_faults(drive: Driver, wire: Wire, fault: str) -> None:
    """FIN without FINp, a forged frame: connection_lost() has the error, the peer a RST."""

    async def main() -> None:
        async with drive.server(Ending) as (server, address):
            peer = await asyncio.to_thread(
                lambda: wire.a.inside(lambda: pyeno.create_connection(address, TIMEOUT))
            )
            peer.sendall(b"authentic")
            while not server._transports:
                await asyncio.sleep(0.001)
            far = next(iter(server._transports)).get_protocol()
            with wire.capture() as seen:
                if fault == "fin":
                    socket.socket.shutdown(peer, socket.SHUT_WR)
                else:
                    socket.socket.send(peer, b"\0" + struct.pack("!H", 40) + bytes(40))
                error = await far.lost
                await asyncio.sleep(0.05)
            expected = TruncationError if fault == "fin" else AuthenticationError
            assert type(error) is expected and bytes(far.got) == b"authentic" and not far.eof
            assert any(s.flags & RST and s.source[1] == address[1] for s in seen.segments)
            peer.abort()

    drive(main)


def configured_socket(wire: Wire) -> socket.socket:
    """Negotiates ENO, and knows nothing of tcpcrypt."""
    sock = wire.a.socket()
    kernel.configure(sock, teps=b"\x23")
    return sock


def test_silent_and_foreign_peers(drive: Driver, wire: Wire) -> None:
    """Reset after handshake_timeout, or at the first wrong byte; others are served."""
    config = Config(handshake_timeout=0.3)

    async def main() -> None:
        async with drive.server(Ending, config) as (server, address):
            with configured_socket(wire) as silent, configured_socket(wire) as foreign:
                silent.connect(address)
                foreign.connect(address)
                foreign.sendall(b"GET / HTTP/1.1")
                with pytest.raises(ConnectionResetError):
                    await asyncio.to_thread(foreign.recv, 1)
                _, writer = await pyeno.open_connection(*address)
                writer.write(b"served")
                with pytest.raises(ConnectionResetError):
                    await asyncio.to_thread(silent.recv, 1)
                assert [bytes(t.get_protocol().got) for t in server._transports] == [b"served"]
                writer.close()
                await writer.wait_closed()
        # nobody accepts
        with served(wire) as listener, pytest.raises(HandshakeTimeoutError):
            await pyeno.open_connection(*listener.getsockname()[:2], config=config)

    drive(main)


def test_cancelled_while_opening(drive: Driver) -> None:
    """Between any two steps; the server goes on, and keeps nothing of it."""

    async def main() -> None:
        async with drive.server(Ending) as (server, address):
            for turns in range(14):
                task = asyncio.ensure_future(pyeno.open_connection(*address))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    _, writer = await task
                except asyncio.CancelledError:
                    continue
                writer.transport.abort()
            while server._busy():
                await asyncio.sleep(0.001)
            _, writer = await pyeno.open_connection(*address)
            writer.close()
            await writer.wait_closed()

    drive(main)
