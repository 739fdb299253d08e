"""One thread's epoll: calls back when descriptors are ready, and when asked to."""

import contextlib
import os
import select
from collections import deque
from collections.abc import Callable
from typing import Self

Call = Callable[[int], None]
"""gets the events, ``select.EPOLLIN`` and so on"""
_EVENTS_MAX = 512


class Loop:
    """Runs in one thread; :meth:`soon` and :meth:`stop` may be called from any, and
    from signal handlers."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Call] = {}
        self._queue: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = False
        self.watch(self._wake, select.EPOLLIN, self._woken)

    def watch(self, descriptor: int, events: int, call: Call) -> None:
        """From now on, level-triggered."""
        self._epoll.register(descriptor, events)
        self._calls[descriptor] = call

    def change(self, descriptor: int, events: int) -> None:
        """Other events of one that is watched."""
        self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Before it is closed, or given away; one that is not watched is no error."""
        if self._calls.pop(descriptor, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(descriptor)

    def soon(self, call: Callable[[], None]) -> None:
        """Let the loop's thread do it."""
        self._queue.append(call)
        with contextlib.suppress(BlockingIOError, OSError):  # full: it wakes anyway
            os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """:meth:`run` returns."""
        self._stopping = True
        self.soon(lambda: None)

    def run(self, tick: Callable[[], float | None] | None = None) -> None:
        """Until :meth:`stop`.  ``tick`` is called after every wait, and says how many
        seconds the next one may last at most; None: any time."""
        poll, calls = self._epoll.poll, self._calls
        seconds: float | None = None
        while not self._stopping:
            for descriptor, events in poll(seconds, _EVENTS_MAX):
                call = calls.get(descriptor)
                if call is not None:
                    call(events)
            seconds = None if tick is None else tick()
        self._stopping = False

    def _woken(self, _: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        for _ in range(len(self._queue)):
            self._queue.popleft()()

    def close(self) -> None:
        """What is watched stays open."""
        self._epoll.close()
        os.close(self._wake)
        self._calls.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
