"""How many entries a pinned BPF map has, by bpf(2) itself."""

import ctypes
import os
import platform
import struct
from pathlib import Path

_NUMBER = {"x86_64": 321, "aarch64": 280}
MAP_GET_NEXT_KEY, OBJ_GET = 4, 7
KEY_MAX = 64
_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"))
    number = _NUMBER[platform.machine()]
    result: int = _libc.syscall(number, command, buffer, 128)
    return result


def entries(pin: str | Path) -> int:
    """The number of keys of the hash map pinned there."""
    name = ctypes.create_string_buffer(os.fsencode(pin))
    fd = _bpf(OBJ_GET, struct.pack("=Q", ctypes.addressof(name)))
    if fd < 0:
        raise OSError(ctypes.get_errno(), str(pin))
    key, after = (ctypes.create_string_buffer(KEY_MAX) for _ in range(2))
    count, at = 0, 0
    try:
        while not _bpf(
            MAP_GET_NEXT_KEY, struct.pack("=I4xQQ", fd, at, ctypes.addressof(after))
        ):
            key.raw, at = after.raw, ctypes.addressof(key)
            count += 1
    finally:
        os.close(fd)
    return count
