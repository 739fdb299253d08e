"""One TCP connection in user space, every option byte in hand: the calls a test makes.

Made by `rfcpeer_host.Host`, whose lock guards it and whose thread drives the `Machine` below.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .rfcpeer_machine import Machine
from .rfcpeer_packet import ACK, FIN, PSH, RST
from .rfcpeer_plan import Plan

__all__ = ["Connection", "Plan"]


class Connection(Machine):
    """Blocking calls take a timeout in seconds and raise TimeoutError when it passes.

    `remote_syn`, `local_syn`: the SYN (or SYN-ACK) segments as received and as last sent.
    `first_non_syn`: the first non-SYN segment received.  `received`, `sent`: all segments.
    """

    def send(
        self,
        data: bytes,
        *,
        segment: int | None = None,
        push: bool = True,
        fin: bool = False,
    ) -> None:
        """Queue data, cut into segments of `segment` bytes (default: the MSS), without waiting.

        `push` sets PSH on the last one; `fin` puts FIN on it as well.
        """
        with self.host.lock:
            self._raise()
            size = min(segment or self.snd_mss, self.snd_mss)
            starts = range(0, len(data), size) or range(1)
            for start in starts:
                last = start == starts[-1]
                flags = (
                    ACK | (PSH if last and push and data else 0) | (FIN if last and fin else 0)
                )
                self._append(flags, data[start : start + size])
            self._transmit()

    def flush(self, timeout: float = 10) -> None:
        """Wait until everything queued has been acknowledged."""
        with self.host.lock:
            self._wait(lambda: not self._queue, timeout, "an acknowledgment")

    def recv(self, size: int = 1 << 16, timeout: float = 10) -> bytes:
        """1 to `size` bytes in order, or b"" after FIN; ConnectionResetError after RST."""
        with self.host.lock:
            self._wait(lambda: bool(self._inbox or self.fin_received), timeout, "data")
            data = bytes(self._inbox[:size])
            del self._inbox[:size]
            return data

    def recv_exactly(self, size: int, timeout: float = 10) -> bytes:
        """Exactly `size` bytes; EOFError when FIN comes before them."""
        deadline = time.monotonic() + timeout
        parts: list[bytes] = []
        while size:
            part = self.recv(size, max(0.0, deadline - time.monotonic()))
            if not part:
                raise EOFError(f"FIN with {size} bytes missing")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Queue FIN; receiving goes on."""
        self.send(b"", fin=True)

    def wait_closed(self, timeout: float = 10) -> None:
        """Wait for the remote FIN and for everything sent, our FIN too, to be acknowledged."""
        with self.host.lock:
            self._wait(lambda: self.fin_received and not self._queue, timeout, "both FINs")

    def wait_reset(self, timeout: float = 10) -> None:
        """Wait for an RST from the other end; TimeoutError when none comes."""
        with self.host.lock:
            if not self.changed.wait_for(lambda: self.error is not None, timeout):
                raise TimeoutError("no RST")
            if not isinstance(self.error, ConnectionError):
                raise TimeoutError(str(self.error))

    def abort(self) -> None:
        """Send RST and forget the connection."""
        with self.host.lock:
            self._emit(RST | ACK, self.snd_max)
            self.fail(ConnectionAbortedError("aborted here"))

    def inject(self, **fields: Any) -> None:
        """Send one segment as it stands, never resent: `Segment` fields over the usual ones."""
        with self.host.lock:
            self.host.emit(self, replace(self._segment(ACK, self.snd_max, b""), **fields))

    def _raise(self) -> None:
        if self.error is not None:
            raise type(self.error)(*self.error.args)

    def _wait(self, ready: Callable[[], bool], timeout: float, what: str) -> None:
        if not self.changed.wait_for(lambda: ready() or self.error is not None, timeout):
            raise TimeoutError(f"no {what} within {timeout:.1f} s")
        if not ready():
            self._raise()
