"""Opaque secret bytes, pure twin: a bytearray that is overwritten when wiped.

Python may copy what it touches, so this twin promises less than the compiled
one, which keeps secrets in memory of its own.
"""

import os
from typing import final

from pyeno._values import Buffer
from pyeno.errors import LocalProtocolError


@final
class Secret:
    """Bytes that stay out of logs and reprs; ``export`` is the one way out."""

    __slots__ = ("_data", "_wiped")

    def __init__(self, data: Buffer) -> None:
        self._data = bytearray(data)
        self._wiped = False

    @staticmethod
    def random(size: int) -> "Secret":
        return Secret(os.urandom(size))

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return f"<Secret: {'wiped' if self._wiped else f'{len(self)} bytes'}>"

    @property
    def wiped(self) -> bool:
        return self._wiped

    def export(self) -> bytes:
        if self._wiped:
            raise LocalProtocolError("secret: used after it was wiped")
        return bytes(self._data)

    def wipe(self) -> None:
        self._data[:] = bytes(len(self._data))
        self._wiped = True

    def __del__(self) -> None:
        self.wipe()
