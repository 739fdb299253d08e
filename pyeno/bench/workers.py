"""The processes in which ``stages.py`` runs, one for each implementation."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from pyeno.bench.errors import BenchError
from pyeno.bench.stages import FOREIGN
from pyeno.demo.hosts import stop

TWINS = ("native", "pure")


class Worker:
    """One of them, pinned; a context manager."""

    def __init__(self, implementation: str, cpu: int, python: str = sys.executable) -> None:
        """``python``: of the environment whose pyeno it measures."""
        self.name = implementation
        twin = implementation in TWINS
        environment = {"PYENO_BACKEND": implementation if twin else "pure"}
        # if this process goes, its standard input ends, and with it the worker
        self._process = subprocess.Popen(
            [python, "-m", "pyeno.bench.stages", implementation],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=os.environ | environment, start_new_session=True,
        )  # fmt: skip
        os.sched_setaffinity(self._process.pid, {cpu})
        self.cases: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        stop(self._process)

    def ready(self) -> Self:
        """Once it has imported everything.  BenchError with its last words if it cannot."""
        self.cases = tuple(self._answer())
        return self

    def run(self, case: str, seconds: float) -> float:
        """Nanoseconds for one call."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([case, seconds]).encode() + b"\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout is not None and self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            words = self._process.stderr.read().decode(errors="replace").splitlines()
            raise BenchError(words[-1] if words else "it ended without a word")
        return json.loads(line)


def start(stack: ExitStack, cpu: int, notes: list[str]) -> list[Worker]:
    """Every implementation that runs here; a note for each that does not."""
    workers = [stack.enter_context(Worker(name, cpu)) for name in (*TWINS, *FOREIGN)]
    able = []
    for worker in workers:
        try:
            able.append(worker.ready())
        except BenchError as error:
            mend = f" (pip install {worker.name})" if worker.name in FOREIGN else ""
            notes.append(f"stages: no {worker.name}: {error}{mend}")
    return able
