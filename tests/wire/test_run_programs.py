"""`pyeno run` of others' programs, at a terminal, and over dual-stack sockets."""

import hashlib
import os
import pty
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from wire.netns import Wire
from wire.programs import PATIENCE, ROOT, listening
from wire.relayed import FETCH, MARKER, Run, Served, cgroups_left, until

pytestmark = pytest.mark.wire
PORT = 7320
MAPPED = "::ffff:"


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    until(lambda: not cgroups_left(), "cgroups of runs are left")


@pytest.mark.parametrize("family", ["ip4", "ip6"])
def test_curl(wire: Wire, tmp_path: Path, family: str) -> None:
    """A download through both relays is what it was, and nothing of it was readable."""
    host = getattr(wire.b, family)
    data = MARKER.encode() * (1 << 19)
    (tmp_path / "file").write_bytes(data)
    serve = ["-m", "http.server", "--bind", host, "--directory", tmp_path, PORT]
    url = f"http://[{host}]:{PORT}/file" if family == "ip6" else f"http://{host}:{PORT}/file"
    with Run(wire.b, sys.executable, *serve, options=["--json"]) as server:
        until(lambda: PORT in listening(wire.b), server)
        with (
            wire.capture() as seen,
            Run(wire.a, "curl", "-sS", url, options=["--json"]) as curl,
        ):
            assert curl.ended() == 0
        assert hashlib.sha256(curl.output).digest() == hashlib.sha256(data).digest()
        assert curl.reports[0]["encrypted"] and curl.reports[0]["end"] == "fin"
        assert curl.reports[0]["bytes_in"] > len(data)
    assert MARKER.encode() not in b"".join(segment.payload for segment in seen.segments)


def test_netcat_half_close(wire: Wire) -> None:
    """It sends, ends its stream, and still gets the answer."""
    with Served(wire.b, wire.b.ip4, PORT):
        words = "nc", "-N", wire.b.ip4, PORT
        with Run(wire.a, *words, options=["--json"]) as netcat:
            netcat.type(b"Half Closed", end=True)
            assert netcat.ended() == 0
    assert bytes(netcat.output) == b"hALF cLOSED"
    assert netcat.reports[0]["encrypted"] and netcat.reports[0]["end"] == "fin"


def test_dual_stack_sockets(wire: Wire) -> None:
    """IPv4 from and at an IPv6 socket: shown mapped, as ever."""
    fetch = FETCH.replace(
        "sock = socket.create_connection((host, port), 5, source)",
        "sock = socket.socket(socket.AF_INET6); sock.settimeout(5); sock.connect((host, port))",
    )
    serve = """
import json, socket, sys
listener = socket.create_server(("::", int(sys.argv[2])), family=socket.AF_INET6,
                                dualstack_ipv6=True)
sock, peer = listener.accept()
print(json.dumps({"accepted": peer[:2], "name": sock.getsockname()[:2]}), flush=True)
while data := sock.recv(1000):
    sock.sendall(data.swapcase())
sock.close()
"""
    with Run(wire.b, wire.b.ip4, PORT, options=["--json"], script=serve) as server:
        until(lambda: PORT in listening(wire.b), server)
        words = MAPPED + wire.b.ip4, PORT, MARKER
        with Run(wire.a, *words, options=["--json"], script=fetch) as client:
            client.ended()
        (seen,), (accepted,) = client.said, server.says()
        assert seen["answer"] == MARKER.swapcase()
        assert seen["peer"] == accepted["name"] == [MAPPED + wire.b.ip4, PORT]
        assert seen["name"] == accepted["accepted"]
        assert seen["name"][0] == MAPPED + wire.a.ip4
        assert client.reports[0]["encrypted"]
        assert client.reports[0]["peer"] == f"{wire.b.ip4}:{PORT}"


# a shell's part: the program in a process group of its own, in the foreground
SHELL = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
pid = os.fork()
if not pid:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    status = os.waitpid(pid, os.WUNTRACED)[1]
    if not os.WIFSTOPPED(status):
        break
    print("stopped", flush=True)
    os.killpg(pid, signal.SIGCONT)
print("ended", os.waitstatus_to_exitcode(status), flush=True)
"""


WAITS = """
import signal
try:
    print("ready", flush=True)
    while True:
        signal.pause()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    raise SystemExit(3)
"""


class Terminal:
    """`pyeno run` as a shell starts it: in the foreground of a terminal."""

    def __init__(self, wire: Wire, *words: str) -> None:
        command = [
            "ip",
            "netns",
            "exec",
            wire.a.name,
            sys.executable,
            "-m",
            "pyeno",
            "run",
            "--",
        ]
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.chdir(ROOT)
            shell = [sys.executable, "-c", SHELL, *command, *words]
            os.execv(sys.executable, shell)  # noqa: S606
        self.output = b""

    def read_until(self, text: bytes) -> None:
        last = time.monotonic() + PATIENCE
        while text not in self.output:
            assert time.monotonic() < last, self.output
            if select.select([self.fd], [], [], 0.1)[0]:
                self.output += os.read(self.fd, 1000)

    def close(self) -> None:
        """Its hang-up ends whoever is left."""
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def test_terminal_signals_and_job_control(wire: Wire) -> None:
    """Ctrl-Z stops the program, SIGCONT goes on, Ctrl-C ends it: the relay hears nothing."""
    # no shell: one that is stopped between fork and exec of a child does not stop itself
    terminal = Terminal(wire, sys.executable, "-c", WAITS)
    try:
        terminal.read_until(b"ready")
        os.write(terminal.fd, b"\x1a")
        terminal.read_until(b"stopped")
        os.write(terminal.fd, b"\x03")
        terminal.read_until(b"interrupted")
        terminal.read_until(b"ended 3")
    finally:
        terminal.close()
