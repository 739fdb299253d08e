"""asyncio's StreamReader, with a shorter way for bulk data."""

import asyncio
from typing import Any


class EnoStreamReader(asyncio.StreamReader):
    """A StreamReader whose waiting ``read(n)`` gets its bytes without two copies.

    asyncio's own copies what arrives into its buffer, and out of it again.
    Here the transport hands a waiting read() its bytes.  All else is the
    standard reader's.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.wanted = 0
        """bytes that a waiting read() would take"""
        self._handed = b""

    def hand(self, data: bytes) -> None:
        """The first bytes the stream has now, at most ``wanted``."""
        self.wanted = 0
        self._handed = data
        self._wakeup_waiter()  # type: ignore[attr-defined]

    async def read(self, n: int = -1) -> bytes:
        """As asyncio.StreamReader.read()."""
        if n <= 0 or self._buffer or self._eof or self._exception is not None:  # type: ignore[attr-defined]
            return await super().read(n)
        self.wanted = n
        try:
            await self._wait_for_data("read")  # type: ignore[attr-defined]
        except BaseException:
            # cancelled after the bytes were handed: they stay the stream's next
            self._buffer[:0] = self._handed  # type: ignore[attr-defined]
            self._handed = b""
            raise
        finally:
            self.wanted = 0
        handed, self._handed = self._handed, b""
        return handed or await super().read(n)
