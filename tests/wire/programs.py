"""pyeno's commands as processes in a namespace, and their JSON.

    with Listen(tun.namespace, 7000, "--echo") as listen:
        ...                                   # anybody connects from port 40001
        assert listen.report(40001)["end"] == "fin"

Processes inherit the cgroup of the test run, so ENO works in them wherever `attached` is
used, whatever namespace they live in.  Whoever is left over is killed by its own handle.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).parents[2]
PATIENCE = 8.0
# the same pyeno as the tests': installed, or where PYTHONPATH says
INHERITED = ("PATH", "PYTHONPATH", "PYTHONSAFEPATH", "PYENO_BACKEND")
TCP_LISTEN = "0A"
# an unprivileged user; the capability only finds an interpreter in somebody's home
_CAPABILITY = "dac_read_search"
NOBODY = [
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
    f"--inh-caps=-all,+{_CAPABILITY}", f"--ambient-caps=-all,+{_CAPABILITY}",
    f"--bounding-set=-all,+{_CAPABILITY}",
]  # fmt: skip


def inside(namespace: Any, call: Callable[[], Any]) -> Any:
    """The call's result, made inside either kind of Namespace (netns.py, tun.py)."""
    enter = getattr(namespace, "inside", None) or namespace.call
    return enter(call)


def listening(namespace: Any) -> set[int]:
    """The TCP ports listened on in a namespace."""

    def read() -> set[int]:
        ports = set()
        for name in "tcp", "tcp6":
            for line in Path(f"/proc/thread-self/net/{name}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == TCP_LISTEN:
                    ports.add(int(fields[1].rpartition(":")[2], 16))
        return ports

    ports: set[int] = inside(namespace, read)
    return ports


class Command:
    """`python -m pyeno` in a namespace.

    `before` are the words of commands to start it with, such as `NOBODY`.
    """

    program: tuple[str, ...] = (sys.executable, "-m", "pyeno")

    def __init__(self, namespace: Any, *arguments: object, before: Sequence[str] = ()) -> None:
        words = ["ip", "netns", "exec", namespace.name, *before]
        words += [*self.program, *map(str, arguments)]
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            words, cwd=ROOT, env=inherited, stdin=pipe, stdout=pipe, stderr=pipe
        )
        self._new = threading.Condition()
        self.reports: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self.output = bytearray()
        assert self.process.stdout is not None and self.process.stderr is not None
        self._threads = [
            threading.Thread(target=self._read_output, args=[self.process.stdout]),
            threading.Thread(target=self._read_reports, args=[self.process.stderr]),
        ]
        for thread in self._threads:
            thread.start()

    def _read_output(self, stream: IO[bytes]) -> None:
        while part := stream.read1(1 << 16):  # type: ignore[attr-defined]
            with self._new:
                self.output += part
                self._new.notify_all()

    def _read_reports(self, stream: IO[bytes]) -> None:
        for line in stream:
            with self._new:
                if line.startswith(b"{"):
                    self.reports.append(json.loads(line))
                else:
                    self.complaints.append(line.decode().rstrip())
                self._new.notify_all()

    def wait(self, ready: Callable[[], Any], what: str = "sign") -> Any:
        """What `ready` gives once it is true; it is asked whenever something was said."""
        until = time.monotonic() + PATIENCE
        with self._new:
            while not (result := ready()):
                assert time.monotonic() < until, f"no {what}: {self}"
                self._new.wait(0.05)
            return result

    def __repr__(self) -> str:
        tail = bytes(self.output[-80:])
        return f"<{self.process.args} {self.reports[-3:]} {self.complaints} {tail!r}>"

    def report(self, port: int) -> dict[str, Any]:
        """The JSON object of the connection with that remote port."""

        def found() -> dict[str, Any] | None:
            mine = [r for r in self.reports if r["peer"].endswith(f":{port}")]
            return mine[-1] if mine else None

        report: dict[str, Any] = self.wait(found, f"report of port {port}")
        return report

    def next_report(self) -> dict[str, Any]:
        """The first JSON object, whoever's."""
        report: dict[str, Any] = self.wait(lambda: self.reports[:1], "report")[0]
        return report

    def received(self, size: int) -> bytes:
        """Standard output, once it has that many bytes."""
        self.wait(lambda: len(self.output) >= size, f"{size} bytes of output")
        return bytes(self.output)

    def type(self, data: bytes, *, end: bool = False) -> None:
        """Write to standard input, without waiting for it to be read; `end` closes it."""
        stdin = self.process.stdin
        assert stdin is not None

        def write() -> None:
            with contextlib.suppress(BrokenPipeError):
                stdin.write(data)
                stdin.flush()
                if end:
                    stdin.close()

        self._threads.append(threading.Thread(target=write))
        self._threads[-1].start()

    def ended(self) -> int:
        """The exit status, once everything the process said has been read."""
        status = self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join()
        return status

    def close(self) -> None:
        """End the process if it still runs, and free its pipes."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.ended()
        for stream in self.process.stdin, self.process.stdout, self.process.stderr:
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Listen(Command):
    """`pyeno listen --json`, ready for connections; `port` may be "ADDRESS:PORT" too."""

    def __init__(
        self, namespace: Any, port: int | str, *arguments: object, before: Sequence[str] = ()
    ) -> None:
        super().__init__(namespace, "listen", "--json", *arguments, port, before=before)
        self.port = int(str(port).rpartition(":")[2])
        until = time.monotonic() + PATIENCE
        try:
            while self.port not in listening(namespace):
                assert time.monotonic() < until and self.process.poll() is None, repr(self)
                time.sleep(0.02)
        except BaseException:
            self.close()
            raise
