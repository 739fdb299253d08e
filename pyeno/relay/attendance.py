"""How long a relay of ``pyeno run`` stays: until nobody needs it.

That is when the last process of the command's cgroup has ended, daemons that it
left behind among them, and what they sent has gone out.
"""

import os
import select
import threading
from collections.abc import Callable

from pyeno import cgroups
from pyeno.relay.launch import Parent, leave_stderr
from pyeno.relay.loop import Loop

DRAIN_SECONDS = 60.0
"""for connections of programs that have ended, as long as the kernel keeps theirs
(net.ipv4.tcp_fin_timeout)"""


class Attendance:
    """Watches the command and its cgroup on the relay's loop."""

    def __init__(
        self,
        parent: Parent,
        loop: Loop,
        stop: Callable[[], None],
        *,
        idle: Callable[[], bool],
        keep_stderr: bool = False,
        end_with_command: bool = False,
    ) -> None:
        self._parent, self._loop, self._stop, self._idle = parent, loop, stop, idle
        self._keep_stderr = keep_stderr
        self._end_with_command = end_with_command
        self._command_ended = False
        self._timer: threading.Timer | None = None
        self._pidfd = os.pidfd_open(parent.pid)
        self._events = os.open(parent.cgroup / "cgroup.events", os.O_RDONLY)
        loop.watch(self._pidfd, select.EPOLLIN, self._ended)
        loop.watch(self._events, select.EPOLLPRI, self._changed)

    def look(self) -> None:
        """Whenever a connection has ended: is all done?"""
        if self._timer is not None and self._idle():
            self._stop()

    def close(self) -> None:
        """The relay ends."""
        if self._timer is not None:
            self._timer.cancel()
        for descriptor in (self._pidfd, self._events):
            self._loop.forget(descriptor)
            os.close(descriptor)

    def _ended(self, _: int) -> None:
        self._loop.forget(self._pidfd)
        self._command_ended = True
        if self._end_with_command:
            self._stop()
        elif not self._empty() and not self._keep_stderr:
            leave_stderr()

    def _changed(self, _: int) -> None:
        os.pread(self._events, 4096, 0)  # takes the event
        self._empty()

    def _empty(self) -> bool:
        """Nobody is there any more: give what was sent its time."""
        if not self._command_ended or cgroups.populated(self._parent.cgroup):
            return False
        if self._timer is None:
            self._timer = threading.Timer(DRAIN_SECONDS, self._stop)
            self._timer.daemon = True
            self._timer.start()
        self.look()
        return True
