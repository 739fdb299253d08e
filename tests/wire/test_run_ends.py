"""How relays of `pyeno run` end: with the last program, or killed in the middle."""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from wire.netns import Wire
from wire.programs import NOBODY, listening
from wire.relayed import (
    ECHO,
    FETCH,
    MARKER,
    Plain,
    Run,
    Served,
    cgroups_left,
    fetch,
    kill,
    until,
)

from pyeno import mounts
from pyeno.relay.attachment import sweep

pytestmark = pytest.mark.wire
PORT = 7310
SIZE = 1 << 30

SEND = f"""
import json, socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
sent, seen = 0, {{}}
try:
    while sent < {SIZE}:
        sent += sock.send(bytes(1 << 16))
        if sent == 1 << 20:
            print(json.dumps({{"sending": sent}}), flush=True)
except OSError as error:
    seen["error"] = type(error).__name__
print(json.dumps(seen), flush=True)
"""
RECEIVE = """
import json, socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
sock, _ = listener.accept()
seen = {"end": "fin", "all": False}
size = 0
try:
    while data := sock.recv(1 << 18):
        size += len(data)
except OSError as error:
    seen["end"] = type(error).__name__
print(json.dumps(seen), flush=True)
"""
KEEP = """
import json, socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
print(json.dumps({"connected": True}), flush=True)
sys.stdin.read(1)
try:
    sock.sendall(b"Late")
    print(json.dumps({"answer": sock.recv(100).decode()}), flush=True)
except OSError as error:
    print(json.dumps({"error": type(error).__name__}), flush=True)
"""
DAEMON = """
import os, socket, subprocess, sys
null = subprocess.DEVNULL
script = "import socket, sys, time; time.sleep(0.5)\\n" + sys.argv[3]
subprocess.Popen(
    [sys.executable, "-c", script, sys.argv[1], sys.argv[2]],
    stdin=null, stdout=null, stderr=null, start_new_session=True,
)
"""


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    until(lambda: sweep() or not cgroups_left(), "cgroups of runs are left")
    assert not list(Path("/sys/fs/bpf").glob(f"pyeno-*-{os.getpid()}"))


@pytest.mark.parametrize("which", ["sender's", "receiver's"])
def test_a_relay_killed_in_the_middle(wire: Wire, which: str) -> None:
    """Both programs see a reset; neither takes the beginning for the whole."""
    with Run(wire.b, wire.b.ip4, PORT, options=["--json"], script=RECEIVE) as receiver:
        until(lambda: PORT in listening(wire.b), receiver)
        with Run(wire.a, wire.b.ip4, PORT, options=["--json"], script=SEND) as sender:
            sender.says()
            kill((sender if which == "sender's" else receiver).relay())
            assert sender.says(2)[1]["error"] in ("ConnectionResetError", "BrokenPipeError")
            assert receiver.says()[0]["end"] == "ConnectionResetError"


def test_a_plain_connection_is_reset_too(wire: Wire) -> None:
    """Towards a peer without ENO a FIN would be the end of the file."""
    with (
        Plain(wire.b, wire.b.ip4, PORT, RECEIVE) as receiver,
        Run(wire.a, wire.b.ip4, PORT, script=SEND) as sender,
    ):
        sender.says()
        kill(sender.relay())
        assert sender.says(2)[1]["error"] in ("ConnectionResetError", "BrokenPipeError")
        assert receiver.says()[0]["end"] == "ConnectionResetError"


def test_killed_and_open(wire: Wire) -> None:
    """Programs run on without a relay; the next command removes the cgroup."""
    with Plain(wire.a, wire.a.ip4, PORT), Served(wire.b, wire.b.ip4, PORT) as server:
        kill(server.relay())
        run = fetch(wire.a, (wire.b.ip4, PORT))
        assert run.said[0]["answer"] and run.reports[0]["reason"] == "syn-ack-without-eno"
    (left,) = cgroups_left()
    fetch(wire.b, (wire.a.ip4, PORT))
    assert not left.exists()


def test_killed_and_closed(wire: Wire) -> None:
    """New connections fail until the last program has ended."""
    shell = 'sleep 0.2; while read line; do "$@"; done'
    words = sys.executable, "-c", FETCH, wire.b.ip4, str(PORT), MARKER
    with Plain(wire.b, wire.b.ip4, PORT):
        options = ["--fail", "closed", "--json"]
        with Run(wire.a, "sh", "-c", shell, "sh", *words, options=options) as run:
            run.type(b"\n")
            assert run.says()[0]["answer"]
            kill(run.relay())
            run.type(b"\n")
            assert run.says(2)[1]["errno"] == errno.ECONNREFUSED
            run.type(b"", end=True)
            run.ended()
        assert fetch(wire.a, (wire.b.ip4, PORT)).said[0]["answer"]


def test_terminated(wire: Wire) -> None:
    """SIGTERM to the relay: an orderly end, connections are reset."""
    with (
        Served(wire.b, wire.b.ip4, PORT),
        Run(wire.a, wire.b.ip4, PORT, options=["--stats"], script=KEEP) as run,
    ):
        assert run.says() == [{"connected": True}]
        os.kill(run.relay(), signal.SIGTERM)
        run.wait(lambda: run.complaints, "sums")
        assert "1 encrypted" in run.complaints[0]
        run.type(b"\n", end=True)
        assert run.says(2)[1]["error"] in ("ConnectionResetError", "BrokenPipeError")


def test_daemons_are_served(wire: Wire) -> None:
    """Until the last of them has ended; `pyeno run` itself is long over."""
    once = ECHO.replace("while True:", "for _ in range(1):")
    with Run(wire.b, wire.b.ip4, PORT, once, script=DAEMON, options=[]) as run:
        assert run.ended() == 0  # standard error is at its end, too
        until(lambda: PORT in listening(wire.b), "the daemon")
        client = fetch(wire.a, (wire.b.ip4, PORT))
        assert client.said[0]["answer"] == MARKER.swapcase()
        assert client.reports[0]["encrypted"]


def test_end_with_command(wire: Wire) -> None:
    once = ECHO.replace("while True:", "for _ in range(1):")
    options = ["--end-with-command"]
    with Run(wire.b, wire.b.ip4, PORT, once, script=DAEMON, options=options) as run:
        assert run.ended() == 0
        until(lambda: PORT in listening(wire.b), "the daemon")
        client = fetch(wire.a, (wire.b.ip4, PORT))
        assert client.said[0]["answer"] == MARKER.swapcase()
        assert client.reports[0]["reason"] == "syn-ack-without-eno"
    assert len(cgroups_left()) <= 1
    fetch(wire.b, (wire.a.ip4, PORT))  # and sweep


def test_what_a_program_sent_goes_out(wire: Wire) -> None:
    """It ends at once; the relay stays until the slow peer has it all."""
    slow = RECEIVE.replace("seen =", "import time; time.sleep(1)\nseen =").replace(
        'seen["end"]', 'seen["size"], seen["end"]'
    )
    slow = slow.replace("print(", 'seen["size"] = size\nprint(')
    send = (
        "import socket, sys\n"
        "sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)\n"
        "sock.sendall(bytes(1 << 20))\n"
    )
    with Run(wire.b, wire.b.ip4, PORT, script=slow) as receiver:
        until(lambda: PORT in listening(wire.b), receiver)
        with Run(wire.a, wire.b.ip4, PORT, script=send) as sender:
            assert sender.process.wait(8) == 0
        (seen,) = receiver.says()
        assert seen == {"end": "fin", "all": False, "size": 1 << 20}


def test_without_privilege(wire: Wire) -> None:
    """One line says what to do, and the program was not started."""
    with Run(wire.a, "echo", "started", before=NOBODY) as run:
        assert run.ended() == 1 and not run.output
        (said,) = run.complaints
    assert said.startswith("pyeno run: ") and said.endswith("sudo pyeno run --user NAME)")


def test_nothing_attached(wire: Wire) -> None:
    """Outside of where pyeno is attached the relay attaches for itself, and only for as
    long as it lives, killed or not."""
    root = mounts.cgroup_root()
    script = f'echo $$ > {root}/cgroup.procs; exec "$@"'
    outside = ["sh", "-c", script, "sh"]
    pins = set(Path("/sys/fs/bpf").iterdir())
    with Served(wire.b, wire.b.ip4, PORT) as server:
        words = wire.b.ip4, PORT, MARKER
        with Run(wire.a, *words, options=["--json"], script=FETCH, before=outside) as client:
            client.ended()
        assert client.reports[0]["encrypted"] and server.next_report()["encrypted"]
    assert set(Path("/sys/fs/bpf").iterdir()) == pins
    assert not list(root.glob("pyeno-run-*")) or cgroups_left() == []
