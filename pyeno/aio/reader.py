"""asyncio's StreamReader, which copies nothing that it need not."""

import asyncio
from collections import deque
from typing import Any

WHOLE = 1 << 14
"""bytes of a piece that is kept as it came; smaller ones are joined at once, so that many
of them take no more memory than their bytes"""
PIECE = 1 << 18
"""bytes in one piece, where no read() has asked for fewer"""


class EnoStreamReader(asyncio.StreamReader):
    """A StreamReader whose ``read(n)`` gives the very bytes that the transport made.

    asyncio's own copies what arrives into its buffer, and out of it again.
    Here pieces stay whole until somebody asks for anything but a whole one;
    a waiting ``read(n)`` is handed its bytes.  All else is the standard
    reader's: whatever of it looks at ``_buffer`` finds all pieces joined there.
    """

    _transport: Any
    _paused: bool

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._pieces: deque[bytes] | None = None
        """what follows the joined bytes; None while there is nothing"""
        self._held = 0
        """bytes in pieces"""
        self.wanted = 0
        """bytes that a waiting read() would take"""
        self.piece = PIECE
        """bytes to feed at once: what read() is likely to ask for"""
        self._handed = b""
        super().__init__(*arguments, **named)

    @property
    def _buffer(self) -> bytearray:
        if self._pieces is not None:
            self._joined += b"".join(self._pieces)
            self._pieces, self._held = None, 0
        return self._joined

    @_buffer.setter
    def _buffer(self, value: bytearray) -> None:
        self._joined = value

    # -- from the transport ---------------------------------------------------

    def hand(self, data: bytes) -> None:
        """The first bytes the stream has now, at most ``wanted``."""
        self.wanted = 0
        self._handed = data
        self._wakeup_waiter()  # type: ignore[attr-defined]

    def feed_data(self, data: Any) -> None:
        """As asyncio.StreamReader.feed_data()."""
        assert not self._eof, "feed_data after feed_eof"  # type: ignore[attr-defined]
        if not data:
            return
        if len(data) < WHOLE:
            self._buffer += data
        else:
            if self._pieces is None:
                self._pieces = deque()
            self._pieces.append(bytes(data))  # bytes themselves are not copied
            self._held += len(data)
        self._wakeup_waiter()  # type: ignore[attr-defined]
        if self._held + len(self._joined) > 2 * self._limit:  # type: ignore[attr-defined]
            self._pause()

    def _pause(self) -> None:
        if self._transport is None or self._paused:
            return
        try:
            self._transport.pause_reading()
        except NotImplementedError:
            self._transport = None  # it cannot; asked once, as by asyncio's own
        else:
            self._paused = True

    # -- for the application --------------------------------------------------

    async def read(self, n: int = -1) -> bytes:
        """As asyncio.StreamReader.read()."""
        if n <= 0 or self._exception is not None:  # type: ignore[attr-defined]
            return await super().read(n)
        self.piece = n if n >= WHOLE else PIECE
        if self._pieces is None and not (self._joined or self._eof):  # type: ignore[attr-defined]
            self.wanted = n
            try:
                await self._wait_for_data("read")  # type: ignore[attr-defined]
            except BaseException:
                # cancelled after the bytes were handed: they stay the stream's next
                self._buffer[:0] = self._handed
                self._handed = b""
                raise
            finally:
                self.wanted = 0
            if self._handed:
                handed, self._handed = self._handed, b""
                return handed
        if self._joined or self._pieces is None or len(self._pieces[0]) > n:
            return await super().read(n)
        return self._whole_piece(self._pieces)

    def _whole_piece(self, pieces: deque[bytes]) -> bytes:
        piece = pieces.popleft()
        self._held -= len(piece)
        if not pieces:
            self._pieces = None
        self._maybe_resume_transport()
        return piece

    def _maybe_resume_transport(self) -> None:
        if self._paused and self._held + len(self._joined) <= self._limit:  # type: ignore[attr-defined]
            self._paused = False
            self._transport.resume_reading()
