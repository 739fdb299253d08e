"""Loops under load: slow readers, and many connections."""

import asyncio
import os
from typing import Any

import pytest
from wire.looping import Driver, Ending

import pyeno
from pyeno import Config

pytestmark = pytest.mark.wire

BLOCK = os.urandom(1 << 20)


def test_slow_readers_both_ways(drive: Driver) -> None:
    """Nobody runs ahead of a paused peer by more than the buffers hold."""

    async def main() -> None:
        async with drive.server(Ending) as (server, address):
            loop = asyncio.get_running_loop()
            transport, near = await pyeno.create_eno_connection(loop, Ending, *address)
            while not server._transports:
                await asyncio.sleep(0.001)
            far = next(iter(server._transports)).get_protocol()
            for sender, receiver in ((near, far), (far, near)):
                receiver.transport.pause_reading()
                sent = 0
                while not sender.transport.get_write_buffer_size():
                    sender.transport.write(BLOCK)
                    sent += 1
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0.05)
                assert not receiver.got and sender.transport.get_write_buffer_size()
                receiver.transport.resume_reading()
                while len(receiver.got) < sent * len(BLOCK):
                    await asyncio.sleep(0.001)
                assert bytes(receiver.got) == BLOCK * sent
            transport.close()
            assert await near.lost is None and await far.lost is None

    drive(main)


def test_a_thousand_connections(drive: Driver) -> None:
    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(100):
                writer.write(data)
            writer.close()

        async with drive.streams(echo) as (_, address):
            limit = asyncio.Semaphore(64)  # of SYNs at a time: the listener's queue

            async def opened() -> Any:
                async with limit:
                    return await pyeno.open_connection(*address, config=Config(require=True))

            pairs = await asyncio.gather(*(opened() for _ in range(1000)))
            for number, (_, writer) in enumerate(pairs):
                writer.write(number.to_bytes(4))
            answers = await asyncio.gather(*(reader.readexactly(4) for reader, _ in pairs))
            assert [int.from_bytes(answer) for answer in answers] == list(range(1000))
            for _, writer in pairs:
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for _, writer in pairs))

    drive(main)
