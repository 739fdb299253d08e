"""The key exchange of one connection, driven by a loop."""

import asyncio
from collections.abc import Callable

from pyeno.sockets.link import Link
from pyeno.sockets.sock import Socket

CLOCK_SECONDS = 0.01
"""how much later than its deadline a key exchange is looked at: clocks differ"""


class Opening:
    """Calls ``do_handshake()`` whenever it can go on, and ``done`` once, with its
    error or None.  Until then ``cancel()`` stops it; the socket stays the caller's."""

    __slots__ = ("_done", "_fd", "_loop", "_sock", "_timer", "_watching", "_writing")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: Socket,
        done: Callable[[Exception | None], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._done = done
        self._timer: asyncio.TimerHandle | None = None
        self._watching = self._writing = False

    def step(self) -> None:
        """Go on as far as possible now."""
        try:
            link = self._sock.link()
            if link is not None:
                link.leave_timer()
            self._sock.do_handshake()
        except BlockingIOError:
            self._wait()
        except Exception as error:
            self.cancel()
            self._done(error)
        else:
            self.cancel()
            self._done(None)

    def cancel(self) -> None:
        """Watch the socket no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._watch_writing(False)
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self._fd)

    def _wait(self) -> None:
        if not self._watching:
            self._watching = True
            self._loop.add_reader(self._fd, self.step)
            self._arm(self._sock.config.handshake_timeout)
        # no verdict yet, or no room for an Init message
        self._watch_writing(self._sock.wants_room())

    def _arm(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds + CLOCK_SECONDS, self._late)

    def _late(self) -> None:
        self._arm(0)
        self.step()

    def _watch_writing(self, wanted: bool) -> None:
        if wanted and not self._writing:
            self._loop.add_writer(self._fd, self.step)
        elif self._writing and not wanted:
            self._loop.remove_writer(self._fd)
        self._writing = wanted


async def opened(loop: asyncio.AbstractEventLoop, sock: Socket) -> Link | None:
    """Agree on keys; None: this connection is plain TCP.

    Raises EncryptionRequiredError, RemoteProtocolError, OSError.  Whoever
    awaits it owns the socket and aborts it after an error or cancellation.
    """
    waiter = loop.create_future()

    def done(error: Exception | None) -> None:
        if waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)

    opening = Opening(loop, sock, done)
    opening.step()
    try:
        await waiter
    finally:
        opening.cancel()
    return sock.link()
