"""Buffers for sealed bytes on their way to the kernel, one for each thread.

A thread's connections share its buffer.  Whoever fills it holds it until the
kernel has taken the bytes: a signal handler that sends meanwhile, in the same
thread, gets another one.
"""

import threading

from pyeno.constants import FRAME_DATA_MAX

SIZE = 5 * (FRAME_DATA_MAX + 20)
"""Sealed bytes handed to the kernel in one call: five of the largest frames, which
hold a write of 256 KiB; four would leave 72 bytes of it to a call of their own."""

_thread = threading.local()


def take() -> bytearray:
    """This thread's buffer, or a new one while that is in use."""
    buffer: bytearray | None = getattr(_thread, "buffer", None)
    _thread.buffer = None
    return bytearray(SIZE) if buffer is None else buffer


def give(buffer: bytearray) -> None:
    """Keep it for the next call."""
    _thread.buffer = buffer
