"""A wire in memory between two user-space hosts, with the middlebox's kind of hook."""

import queue
from collections.abc import Callable
from typing import Self

Mangle = Callable[[bytes, str], list[bytes]]


class MemoryLink:
    """One end of a wire; see `pair`."""

    def __init__(self) -> None:
        self._inbox: queue.Queue[bytes] = queue.Queue()
        self._outbox = self._inbox
        self._mangle: Callable[[bytes], list[bytes]] | None = None

    @classmethod
    def pair(cls, mangle: Mangle | None = None) -> tuple[Self, Self]:
        """Two ends; `mangle(packet, "right" or "left")` sees what moves that way."""
        left, right = cls(), cls()
        left._outbox, right._outbox = right._inbox, left._inbox
        if mangle is not None:
            left._mangle = lambda packet: mangle(packet, "right")
            right._mangle = lambda packet: mangle(packet, "left")
        return left, right

    def read(self, timeout: float) -> bytes | None:
        """The next packet, or None after `timeout` seconds."""
        try:
            return self._inbox.get(timeout=timeout)
        except queue.Empty:
            return None

    def write(self, packet: bytes) -> None:
        for out in [packet] if self._mangle is None else self._mangle(packet):
            self._outbox.put(out)

    def close(self) -> None:
        """Nothing to free."""
