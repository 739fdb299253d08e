"""One line on standard error that says how far a long run is, on a terminal only."""

import sys
import time
from typing import TextIO

_WIDTH = 24


class Progress:
    """Call ``step`` before each of ``total`` steps, ``done`` when there are no more."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._on = self._stream.isatty()
        self._total, self._steps, self._begun = total, 0, time.monotonic()

    def step(self, what: str) -> None:
        """``what`` is being done now."""
        if self._on:
            self._stream.write(f"\r\033[K{self.line(what)}")
            self._stream.flush()
        self._steps += 1

    def line(self, what: str) -> str:
        """The bar, how much is done, how long it may still take."""
        share = min(1.0, self._steps / max(1, self._total))
        filled = int(share * _WIDTH)
        bar = "#" * filled + "." * (_WIDTH - filled)
        return f"[{bar}] {share:4.0%} {self._left(share)}{what}"[:79]

    def _left(self, share: float) -> str:
        passed = time.monotonic() - self._begun
        if share < 0.05 or passed < 2:
            return ""
        return f"{passed / share - passed:.0f} s left, "

    def done(self) -> None:
        """Leave an empty line."""
        if self._on:
            self._stream.write("\r\033[K")
            self._stream.flush()
