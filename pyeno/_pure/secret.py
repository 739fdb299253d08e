"""Opaque secret bytes: the pure twin of ``pyeno._native.secret``.

Python cannot keep copies from being made, so this is wiped as far as a
bytearray can be.
"""

import ctypes
import os
from typing import Final, NoReturn, final

import pyeno._complaints as say
from pyeno._values import Buffer

_libc: Final = ctypes.CDLL(None, use_errno=True)


def octets(data: Buffer) -> memoryview:
    """A flat view of the bytes, as the compiled core takes them."""
    view = memoryview(data)
    if not view.c_contiguous:
        raise BufferError("memoryview: underlying buffer is not C-contiguous")
    return view.cast("B")


@final
class Secret:
    __slots__ = ("_data", "_wiped")

    def __init__(self, data: Buffer) -> None:
        self._data = bytearray()
        self._wiped = False
        self._data += octets(data)

    @staticmethod
    def random(size: int) -> "Secret":
        if size < 1:
            raise say.out_of_range("size", size, 1, 65535)
        return Secret(os.urandom(size))

    @staticmethod
    def from_option(fileno: int, level: int, name: int, size: int) -> "Secret":
        if size < 1:
            raise say.out_of_range("size", size, 1, 65535)
        secret = Secret(bytes(size))
        room = (ctypes.c_char * size).from_buffer(secret._data)
        given = ctypes.c_uint(size)
        if _libc.getsockopt(fileno, level, name, room, ctypes.byref(given)):
            raise say.refused_option("getsockopt", ctypes.get_errno())
        if given.value != size:
            raise say.short_option(given.value, size)
        return secret

    @staticmethod
    def split_option(
        fileno: int, level: int, name: int, head: int, size: int
    ) -> "tuple[bytes, Secret]":
        if head < 0:
            raise say.out_of_range("head", head, 0, 65535)
        if size < 1:
            raise say.out_of_range("size", size, 1, 65535)
        whole = Secret.from_option(fileno, level, name, head + size)
        return bytes(whole._data[:head]), Secret(memoryview(whole._data)[head:])

    def to_option(self, fileno: int, level: int, name: int, prefix: Buffer) -> None:
        value = bytearray(octets(prefix)) + self.data("secret")
        try:
            room = (ctypes.c_char * len(value)).from_buffer(value)
            if _libc.setsockopt(fileno, level, name, room, len(value)):
                raise say.refused_option("setsockopt", ctypes.get_errno())
        finally:
            value[:] = bytes(len(value))

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return "<Secret: wiped>" if self._wiped else f"<Secret: {len(self)} bytes>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied")

    @property
    def wiped(self) -> bool:
        return self._wiped

    def export(self) -> bytes:
        return bytes(self.data("secret"))

    def wipe(self) -> None:
        self._data[:] = bytes(len(self._data))
        self._wiped = True

    def __del__(self) -> None:
        self.wipe()

    def data(self, what: str, need: int = -1) -> bytearray:
        """The bytes themselves, for the pure twins only; ``need``: the exact size."""
        if self._wiped:
            raise say.wiped("Secret")
        if need >= 0 and len(self._data) != need:
            raise say.length(what, len(self._data), need)
        return self._data
