"""A buffer to receive into, as large as what comes: an idle connection keeps little."""

ROOM_MIN, ROOM_MAX, ROOM_GROWTH = 1 << 12, 1 << 17, 4
"""bytes"""


class Room:
    """Lent to whoever receives; grows where it was filled, shrinks where it was not."""

    __slots__ = ("_buffer", "_size")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._size = ROOM_MIN

    def lend(self, size: int) -> memoryview:
        """At least one byte and at most ``size``."""
        if len(self._buffer) != self._size:
            self._buffer = bytearray(self._size)
        return memoryview(self._buffer)[: max(size, 1)]

    def take(self, size: int) -> bytes:
        """A copy of the first ``size`` bytes of what was lent."""
        if size > len(self._buffer):
            raise ValueError(f"received({size}): room() gave {len(self._buffer)} bytes")
        with memoryview(self._buffer) as view:
            data = bytes(view[:size])
        if size == self._size:
            self._size = min(self._size * ROOM_GROWTH, ROOM_MAX)
        elif size < self._size // ROOM_GROWTH:
            self._size = ROOM_MIN
        return data
