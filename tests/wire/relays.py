"""Relays as services in namespaces, and the unmodified programs that they serve.

with Side(wire.a, "a") as side:                 # a cgroup for programs
    with side.relay(log={"format": "json"}):    # `pyeno relay` for that cgroup
        side.program(CODE, *arguments)          # plain Python in it
"""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wire.netns import Namespace
from wire.programs import PATIENCE, Command

from pyeno import mounts
from pyeno.relay import control

_numbers = itertools.count()
_INTO = 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"'
# back to where cgroup2 and bpffs are: `ip netns exec` hides them
OUR_MOUNTS = ["nsenter", "-t", str(os.getpid()), "-m"]

SERVER = """
import socket, sys, threading
def serve(sock, peer):
    with sock:
        while data := sock.recv(65536):
            sock.sendall(data.upper())
        sock.sendall(repr(peer).encode())
        sock.shutdown(socket.SHUT_WR)
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family, backlog=64)
print("listening", flush=True)
while True:
    threading.Thread(target=serve, args=listener.accept()).start()
"""
"""Echoes in capitals; at the end of the stream says who connected."""

CLIENT = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 8)
print(sock.getsockname(), sock.getpeername(), flush=True)
for line in sys.stdin.buffer:
    sock.sendall(line)
    got = b""
    while len(got) < len(line):
        part = sock.recv(65536)
        if not part:
            sys.exit("end of stream")
        got += part
    sys.stdout.buffer.write(got)
    sys.stdout.buffer.flush()
sock.shutdown(socket.SHUT_WR)
print(sock.makefile().read())
"""
"""Sends line by line, and prints what comes back."""


def toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str | Path) else str(value)


class Service(Command):
    """`pyeno relay --config`, once it is ready; ``reports`` are its log."""

    def __init__(
        self, namespace: Namespace, path: Path, *more: str, before: Sequence[str] = ()
    ) -> None:
        words = ("relay", "--config", str(path), *more)
        super().__init__(namespace, *words, before=[*OUR_MOUNTS, *before])
        self.path = path
        try:
            self.wait(lambda: self.events("began") or self.process.poll() is not None)
        except BaseException:
            self.close()
            raise

    def events(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.reports if line["event"] == event]

    def event(self, event: str, count: int = 1) -> dict[str, Any]:
        """The newest, once there are so many."""
        self.wait(lambda: len(self.events(event)) >= count, event)
        return self.events(event)[-1]

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def status(self) -> dict[str, Any]:
        """What it answers on its control socket."""
        (told,) = [one for one in control.ask("status") if one.name == self.path.stem]
        status: dict[str, Any] = told.value
        return status

    def end(self) -> int:
        """By SIGTERM; the exit status."""
        self.signal(signal.SIGTERM)
        return self.ended()


class Program:
    """Plain Python, which knows nothing of pyeno."""

    def __init__(self, side: "Side", code: str, *arguments: object) -> None:
        words = ["sh", "-c", _INTO, "sh", str(side.cgroup), "ip", "netns", "exec"]
        words += [side.namespace.name, sys.executable, "-I", "-c", code, *map(str, arguments)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe)
        assert self.process.stdin and self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def line(self) -> str:
        """The next one it prints."""
        return self.stdout.readline().decode().rstrip("\n")

    def say(self, text: str) -> str:
        """The answer to a line."""
        self.stdin.write(text.encode() + b"\n")
        self.stdin.flush()
        return self.line()

    def finish(self) -> tuple[int, str, str]:
        """Exit status and what it printed, after the end of its input."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out.decode().rstrip("\n"), err.decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        with contextlib.suppress(ValueError, OSError):
            self.process.communicate(timeout=PATIENCE)


class Side:
    """A host: its namespace, a cgroup for its programs, a place for its files."""

    def __init__(self, namespace: Namespace, files: Path) -> None:
        self.namespace, self.files = namespace, files
        own = mounts.own_cgroup()
        assert own
        self.cgroup = own / f"programs-{next(_numbers)}"
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Side":
        self.cgroup.mkdir()
        self._stack.callback(self._remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _remove(self) -> None:
        until = time.monotonic() + PATIENCE
        while "populated 1" in (self.cgroup / "cgroup.events").read_text():
            assert time.monotonic() < until, f"{self.cgroup} is in use"
            time.sleep(0.02)
        self.cgroup.rmdir()

    def config(self, **tables: Any) -> Path:
        """A configuration file for this cgroup; tables are dictionaries."""
        name = f"eno-k-{os.getpid()}-{self.namespace.name[-2:]}.toml"
        given = {"cgroups": [self.cgroup], "log.format": "json"}
        for table, values in tables.items():
            inner = values.items() if isinstance(values, dict) else [(None, values)]
            given |= {f"{table}.{key}" if key else table: value for key, value in inner}
        path = self.files / name
        path.write_text("".join(f"{key} = {toml(value)}\n" for key, value in given.items()))
        return path

    @contextlib.contextmanager
    def relay(self, **tables: Any) -> Iterator[Service]:
        try:
            with Service(self.namespace, self.config(**tables)) as service:
                assert service.process.poll() is None, service
                yield service
        finally:
            control.ask("status")  # removes the sockets of those that were killed

    def program(self, code: str, *arguments: object) -> Program:
        """It is gone when the side is."""
        program = Program(self, code, *arguments)
        self._stack.callback(program.close)
        return program

    def server(self, address: str, port: int) -> Program:
        """:data:`SERVER`, listening."""
        program = self.program(SERVER, address, port)
        assert program.line() == "listening"
        return program
