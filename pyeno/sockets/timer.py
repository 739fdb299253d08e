"""One daemon thread for all connections whose peers must prove that they live.

It is started by the first of them and ends when none is left.  It holds
connections weakly, waits for nothing but the clock, and no lock of theirs.
"""

import heapq
import itertools
import os
import threading
import time
import weakref
from typing import Protocol

from pyeno.errors import PyenoError


class Tended(Protocol):
    """What wants to be looked at now and then."""

    def tend(self) -> float | None:
        """Look; when to do so again, by the monotonic clock, or None."""


class Timer:
    """Calls ``tend()`` of each when it is due."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: list[tuple[float, int, weakref.ref[Tended]]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def watch(self, tended: Tended, due: float) -> None:
        """Look at it from ``due`` on, for as long as it wishes."""
        with self._changed:
            heapq.heappush(self._queue, (due, next(self._numbers), weakref.ref(tended)))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="pyeno keep-alive", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while (next_one := self._await()) is not None:
            self._tend(next_one)

    def _await(self) -> "weakref.ref[Tended] | None":
        """The next that is due; None, and no thread any more, if there is none."""
        with self._changed:
            while self._queue:
                left = self._queue[0][0] - time.monotonic()
                if left <= 0:
                    return heapq.heappop(self._queue)[2]
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
            self._thread = None
            return None

    def _tend(self, reference: "weakref.ref[Tended]") -> None:
        tended = reference()
        if tended is None:
            return
        try:
            due = tended.tend()
        except (OSError, PyenoError):
            return  # it has ended, and says so to whoever uses it
        if due is not None:
            self.watch(tended, due)


_timer = Timer()


def watch(tended: Tended, due: float) -> None:
    """See :meth:`Timer.watch`."""
    _timer.watch(tended, due)


def _forked() -> None:
    """The child has no such thread, and its connections stayed with the parent."""
    global _timer
    _timer = Timer()


os.register_at_fork(after_in_child=_forked)
