"""Many connections at once through the relays of `pyeno run` at both ends."""

from pathlib import Path

import pytest
from wire.netns import Wire
from wire.programs import listening
from wire.relayed import Run, until

pytestmark = pytest.mark.wire
PORT = 7310
CROWD = 600
"""two descriptors each in a relay: more than the usual soft limit of 1024"""

ECHO = """
import asyncio, resource, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1 << 16), hard))

async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
    writer.close()

async def main():
    server = await asyncio.start_server(echo, sys.argv[1], int(sys.argv[2]), backlog=4096)
    await server.serve_forever()

asyncio.run(main())
"""

TALK = """
import asyncio, json, sys
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

async def talk(number, opened):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"first %d" % number)
    heard = await reader.readexactly(len(b"first %d" % number))
    await opened.wait()
    writer.write(b"second %d" % number)
    writer.write_eof()
    heard += await reader.read()
    writer.close()
    return heard == b"first %dsecond %d" % (number, number)

async def main():
    opened = asyncio.Barrier(count)
    print(json.dumps(sum(await asyncio.gather(*(talk(n, opened) for n in range(count))))))

asyncio.run(main())
"""
"""All are open, and have said something, before the first one goes on."""


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_crowd(wire: Wire) -> None:
    with Run(wire.b, wire.b.ip4, PORT, options=["--json"], script=ECHO) as server:
        until(lambda: PORT in listening(wire.b), server)
        relay = server.relay()
        before = descriptors(relay)
        with Run(wire.a, wire.b.ip4, PORT, CROWD, options=["--json"], script=TALK) as client:
            assert client.says() == [CROWD]
            client.ended()
        assert len(client.reports) == CROWD
        for report in client.reports:
            assert report["encrypted"] and report["end"] == "fin", report
            assert report["bytes_out"] == report["bytes_in"]
        until(lambda: descriptors(relay) <= before, "descriptors of connections that ended")
