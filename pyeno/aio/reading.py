"""The receiving side of a transport."""

import asyncio
import time
import weakref
from typing import Any

from pyeno.aio.reader import EnoStreamReader
from pyeno.aio.writing import Writing
from pyeno.errors import PyenoError
from pyeno.sockets import batches
from pyeno.sockets.raw import BaseSocket

ROOM_MIN, ROOM_MAX, ROOM_GROWTH = 1 << 10, batches.SIZE, 8
"""bytes to receive at once: what an idle connection keeps, and what bulk uses: all that
the peer seals at once, so that no frame is cut, whose beginning would have to move"""
READ_SIZE = 1 << 18
"""application bytes in one ``data_received`` at most"""

_recv_into = BaseSocket.recv_into  # type: ignore[attr-defined]


class Reading(Writing):
    """From the readable socket to the protocol.

    Frames are opened where the kernel wrote them, then copied once: into the
    BufferedProtocol's buffer, the bytes of ``data_received``, or those that a
    waiting ``EnoStreamReader.read()`` returns.
    """

    __slots__ = (
        "_arrived", "_buffered", "_ended", "_eof", "_paused", "_pump_due", "_reader", "_room",
        "_watching", "heard",
    )  # fmt: skip

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._room = ROOM_MIN
        self._arrived = self._connection.opened + self._connection.buffered
        """stream bytes received"""
        self._paused = False
        self._watching = False
        self._ended = False
        """TCP's end of stream was seen, authenticated or not"""
        self._eof = False
        """the protocol was told of the authenticated one"""
        self._pump_due = False
        self._buffered = False
        self.heard = 0.0
        """when stream bytes came last, by the monotonic clock"""
        self._reader: weakref.ref[EnoStreamReader] | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        super().set_protocol(protocol)
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)
        reader = getattr(protocol, "_stream_reader", None)
        # weak, as the protocol's own: a reader nobody holds ends its connection
        self._reader = weakref.ref(reader) if isinstance(reader, EnoStreamReader) else None

    def is_reading(self) -> bool:
        return not (self._closing or self._paused)

    def pause_reading(self) -> None:
        """No data_received until resume_reading(); may be called twice."""
        # the reader stays: most pauses end before the next event, and each
        # change costs an epoll_ctl(2)
        self._paused = True

    def resume_reading(self) -> None:
        """What was received meanwhile comes first; may be called twice."""
        if self._paused and not self._closing:
            self._paused = False
            self._watch()
            self._pump_soon()

    def _watch(self) -> None:
        if not (self._watching or self._ended or self._closing):
            self._watching = True
            self._loop.add_reader(self._fd, self._readable)

    def _unwatch(self) -> None:
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self._fd)

    def _pump_soon(self) -> None:
        if not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self._pump_later)

    def _pump_later(self) -> None:
        self._pump_due = False
        self._pump()

    def _stop_reading(self) -> None:
        self._unwatch()

    def _release(self) -> None:
        self._unwatch()
        self._reader = None
        super()._release()

    # -- events --------------------------------------------------------------

    def _readable(self) -> None:
        if self._paused:
            self._unwatch()
            return
        connection = self._connection
        try:
            count: int = _recv_into(self._sock, connection.room(self._room))
            if not count:
                self._ended = True
                self._unwatch()
            else:
                self.heard = time.monotonic()
                connection.received(count)
                self._arrived += count
                if count == self._room:
                    self._room = min(self._room * ROOM_GROWTH, ROOM_MAX)
                elif count < ROOM_MIN:
                    self._room = ROOM_MIN  # the opener gives a large buffer back
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, PyenoError) as error:
            self._fatal(error)
            return
        self._pump()

    def _pump(self) -> None:
        """Give the protocol all there is, then the end."""
        try:
            while not (self._paused or self._closing) and self._deliver():
                if self._connection.opened == self._arrived and not self._connection.awaited:
                    break
            if self._connection.owes and not self._closing:
                self._flush()  # a rekey is answered at once (RFC 8548 section 3.8)
            if self._paused or self._closing or self._eof:
                return
            if self._connection.finished:
                self._finished_receiving()
            elif self._ended:
                self._connection.receive_eof()
        except (OSError, PyenoError) as error:
            self._fatal(error)

    def _deliver(self) -> int:
        """One piece; 0 when no frame is left that can be opened, which also is when
        what is wrong with the next one is told."""
        if self._buffered:
            return self._deliver_buffered()
        reader = None if self._reader is None else self._reader()
        if reader is None:
            data = self._connection.read(READ_SIZE)
        else:
            data = self._connection.read(reader.wanted or reader.piece)
        if data:
            if reader is not None and reader.wanted:
                reader.hand(data)
            else:
                self._call(self._protocol.data_received, data)
        return len(data)

    def _deliver_buffered(self) -> int:
        buffer = self._call(self._get_buffer)
        if self._lost:
            return 0
        count = self._connection.read_into(buffer)
        if count:
            self._call(self._protocol.buffer_updated, count)
        return count

    def _get_buffer(self) -> memoryview:
        buffer = memoryview(self._protocol.get_buffer(-1)).cast("B")
        if not buffer:
            raise RuntimeError("get_buffer() returned an empty buffer")
        return buffer

    def _finished_receiving(self) -> None:
        self._eof = True
        keep_open = self._call(self._protocol.eof_received)
        if not keep_open:
            self.close()
