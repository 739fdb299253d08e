"""TLS over ENO between two hosts: asyncio and the command line."""

import asyncio
import hashlib
import itertools
import os
from pathlib import Path
from typing import Any

import pytest
from unit.tls_ends import IDENTITY, pem
from wire.foreign_tls import listener as raw_listener
from wire.looping import Driver
from wire.netns import Wire
from wire.pairs import MARKER, TIMEOUT, dialled
from wire.programs import Command, Listen
from wire.tls_by_hand import TLS, by_hand

import pyeno
from pyeno import Config, Reason, Role, kernel
from pyeno.constants import Tep
from pyeno.errors import (
    TruncationError,
)
from pyeno.tls import keys

pytestmark = pytest.mark.wire

_ports = itertools.count(6950)


def test_streams(drive: Driver, wire: Wire) -> None:
    """4 MiB each way at once, between tasks; checked by SHA-256."""
    block = os.urandom(1 << 20)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        async def send() -> None:
            writer.write(MARKER)
            for _ in range(4):
                writer.write(block)
                await writer.drain()
            writer.write_eof()

        sending = asyncio.ensure_future(send())
        digest = hashlib.sha256()
        while data := await reader.read(1 << 18):
            digest.update(data)
        await sending
        return digest.digest()

    async def main() -> None:
        results: list[Any] = []

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            results.append(await talk(reader, writer))
            results.append(writer.get_extra_info("eno").session_id)
            writer.close()

        async with drive.streams(handler, TLS) as (_, address):
            reader, writer = await pyeno.open_connection(*address, config=TLS)
            info = writer.get_extra_info("eno")
            assert info.tep == Tep.TLS and info.role is Role.A and info.peer_key
            got = await talk(reader, writer)
            writer.close()
            await writer.wait_closed()
        expected = hashlib.sha256(MARKER + block * 4).digest()
        assert got == expected and results == [expected, info.session_id]

    with wire.capture() as seen:
        drive(main)
    assert MARKER not in b"".join(s.payload for s in seen.segments)


def test_streams_of_a_peer_that_truncates(drive: Driver, wire: Wire) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with raw_listener(wire.b) as listener:

            def peer() -> None:
                with listener.accept()[0] as raw:
                    raw.settimeout(TIMEOUT)
                    raw.sendall(by_hand(raw).send(MARKER))

            played = loop.run_in_executor(None, peer)
            reader, writer = await pyeno.open_connection(*listener.getsockname(), config=TLS)
            assert await reader.readexactly(len(MARKER)) == MARKER
            with pytest.raises((TruncationError, ConnectionResetError)):
                await reader.read()
            writer.close()
            with pytest.raises(OSError):
                await writer.wait_closed()
            await played

    drive(main)


def test_the_command_line(wire: Wire, tmp_path: Path) -> None:
    """`--tep tls` at both ends, with a key that lasts and a key log."""
    port, key, log = next(_ports), pem(tmp_path / "key"), tmp_path / "log"
    serving = (port, "--echo", "--tep", "tls", "--tls-key", str(key))
    with wire.capture() as seen, Listen(wire.b, *serving) as listen:
        words = ("--json", "--require", "--tep", "tls,curve25519", "--keylog", log)
        for _ in range(2):
            with Command(wire.a, "connect", *words, f"{wire.b.ip4}:{port}") as command:
                command.type(MARKER, end=True)
                assert command.ended() == 0 and command.output == MARKER, command
                mine, theirs = command.reports[0], listen.report(own_port(seen, port))
                assert mine["session_id"] == theirs["session_id"]
                assert (mine["tep"], mine["role"], mine["end"]) == ("0x30", "A", "fin")
                pinned = keys.fingerprint(keys.public_key(lambda: IDENTITY.certificate))
                assert (mine["peer_key"], theirs["peer_key"]) == (pinned, None)
    assert MARKER not in b"".join(s.payload for s in seen.segments)
    assert b"CLIENT_TRAFFIC_SECRET_0 " in log.read_bytes()


def own_port(seen: Any, port: int) -> int:
    """The latest connection's other port."""
    return [s.source[1] for s in seen.syns() if s.target[1] == port][-1]


def test_the_command_line_refuses(tmp_path: Path, wire: Wire) -> None:
    key = tmp_path / "none"
    words = ("connect", "--tep", "tls", "--tls-key", key, "192.0.2.1:7")
    with Command(wire.a, *words) as command:
        assert command.ended() == 2 and "tls_key: cannot read" in command.complaints[-1]


def test_raw_option_of_an_unknown_peer(wire: Wire) -> None:
    """v = 1 from host B is no TLS TEP's: it has no suboption data."""
    with raw_listener(wire.b) as listener:
        kernel.set_raw_option(listener, bytes.fromhex("450401b0"))
        with dialled(wire, listener.getsockname(), Config(teps=["tls"])) as a:
            assert not a.eno.encrypted and a.eno.reason is Reason.NO_VALID_TEP
