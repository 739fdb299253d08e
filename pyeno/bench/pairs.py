"""One run: two processes, each pinned, of which the near one measures.

Both are forked for the run and killed after it, so no run inherits another's
garbage, caches or threads.  What an end has to say comes back as one line of
JSON; a run that does not end in time is an error.
"""

import ctypes
import json
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Protocol, Self

from pyeno.bench.cpus import Cpus
from pyeno.bench.errors import BenchError
from pyeno.bench.places import Place
from pyeno.demo.hosts import ENDING_SIGNALS, deferred

Message = dict[str, Any]
Tell = Callable[[Message], None]
PATIENCE = 5.0
"""seconds that one end may go on after the other has failed"""
_PR_SET_PDEATHSIG = 1


class Peer(NamedTuple):
    """The far end, as the near one sees it."""

    address: tuple[str, int]
    pid: int


class Run(Protocol):
    """What the two ends do."""

    eno: bool
    """its sockets need ENO"""

    def near(self, peer: Peer) -> Any:
        """Measure; what it returns, made of JSON's types, is the result."""

    def far(self, host: str, announce: Callable[[int], None]) -> None:
        """Listen on ``host``, announce the port, serve until killed."""


class End:
    """One forked process; a context manager that kills it."""

    def __init__(self, name: str, work: Callable[[Tell], None]) -> None:
        self.name = name
        self._rest = b""
        self.said: list[Message] = []
        """what nobody has heard yet"""
        self._source, sink = os.pipe()
        with deferred():
            self.pid = os.fork()
            if self.pid == 0:
                _child(work, sink)
        os.close(sink)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with deferred():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self._source)

    def fileno(self) -> int:
        """To wait for what it says."""
        return self._source

    def listen(self) -> None:
        """Add what it has said since, as far as it is complete."""
        read = os.read(self._source, 1 << 16)
        if not read:
            self.said.append({"error": "ended without a word: is memory short?"})
        *lines, self._rest = (self._rest + read).split(b"\n")
        self.said += map(json.loads, lines)


def _child(work: Callable[[Tell], None], sink: int) -> NoReturn:
    """The forked process's whole life."""

    def tell(message: Message) -> None:
        os.write(sink, json.dumps(message).encode() + b"\n")

    try:
        # Ctrl-C is the parent's to handle; it kills its children, or its death does
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        work(tell)
    except BaseException as error:  # the child never returns
        tell({"error": f"{type(error).__name__}: {error}"})
    os._exit(0)


def run_pair(run: Run, place: Place, cpus: Cpus, limit: float) -> Any:
    """The near end's result.  BenchError: an end failed, or ``limit`` seconds passed."""
    deadline = time.monotonic() + limit

    def far(tell: Tell) -> None:
        os.sched_setaffinity(0, {cpus.far})
        place.enter(place.far, run.eno)
        run.far(place.address, lambda port: tell({"port": port}))

    def near(tell: Tell) -> None:
        os.sched_setaffinity(0, {cpus.near})
        place.enter(place.near, run.eno)
        tell({"result": run.near(peer)})

    with End("far end", far) as one:
        port = _heard(one, (), deadline)["port"]
        peer = Peer((place.address, port), one.pid)
        with End("near end", near) as other:
            return _heard(other, (one,), deadline)["result"]


def _heard(end: End, others: Sequence[End], deadline: float) -> Message:
    """What one end says.  BenchError if it failed, with what others say of theirs."""
    waiting, wrong = [end, *others], []
    while True:
        # what goes wrong at the other end is told with what this one makes of it; once
        # this one has its result, nothing is wrong
        for one in [one for one in waiting if one.said]:
            message = one.said.pop(0)
            if "error" not in message:
                return message
            wrong.append(f"{one.name}: {message['error']}")
            waiting.remove(one)
            deadline = min(deadline, time.monotonic() + PATIENCE)
        if end not in waiting:
            raise BenchError("; ".join(reversed(wrong)))
        left = deadline - time.monotonic()
        if left <= 0:
            raise BenchError("; ".join([*wrong, f"the {end.name} did not end in time"]))
        for one in select.select(waiting, (), (), left)[0]:
            one.listen()
