"""Which processor each end is pinned to, and how much of it a process took."""

import os
import resource
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from pyeno.bench.summary import Figures

_PAGE = resource.getpagesize()
# linux/posix-timers.h: the clock of what a whole process has used
_CPUCLOCK_SCHED = 2


class Cpus(NamedTuple):
    """Processors of the near end (active opener) and of the far end."""

    near: int
    far: int

    @classmethod
    def choose(cls) -> "Cpus":
        """The first and the last that this process may use."""
        allowed = os.sched_getaffinity(0)
        return cls(min(allowed), max(allowed))

    @property
    def together(self) -> "Cpus":
        """Both ends on one."""
        return Cpus(self.near, self.near)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, of all its threads, user and system."""
    return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)


def resident(pid: int) -> int:
    """Bytes of physical memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


class Stopwatch:
    """Wall time, and both ends' CPU time, of what is done inside it."""

    def __init__(self, far: int) -> None:
        self._pids = (os.getpid(), far)

    def __enter__(self) -> Self:
        self._cpu = sum(map(cpu_seconds, self._pids))
        self._begun = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.seconds = time.perf_counter() - self._begun
        self.cpu = sum(map(cpu_seconds, self._pids)) - self._cpu

    def figures(self, amount: int) -> Figures:
        """``amount`` per second, and CPU nanoseconds of both ends for each."""
        return {
            "per_second": amount / self.seconds,
            "cpu_ns": self.cpu / amount * 1e9,
            "seconds": self.seconds,
        }
