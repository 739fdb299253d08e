"""What a pinned BPF hash map holds, by bpf(2) itself.

entries(pin), keys(pin), values(pin)      to read
clear(pin), fill(pin, pairs)              to write
"""

import contextlib
import ctypes
import os
import platform
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

_NUMBER = {"x86_64": 321, "aarch64": 280}
LOOKUP, UPDATE, DELETE, GET_NEXT_KEY, OBJ_GET = 1, 2, 3, 4, 7
KEY_MAX, VALUE_MAX = 64, 512
_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"))
    number = _NUMBER[platform.machine()]
    result: int = _libc.syscall(number, command, buffer, 128)
    return result


@contextlib.contextmanager
def _opened(pin: str | Path) -> Iterator[int]:
    name = ctypes.create_string_buffer(os.fsencode(pin))
    fd = _bpf(OBJ_GET, struct.pack("=Q", ctypes.addressof(name)))
    if fd < 0:
        raise OSError(ctypes.get_errno(), str(pin))
    try:
        yield fd
    finally:
        os.close(fd)


def _on(fd: int, command: int, key: int, value: int = 0) -> int:
    return _bpf(command, struct.pack("=I4xQQ", fd, key, value))


def keys(pin: str | Path) -> list[bytes]:
    """The keys, padded with zeros to KEY_MAX."""
    found = []
    with _opened(pin) as fd:
        key, after = (ctypes.create_string_buffer(KEY_MAX) for _ in range(2))
        at = 0
        while not _on(fd, GET_NEXT_KEY, at, ctypes.addressof(after)):
            key.raw, at = after.raw, ctypes.addressof(key)
            found.append(key.raw)
    return found


def entries(pin: str | Path) -> int:
    """The number of keys of the hash map pinned there."""
    return len(keys(pin))


def values(pin: str | Path) -> list[bytes]:
    """The values, padded with zeros to VALUE_MAX."""
    found = []
    for key in keys(pin):
        value = ctypes.create_string_buffer(VALUE_MAX)
        at = ctypes.create_string_buffer(key)
        with _opened(pin) as fd:
            if not _on(fd, LOOKUP, ctypes.addressof(at), ctypes.addressof(value)):
                found.append(value.raw)
    return found


def clear(pin: str | Path) -> None:
    """Delete every entry."""
    found = keys(pin)
    with _opened(pin) as fd:
        for key in found:
            at = ctypes.create_string_buffer(key)
            _on(fd, DELETE, ctypes.addressof(at))


def fill(pin: str | Path, pairs: Iterable[tuple[bytes, bytes]]) -> None:
    """Add entries."""
    with _opened(pin) as fd:
        for key, value in pairs:
            at, what = ctypes.create_string_buffer(key), ctypes.create_string_buffer(value)
            if _on(fd, UPDATE, ctypes.addressof(at), ctypes.addressof(what)):
                raise OSError(ctypes.get_errno(), str(pin))
