"""Programs that know nothing of ENO, under `pyeno run`, and a peer's part played.

    with Served(wire.b) as server, Run(wire.a, "--json", script=FETCH, ...) as client:

The programs are short Python scripts with plain sockets; they print what they see as JSON.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wire.netns import Namespace
from wire.programs import PATIENCE, Command, listening

from pyeno import mounts

ECHO = """
import json, socket, sys
host, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
listener = socket.create_server((host, port), family=family)
while True:
    sock, peer = listener.accept()
    seen = {"accepted": peer[:2], "name": sock.getsockname()[:2]}
    print(json.dumps(seen | {"peer": sock.getpeername()[:2]}), flush=True)
    try:
        while data := sock.recv(1 << 16):
            sock.sendall(data.swapcase())
        sock.close()
        print(json.dumps({"end": "fin"}), flush=True)
    except OSError as error:
        print(json.dumps({"end": error.errno}), flush=True)
"""
"""Sends back what comes, letters swapped; half-close is honoured."""

FETCH = """
import json, socket, sys
host, port, text = sys.argv[1], int(sys.argv[2]), sys.argv[3]
source = (sys.argv[4], 0) if len(sys.argv) > 4 else None
seen = {}
try:
    sock = socket.create_connection((host, port), 5, source)
    seen |= {"name": sock.getsockname()[:2], "peer": sock.getpeername()[:2]}
    sock.sendall(text.encode())
    sock.shutdown(socket.SHUT_WR)
    answer = b""
    while data := sock.recv(1 << 16):
        answer += data
    seen["answer"] = answer.decode()
except OSError as error:
    seen["errno"] = error.errno
    seen["error"] = type(error).__name__
print(json.dumps(seen), flush=True)
"""
"""Sends a text and reads until the end of stream."""

MARKER = "plaintext-marker-" * 3


class Script(Command):
    """A script on its own, that prints JSON."""

    program = (sys.executable, "-c")

    @property
    def said(self) -> list[dict[str, Any]]:
        """What the script printed."""
        return [json.loads(line) for line in bytes(self.output).splitlines()]

    def says(self, count: int = 1) -> list[dict[str, Any]]:
        """That many lines."""
        lines: list[dict[str, Any]] = self.wait(
            lambda: self.said[:count] if self.output.count(b"\n") >= count else None, "line"
        )
        return lines


class Run(Script):
    """`pyeno run` of a script, or of any command; it may take a moment to be the program."""

    program = Command.program

    def __init__(
        self,
        namespace: Namespace,
        *arguments: object,
        options: Sequence[object] = (),
        script: str | None = None,
        before: Sequence[str] = (),
    ) -> None:
        python = [] if script is None else [sys.executable, "-c", script]
        super().__init__(namespace, "run", *options, "--", *python, *arguments, before=before)

    def relay(self) -> int:
        """The process id of its relay, which kept the command line."""
        tail = [os.fsencode(str(word)) for word in self.process.args[5:]]  # type: ignore[index]
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")[:-1]
                pid = int(path.parent.name)
                if words[-len(tail) :] == tail and b"run" in words and pid != self.process.pid:
                    return pid
        raise AssertionError(f"no relay: {self}")


class Served(Run):
    """The echo program listens."""

    def __init__(self, namespace: Namespace, host: str, port: int, *options: object) -> None:
        super().__init__(namespace, host, port, options=("--json", *options), script=ECHO)
        self.address = host, port
        try:
            until(lambda: port in listening(namespace), self)
        except BaseException:
            self.close()
            raise


class Plain(Script):
    """A program listens, without `pyeno run`."""

    def __init__(self, namespace: Namespace, host: str, port: int, script: str = ECHO) -> None:
        super().__init__(namespace, script, host, port)
        try:
            until(lambda: port in listening(namespace), self)
        except BaseException:
            self.close()
            raise


def plain_fetch(namespace: Namespace, address: tuple[str, int]) -> dict[str, Any]:
    """What the client program sees without `pyeno run`."""
    with Script(namespace, FETCH, *address, MARKER) as script:
        return script.says()[0]


def fetch(namespace: Namespace, address: tuple[str, int], *options: object) -> Run:
    """The client program, ended, relay and all."""
    run = Run(namespace, *address, MARKER, options=("--json", *options), script=FETCH)
    with run:
        run.ended()
    return run


def until(ready: Callable[[], Any], what: object) -> None:
    """For what nobody tells."""
    last = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < last, what
        time.sleep(0.02)


def cgroups_left() -> list[Path]:
    """Of runs, whoever's below the tests' cgroup."""
    home = mounts.own_cgroup()
    assert home is not None
    return list(home.glob("pyeno-run-*"))


def kill(pid: int) -> None:
    """And wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists(), f"process {pid}")
