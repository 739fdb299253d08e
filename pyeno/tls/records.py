"""Where records end in the incoming stream (RFC 8446 section 5.1).

OpenSSL does not tell whether anything came behind a close_notify.  What did must not pass
for nothing: "TEPs MUST protect and authenticate the end-of-file marker" (RFC 8547
section 5).  So it is given no more than it may need up to each record that can be one.
"""

from collections.abc import Iterator
from typing import Final

HEADER: Final = 5
DATA_MAX: Final = 1 << 14
"""application bytes in one record at most"""
OVERHEAD: Final = HEADER + 1 + 16
"""header, content type and tag (section 5.2)"""
ALERT_BODY: Final = 2 + 1 + 16
"""bytes of an encrypted alert without padding, behind its header (section 6)"""


class Boundaries:
    """Follows the headers of the records, however the stream is cut."""

    __slots__ = ("_head", "_left", "_short")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        """bytes of the record's body still to come"""
        self._short = False
        """it may be an alert"""

    def pieces(self, data: bytes, size: int) -> Iterator[memoryview]:
        """All of ``data`` in order, cut behind each record that may be an alert, and into
        at most ``size`` bytes."""
        view, start = memoryview(data), 0
        for end in self._ends(data):
            yield from _cut(view[start:end], size)
            start = end
        yield from _cut(view[start:], size)

    def _ends(self, data: bytes) -> Iterator[int]:
        at = 0
        while at < len(data):
            if not self._left:
                more = data[at : at + HEADER - len(self._head)]
                self._head += more
                at += len(more)
                if len(self._head) < HEADER:
                    return
                self._left = int.from_bytes(self._head[3:], "big")
                self._short, self._head = self._left == ALERT_BODY, b""
            taken = min(self._left, len(data) - at)
            self._left -= taken
            at += taken
            if self._short and not self._left:
                yield at


def _cut(view: memoryview, size: int) -> Iterator[memoryview]:
    for at in range(0, len(view), size):
        yield view[at : at + size]
