"""Unmodified software in two namespaces, each end under ``pyeno run`` or not.

A program keeps its process id under ``pyeno run``; the relay beside it says on
the same standard error what became of each connection, and ends by itself.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from wire.netns import Namespace
from wire.programs import INHERITED, listening

PATIENCE = 60.0
Record = dict[str, Any]
RECORD = '{"direction"'
_decoder = json.JSONDecoder()


class Side(NamedTuple):
    """How one end runs its program."""

    eno: bool = False
    require: bool = False
    user: str | None = None
    options: tuple[str, ...] = ()

    def words(self, namespace: Namespace, program: Sequence[object]) -> list[str]:
        """``nsenter`` leaves /sys as it is, which ``ip netns exec`` does not."""
        words = ["nsenter", f"--net=/run/netns/{namespace.name}"]
        if self.eno:
            words += [sys.executable, "-m", "pyeno", "run", "--json", *self.options]
            words += ["--require"] if self.require else []
            words += ["--user", self.user] if self.user else []
            words += ["--"]
        elif self.user:
            words += [
                "setpriv",
                f"--reuid={self.user}",
                f"--regid={self.user}",
                "--init-groups",
            ]
        return words + [str(word) for word in program]


class Done(NamedTuple):
    """A program that has ended."""

    status: int
    output: bytes
    complaints: str
    records: list[Record]

    def well(self) -> Self:
        """AssertionError with what it complained of unless it worked."""
        assert self.status == 0, f"exit status {self.status}: {self.complaints}"
        return self


class Running:
    """A program that has been started; a context manager that ends it, by its own handle."""

    def __init__(
        self,
        side: Side,
        namespace: Namespace,
        program: Sequence[object],
        scratch: Path,
        stdin: bytes | None = None,
    ) -> None:
        self._errors = scratch / f"{time.monotonic_ns()}.err"
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                side.words(namespace, program),
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors, cwd="/", env=inherited,
                start_new_session=True,
            )  # fmt: skip
        self._stdin = stdin
        self._namespace = namespace

    def ready(self, *ports: int) -> Self:
        """Once it listens."""
        until = time.monotonic() + PATIENCE
        while not set(ports) <= listening(self._namespace):
            assert self.process.poll() is None and time.monotonic() < until, self.complaints()
            time.sleep(0.05)
        return self

    def _said(self) -> tuple[list[Record], str]:
        """Records, and what is left: programs write lines in pieces, and the relay between."""
        text, found, rest = self._errors.read_text(errors="replace"), [], ""
        while RECORD in text:
            before, _, after = text.partition(RECORD)
            try:
                record, end = _decoder.raw_decode(RECORD + after)
            except ValueError:
                break  # still being written
            found.append(record)
            rest, text = rest + before, (RECORD + after)[end:].removeprefix("\n")
        return found, rest + text

    def complaints(self) -> str:
        """All that it said on standard error, the relay's records left out."""
        return self._said()[1]

    def records(self, enough: Callable[[list[Record]], Any] = bool) -> list[Record]:
        """What the relay said of connections that have ended, once that is enough."""
        until = time.monotonic() + PATIENCE
        while True:
            found, rest = self._said()
            if enough(found):
                return found
            assert time.monotonic() < until, f"only {found}; {rest}"
            time.sleep(0.05)

    def done(self, relayed: bool) -> Done:
        """After its end; ``relayed``: a relay has something to say about it."""
        output, _ = self.process.communicate(self._stdin, timeout=PATIENCE * 5)
        records = self.records() if relayed else []
        return Done(self.process.returncode, output, self.complaints(), records)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
