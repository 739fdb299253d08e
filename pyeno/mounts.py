"""Where cgroup2 and bpffs are: /proc/mounts, not guesses.

cgroup2 is at /sys/fs/cgroup on most systems and at /sys/fs/cgroup/unified on
hybrid ones; bpffs is at /sys/fs/bpf, unless nobody mounted it.
"""

import ctypes
import errno
import os
import re
from pathlib import Path

from pyeno.errors import KernelError


def find(kind: str) -> tuple[Path, ...]:
    """Mount points of a file system type, in the order of /proc/mounts."""
    lines = Path("/proc/mounts").read_text("utf-8", "surrogateescape").splitlines()
    return tuple(
        Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[1]))
        for fields in (line.split() for line in lines)
        if fields[2] == kind
    )


def cgroup_root() -> Path:
    """The cgroup2 mount; :class:`KernelError` if there is none."""
    for mount in find("cgroup2"):
        return mount
    raise KernelError(
        errno.ENOENT,
        "no cgroup2 file system is mounted: run 'mount -t cgroup2 none /sys/fs/cgroup/unified' "
        "(make the directory first)",
    )


def ensure_cgroup2() -> None:
    """Have cgroup2, mounting it where it usually is if nothing is there: so it is behind
    ``ip netns exec``, whose /sys is a new one that nobody else sees."""
    usual = Path("/sys/fs/cgroup")
    if not find("cgroup2") and usual.is_dir() and not any(usual.iterdir()):
        _mount("cgroup2", usual, b"")


def cgroup_directory(cgroup: str | None) -> Path:
    """An existing directory of cgroup2; the root by default."""
    root = cgroup_root()
    if cgroup is None:
        return root
    path = Path(cgroup).resolve()
    if not (path / "cgroup.procs").exists() or not path.is_relative_to(root):
        raise KernelError(
            errno.ENOENT, f"{cgroup} is no cgroup2 directory: choose one below {root}"
        )
    return path


def cgroup_path(number: int) -> str | None:
    """The directory of a cgroup id, which is its inode number; None if it is gone."""
    root = cgroup_root()
    if root.stat().st_ino == number:
        return str(root)
    for path in root.rglob("*/"):
        try:
            if path.stat().st_ino == number:
                return str(path)
        except FileNotFoundError:
            continue
    return None


def own_cgroup() -> Path | None:
    """This process's cgroup2 directory."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return cgroup_root() / line[3:].lstrip("/")
    return None


def in_bpffs(pin: Path) -> bool:
    """Whether ``pin`` is, or would be, an entry of a mounted bpffs."""
    parent = Path(os.path.normpath(pin.absolute())).parent
    return any(parent.is_relative_to(mount) for mount in find("bpf"))


def ensure_bpffs(pin: Path) -> None:
    """Have bpffs under ``pin``'s parent, mounting it where it usually is."""
    parent = pin.parent
    if in_bpffs(pin):
        if not parent.is_dir():
            raise KernelError(errno.ENOENT, f"{pin}: there is no directory {parent}: make it")
        return
    usual = Path("/sys/fs/bpf")
    if parent != usual:
        raise KernelError(errno.ENOENT, f"{pin} is not in a bpffs: choose one below {usual}")
    _mount("bpf", usual, b"mode=0700")


def _mount(kind: str, where: Path, data: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(kind.encode(), os.fsencode(where), kind.encode(), 0, data):
        error = ctypes.get_errno()
        raise KernelError(
            error,
            f"{kind} is not mounted at {where} and cannot be: {os.strerror(error)}; "
            f"as root, run 'mount -t {kind} {kind} {where}'",
        )
