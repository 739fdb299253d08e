"""Network namespaces: which one it is, and moving a thread into another."""

import ctypes
import os
from pathlib import Path
from typing import Final

from pyeno.errors import KernelError

_CLONE_NEWNET: Final = 0x40000000
NAMED: Final = Path("/run/netns")
"""where ip(8) keeps those that have names"""


def enter(path: str | Path) -> None:
    """Move this thread there; sockets it makes, and /proc/thread-self/net, are that one's.

    Raises OSError; it needs CAP_SYS_ADMIN.
    """
    # os.setns is of Python 3.12
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(descriptor)


def find(wanted: str) -> Path:
    """The namespace of that name of ip(8), or that the process of that number is in."""
    named = NAMED / wanted
    for path in (named, Path("/proc", wanted, "ns/net")):
        if "/" not in wanted and path.exists():
            return path
    raise KernelError(
        None,
        f"no network namespace {wanted}: give a name of 'ip netns', or a process's number",
    )


def identity(path: str | Path = "/proc/thread-self/ns/net") -> tuple[int, int]:
    """Equal for two paths to one namespace: device and inode."""
    status = Path(path).stat()
    return status.st_dev, status.st_ino
