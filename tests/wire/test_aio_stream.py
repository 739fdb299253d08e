"""EnoStream over kernels' own TCP, on asyncio and on Trio."""

import os

import anyio
import pytest
from wire.netns import Wire
from wire.pairs import TIMEOUT, served

from pyeno import Config
from pyeno.aio.stream import EnoListener, EnoStream, connect_eno

pytestmark = pytest.mark.wire

BLOCK = os.urandom(1 << 20)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_eno_stream(wire: Wire, backend: str) -> None:
    """An echo of 4 MiB over AnyIO's stream; both ends at once."""

    async def main() -> None:
        async def echo(stream: EnoStream) -> None:
            async with stream:
                async for data in stream:
                    await stream.send(data)

        with anyio.fail_after(5 * TIMEOUT), served(wire) as sock:
            address = sock.getsockname()[:2]
            async with anyio.create_task_group() as group:
                group.start_soon(EnoListener(sock).serve, echo)
                async with await connect_eno(*address, config=Config(require=True)) as stream:

                    async def send() -> None:
                        await stream.send(BLOCK * 4)
                        await stream.send_eof()

                    group.start_soon(send)
                    got = bytearray()
                    async for data in stream:
                        got += data
                    assert bytes(got) == BLOCK * 4 and stream.eno.encrypted
                group.cancel_scope.cancel()

    wire.a.inside(lambda: anyio.run(main, backend=backend))
