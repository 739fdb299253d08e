"""cgroups of pyeno's own: for programs whose TCP is relayed, and for relays.

Named ``pyeno-PURPOSE-PID`` and made below the cgroup of the process that makes
them.  Once that process is gone and nobody lives in it any more, whoever finds
one may remove it; :func:`sweep` does.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pyeno import mounts
from pyeno.errors import KernelError

_NAME = re.compile(r"pyeno-(?:run|relay)-(\d+)")
_ADVICE = {
    errno.EACCES: "run it as root, or in a cgroup that was delegated to this user",
    errno.EPERM: "run it as root, or in a cgroup that was delegated to this user",
    errno.EROFS: "cgroup2 is mounted read-only here: mount it read-write",
    errno.EAGAIN: "cgroup.max.descendants above it forbids more: raise it",
    errno.EOPNOTSUPP: "that cgroup is threaded: start from another one",
}


def home() -> Path:
    """The cgroup2 of this process; the mount's root where it lies outside of that."""
    own, root = mounts.own_cgroup(), mounts.cgroup_root()
    return own if own is not None and own.is_dir() else root


def create(purpose: str) -> Path:
    """A new one for this process; :class:`KernelError` says what mends it."""
    mounts.ensure_cgroup2()
    path = home() / f"pyeno-{purpose}-{os.getpid()}"
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise _explained(error, f"cannot make the cgroup {path}") from None
    return path


def enter(path: Path) -> None:
    """Move this process; its children and its sockets will belong there too."""
    try:
        (path / "cgroup.procs").write_text("0")
    except OSError as error:
        raise _explained(error, f"cannot enter the cgroup {path}") from None


def _explained(error: OSError, what: str) -> KernelError:
    advice = _ADVICE.get(error.errno or 0, "'pyeno doctor' says what this host lacks")
    return KernelError(error.errno, f"{what}: {error.strerror}; {advice}")


def populated(path: Path) -> bool:
    """Whether a process lives in it or below."""
    try:
        return "populated 1" in (path / "cgroup.events").read_text()
    except OSError:  # removed
        return False


def remove(path: Path) -> bool:
    """Remove it and those its programs made below; False while somebody lives there."""
    if populated(path):
        return False
    for below in sorted(path.rglob("*/"), reverse=True):
        with contextlib.suppress(OSError):
            below.rmdir()
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def alive(pid: int) -> bool:
    """Whether there is such a process, that is not merely unburied."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def leftovers() -> Iterator[Path]:
    """Those whose process is gone."""
    for directory, names, _ in os.walk(mounts.cgroup_root()):
        for name in names:
            match = _NAME.fullmatch(name)
            if match and not alive(int(match[1])):
                yield Path(directory, name)


def sweep() -> list[Path]:
    """Remove what killed relays left behind; what was removed."""
    return [path for path in list(leftovers()) if remove(path)]
