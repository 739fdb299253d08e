"""Which processes hold which sockets, and a duplicate of such a descriptor.

/proc/PID/fd names the sockets of a process; pidfd_getfd(2) duplicates one of
them.  Both are for those who may trace the process: root, and its own user
(for pidfd_getfd also as far as kernel.yama.ptrace_scope lets them).
"""

import ctypes
import os
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

# the same on every architecture; glibc has a name for it since 2.36
_SYS_PIDFD_GETFD: Final = 438
_PREFIX, _SUFFIX = "socket:[", "]"
_libc = ctypes.CDLL(None, use_errno=True)


class Holder(NamedTuple):
    """One descriptor of one process."""

    pid: int
    fd: int


def find(inodes: Collection[int]) -> dict[int, list[Holder]]:
    """Who holds these sockets, as far as this user may know; once a process."""
    found: dict[int, list[Holder]] = {inode: [] for inode in inodes}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):  # noqa: PTH208
        for inode, fd in _sockets(pid).items():
            if inode in found:
                found[inode].append(Holder(pid, fd))
    return found


def _sockets(pid: int) -> dict[int, int]:
    """Inode to descriptor; empty if the process has ended or is not this user's."""
    sockets: dict[int, int] = {}
    where = f"/proc/{pid}/fd"
    try:
        names = os.listdir(where)  # noqa: PTH208
    except OSError:
        return sockets
    for name in names:
        try:
            target = os.readlink(f"{where}/{name}")  # noqa: PTH115
        except OSError:  # closed meanwhile
            continue
        if target.startswith(_PREFIX):
            sockets.setdefault(int(target[len(_PREFIX) : -len(_SUFFIX)]), int(name))
    return sockets


class Borrower:
    """Duplicates descriptors of other processes; keeps one pidfd, of the last of them."""

    def __init__(self) -> None:
        self._pid = 0
        self._pidfd = -1

    def borrow(self, holder: Holder) -> int:
        """A descriptor of the same socket, to be closed soon: until then the socket lives.

        Raises PermissionError, or OSError if the process or its descriptor is gone.
        """
        if holder.pid != self._pid:
            self.close()
            self._pidfd = os.pidfd_open(holder.pid)
            self._pid = holder.pid
        fd: int = _libc.syscall(_SYS_PIDFD_GETFD, self._pidfd, holder.fd, 0)
        if fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return fd  # close-on-exec already

    def close(self) -> None:
        """Forget the process."""
        if self._pid:
            os.close(self._pidfd)
            self._pid = 0

    def __enter__(self) -> "Borrower":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@cache
def program(pid: int) -> str | None:
    """The name of what runs there; None if it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").rstrip("\n")
    except OSError:
        return None
