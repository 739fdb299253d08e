"""The sending side of a transport.

Application bytes are sealed as late as possible: what the kernel does not take
waits as plaintext, so that many small writes become few frames.  What was
sealed and not taken goes out first, unchanged: the same offset always carries
the same bytes (RFC 8548 section 3.6).
"""

import socket
from collections import deque
from collections.abc import Iterable
from typing import Any

from pyeno._values import Buffer
from pyeno.aio.ending import Ending
from pyeno.errors import PyenoError
from pyeno.sockets import batches
from pyeno.sockets.raw import BaseSocket

HIGH_WATER = 64 * 1024
"""bytes waiting before ``pause_writing``, as asyncio's own transports"""
COPIED = 1 << 16
"""sealed bytes without room that are copied, so that the buffer goes back"""
JOINED = 1 << 16
"""bytes of small writes that are joined before they are sealed"""
SMALL = 1 << 13
"""bytes that are sealed sooner into bytes of their own than into the thread's buffer"""

BYTES_LIKE = bytes, bytearray, memoryview

# of idle connections, shared: an empty deque of its own takes 600 bytes
_NONE: deque[memoryview] = deque()
_NOTHING = memoryview(b"")

_send = BaseSocket.send  # type: ignore[attr-defined]


class Writing(Ending):
    """write() and its kin, flow control, and the end of this host's stream."""

    __slots__ = (
        "_awaiting_room", "_batch", "_eof_sent", "_fin_asked", "_fin_sealed", "_high", "_low",
        "_protocol_paused", "_queue", "_queued", "_sealed",
    )  # fmt: skip

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._queue = _NONE
        self._queued = 0
        # of the key exchange's last message
        unsent = self._link.take_unsent()
        self._sealed = memoryview(unsent) if unsent else _NOTHING
        self._batch: bytearray | None = None
        """the buffer they are in, if it is not given back before they are sent"""
        self._awaiting_room = False
        self._fin_asked = False
        self._fin_sealed = False
        self._eof_sent = False
        self._protocol_paused = False
        self.set_write_buffer_limits()

    # -- the application's calls ---------------------------------------------

    def write(self, data: Buffer) -> None:
        """Send, now or when there is room; never blocks.

        Raises RuntimeError after write_eof().  Data written to a connection
        that ended are dropped, as asyncio's own transports do.
        """
        if not isinstance(data, BYTES_LIKE):
            raise TypeError(f"data: a bytes-like object is required, not {type(data).__name__}")
        if self._closing:
            return
        if self._fin_asked:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._sealed or self._queue:
            self._enqueue(memoryview(data).cast("B"))
        elif self._connection.owes:  # it precedes in the stream
            self._enqueue(memoryview(data).cast("B"))
            self._flush()
        elif self._send_now(data):
            return
        self._maybe_pause_protocol()

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        """Several buffers as one write."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """End this host's stream (FINp, then FIN) once all data are sent; the peer
        may go on sending."""
        if not (self._fin_asked or self._closing):
            self._fin_asked = True
            self._flush()

    def close(self) -> None:
        """End the connection once all data are sent; what arrives is not read any more."""
        if self._closing or self._left_to_parent():
            return
        self._closing = self._fin_asked = True
        self._stop_reading()
        if self._eof_sent:
            self._end(None)
        else:
            self._flush()

    # -- flow control --------------------------------------------------------

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When to call ``pause_writing`` and ``resume_writing``, in bytes."""
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Bytes the kernel did not take yet, sealed and not."""
        return self._queued + len(self._sealed)

    def _maybe_pause_protocol(self) -> None:
        if self._protocol_paused or self._lost:
            return
        if self.get_write_buffer_size() > self._high:
            self._protocol_paused = True
            self._call(self._protocol.pause_writing)

    def _maybe_resume_protocol(self) -> None:
        if self._lost or not self._protocol_paused:
            return
        if self.get_write_buffer_size() <= self._low:
            self._protocol_paused = False
            self._call(self._protocol.resume_writing)

    def _fatal(self, error: Exception) -> None:
        if self._sealed and not self._lost:  # a last word of the TEP's would cut it short
            self._link.keep_unsent(bytes(self._sealed), b"")
        super()._fatal(error)

    # -- sealing and sending -------------------------------------------------

    def _waits(self) -> bool:
        """Something waits for room."""
        return bool(self._sealed or self._queue)

    def _enqueue(self, view: memoryview) -> None:
        if view:
            if self._queue is _NONE:
                self._queue = deque()
            # what may change under us is copied
            self._queue.append(view if isinstance(view.obj, bytes) else memoryview(bytes(view)))
            self._queued += len(view)

    def _send_now(self, data: Buffer) -> bool:
        """With nothing waiting: most writes end here, in one system call; whether
        nothing waits now."""
        view = data if isinstance(data, bytes) else memoryview(data).cast("B")
        try:
            while view:
                if len(view) <= SMALL:
                    return self._send_small(view)
                taken = self._seal_and_push(view)
                view = memoryview(view)[taken:]
                if self._sealed:
                    self._enqueue(view)
                    self._await_room()
                    return False
        except (OSError, PyenoError) as error:
            self._fatal(error)
        return True

    def _send_small(self, view: Buffer) -> bool:
        sealed = self._connection.send(view)
        sent = self._push(sealed)
        if sent == len(sealed):
            return True
        self._sealed = memoryview(sealed)[sent:]
        self._await_room()
        return False

    def _seal_and_push(self, data: Buffer, *, fin: bool = False) -> int:
        """One batch; how much of ``data`` it carries."""
        batch = batches.take()
        try:
            whole = memoryview(batch)
            taken, written = self._connection.seal_into(whole, data, fin=fin)
            self._fin_sealed = fin and taken == len(data)
            sent = self._push(whole[:written])
            if sent < written:
                self._keep(batch, whole[sent:written])
        finally:
            if self._batch is None:
                batches.give(batch)
        return taken

    def _keep(self, batch: bytearray, sealed: memoryview) -> None:
        """What the kernel did not take."""
        if len(sealed) > COPIED:
            self._sealed, self._batch = sealed, batch
        else:
            self._sealed = memoryview(bytes(sealed))

    def _sent(self, count: int) -> None:
        self._sealed = self._sealed[count:] if count < len(self._sealed) else _NOTHING
        if not self._sealed and self._batch is not None:
            batches.give(self._batch)
            self._batch = None

    def _push(self, sealed: Buffer) -> int:
        # the kernel's FIN belongs "on the segment containing the last byte of
        # the last frame" (section 3.7)
        flags = socket.MSG_MORE if self._fin_sealed else 0
        try:
            sent: int = _send(self._sock, sealed, flags)
        except (BlockingIOError, InterruptedError):
            return 0
        return sent

    def _flush(self) -> None:
        """Send what waits, as far as the kernel takes it, in stream order."""
        if self._lost:
            return
        try:
            self._push_all()
        except (OSError, PyenoError) as error:
            self._fatal(error)
            return
        if self._sealed:
            self._await_room()
        elif self._awaiting_room:
            self._awaiting_room = False
            self._loop.remove_writer(self._fd)
        self._maybe_resume_protocol()
        if self._fin_sealed and not self._sealed:
            self._finished_sending()

    def _push_all(self) -> None:
        while True:
            if self._sealed:
                self._sent(self._push(self._sealed))
                if self._sealed:
                    return
            if self._fin_sealed:
                return
            if self._connection.owes:
                self._sealed = memoryview(self._connection.data_to_send())
            elif self._queue or self._fin_asked:
                self._seal_queued()
            else:
                return

    def _seal_queued(self) -> None:
        view = self._joined()
        taken = self._seal_and_push(view, fin=self._fin_asked and not self._queue)
        self._queued -= taken
        if taken < len(view):
            self._queue.appendleft(view[taken:])

    def _joined(self) -> memoryview:
        """The first of what waits, small ones together."""
        queue = self._queue
        if not queue:
            return _NOTHING
        first = queue.popleft()
        if not queue or len(first) + len(queue[0]) > JOINED:
            return first
        parts, size = [first], len(first)
        while queue and size + len(queue[0]) <= JOINED:
            size += len(queue[0])
            parts.append(queue.popleft())
        return memoryview(b"".join(parts))

    def _await_room(self) -> None:
        if not self._awaiting_room:
            self._awaiting_room = True
            self._loop.add_writer(self._fd, self._flush)

    def _finished_sending(self) -> None:
        if self._eof_sent:
            return
        self._eof_sent = True
        if self._closing:
            self._end(None)
        else:
            self._shut_sending()

    def _release(self) -> None:
        super()._release()
        self._queue = _NONE
        self._queued = 0
        self._sealed, self._batch = _NOTHING, None
        if self._awaiting_room:
            self._awaiting_room = False
            self._loop.remove_writer(self._fd)
