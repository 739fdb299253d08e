"""Load the BPF programs, attach them to a cgroup, and find them again.

Everything lives in one directory of bpffs: ``maps/``, ``programs/`` and
``links/``.  A pinned link keeps its program attached after this process has
gone; removing the directory detaches.  The directory is also the lock: who
makes it attaches, everybody else finds it there.

Until the last link is pinned nothing counts as attached, and a failure removes
what was made before it.
"""

import errno
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from pyeno import entropy, mounts
from pyeno import policy as host_policy
from pyeno.errors import KernelError
from pyeno.loading import explaining
from pyeno.loading import native as _native
from pyeno.policy import Changes, Policy

PIN: Final = "/sys/fs/bpf/pyeno"
_PARTS: Final = ("links", "programs", "maps")


class Program(NamedTuple):
    """One loaded BPF program."""

    name: str
    id: int
    tag: str
    """the kernel's hash of its instructions"""
    verified_insns: int
    """instructions the verifier walked"""


class Status(NamedTuple):
    """What is attached; ``detail`` says it in one sentence."""

    attached: bool
    detail: str
    pin: str
    cgroup: str | None = None
    abi: int | None = None
    current: bool | None = None
    """the programs are those of this installation; None if not known"""
    programs: tuple[Program, ...] = ()
    policy: Policy | None = None
    """what this host negotiates; None if not known"""
    kernel: str = platform.release()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return self._asdict() | {
            "programs": [p._asdict() for p in self.programs],
            "policy": self.policy and self.policy.as_dict(),
        }


def attach(
    cgroup: str | None = None, pin: str = PIN, *, changes: Changes | None = None
) -> Status:
    """Attach to a cgroup2 (default: its root), for every process below it.

    Needs CAP_BPF and CAP_NET_ADMIN.  Attaching twice changes nothing but the
    fields of the host's policy named in ``changes``.  Waits for the kernel's
    random generator (RFC 8547 section 10).  Raises :class:`KernelError`, which
    says what mends it, if something is missing or other programs of pyeno are
    in the way, ConfigError for a policy that cannot be meant.
    """
    wanted = Policy().but(changes or {})
    native = _native()
    where = mounts.cgroup_directory(cgroup)
    entropy.wait()
    mounts.ensure_bpffs(Path(pin))
    with _loaded(native) as (maps, programs):
        ours = tuple(_describe(native, fd) for fd in programs)
        before = status(pin)
        if before.attached:
            return _already(native, before, ours, where, changes or {})
        if Path(pin).is_dir():
            _remove(native, Path(pin))  # what a killed attach left behind
        _refuse_others(native, where)
        _attach_all(native, Path(pin), where, maps, programs, wanted)
    return status(pin)._replace(
        detail=f"attached to {where}; sockets of every process below it can use ENO"
    )


def detach(pin: str = PIN) -> Status:
    """Detach and remove everything pinned; connections keep what was negotiated.

    Raises :class:`KernelError` for a directory outside bpffs, in which nothing
    can be pinned and nothing is removed.
    """
    before = status(pin)
    with explaining(f"removing {pin}"):
        if Path(pin).exists() and not mounts.in_bpffs(Path(pin)):
            raise KernelError(
                errno.EINVAL, f"{pin} is not in a bpffs: give the directory of 'pyeno attach'"
            )
        if Path(pin).is_dir():
            _remove(_native(), Path(pin))
    done = f"detached from {before.cgroup}" if before.attached else "nothing was attached"
    return Status(attached=False, detail=done, pin=pin)


@contextmanager
def held(cgroup: Path, pin: str) -> Iterator[Status]:
    """As attach(), but for as long as this process lives, at most: its descriptors
    hold the programs, and nothing stays pinned."""
    native = _native()
    with ExitStack() as stack:
        undo = stack.enter_context(ExitStack())
        made = attach(str(cgroup), pin)
        undo.callback(detach, pin)
        with explaining(f"holding {pin}"):
            for name in native.program_names():
                stack.callback(os.close, native.open_pinned(Path(pin, "links", name)))
            undo.pop_all()
            _unpin(Path(pin))
        yield made


def status(pin: str = PIN) -> Status:
    """What is pinned there; needs root to look into a root's directory."""
    native = _native()
    nothing = Status(
        attached=False, detail=f"nothing is attached: run '{_command('attach', pin)}'", pin=pin
    )
    again = f"run '{_command('detach', pin)}', then '{_command('attach', pin)}'"
    try:
        if not Path(pin, "links").is_dir():
            return nothing
        programs = tuple(_pinned_programs(native, Path(pin)))
        cgroups = {_pinned_cgroup(native, Path(pin), p.name) for p in programs}
    except PermissionError:
        return nothing._replace(detail=f"{pin} cannot be read by this user: ask as root")
    except FileNotFoundError:
        return nothing._replace(detail=f"{pin} is incomplete: {again}")
    where = mounts.cgroup_path(cgroups.pop()) if len(cgroups) == 1 else None
    if where is None:
        return nothing._replace(detail=f"the cgroup they were attached to is gone: {again}")
    return nothing._replace(
        attached=True,
        detail=f"attached to {where}",
        cgroup=where,
        abi=native.ABI_VERSION,
        programs=programs,
        policy=host_policy.read(native, Path(pin)),
    )


def _command(verb: str, pin: str) -> str:
    return f"pyeno {verb}" if pin == PIN else f"pyeno {verb} --pin {pin}"


# -- loading -------------------------------------------------------------------


@contextmanager
def _loaded(native: Any) -> Iterator[tuple[list[int], list[int]]]:
    """Descriptors of the maps and the programs, closed again afterwards."""
    with ExitStack() as stack:

        def keep(fd: int) -> int:
            stack.callback(os.close, fd)
            return fd

        with explaining("loading the BPF programs"):
            btf = keep(native.load_btf())
            maps = [keep(native.create_map(i, btf)) for i in range(len(native.map_names()))]
            programs = [
                keep(native.load_program(i, btf, maps))
                for i in range(len(native.program_names()))
            ]
        yield maps, programs


def _describe(native: Any, fd: int) -> Program:
    number, tag, name, verified = native.program_info(fd)
    return Program(name, number, tag, verified)


def _attach_all(
    native: Any,
    pin: Path,
    cgroup: Path,
    maps: list[int],
    programs: list[int],
    wanted: Policy,
) -> None:
    with ExitStack() as undo, explaining(f"attaching to {cgroup}"):
        pin.mkdir(mode=0o700)
        undo.callback(_remove, native, pin)
        for part in _PARTS:
            (pin / part).mkdir()
        for name, fd in zip(native.map_names(), maps, strict=True):
            native.pin(fd, pin / "maps" / name)
        host_policy.write(native, pin, wanted)
        target = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
        undo.callback(os.close, target)
        for i, name in enumerate(native.program_names()):
            native.pin(programs[i], pin / "programs" / name)
            link = native.create_link(i, programs[i], target)
            try:
                native.pin(link, pin / "links" / name)
            finally:
                os.close(link)
        host_policy.refresh_fast_open(native, pin)
        undo.pop_all()
        os.close(target)


def _remove(native: Any, pin: Path) -> None:
    """Links first: no program runs while its maps' pins go."""
    if (pin / "links").is_dir():
        for entry in sorted((pin / "links").iterdir(), reverse=True):
            _detach_link(native, entry)
    _unpin(pin)


def _unpin(pin: Path) -> None:
    """What somebody holds by a descriptor goes on."""
    for part in _PARTS:
        if (pin / part).is_dir():
            for entry in sorted((pin / part).iterdir(), reverse=True):
                entry.unlink()
            (pin / part).rmdir()
    pin.rmdir()


def _detach_link(native: Any, path: Path) -> None:
    fd = native.open_pinned(path)
    try:
        native.detach_link(fd)
    finally:
        os.close(fd)


# -- what is there already -------------------------------------------------------


def _pinned_programs(native: Any, pin: Path) -> Iterator[Program]:
    names = sorted(entry.name for entry in (pin / "links").iterdir())
    if names != sorted(native.program_names()):
        raise FileNotFoundError(pin)
    for name in native.program_names():
        fd = native.open_pinned(pin / "programs" / name)
        try:
            yield _describe(native, fd)
        finally:
            os.close(fd)


def _pinned_cgroup(native: Any, pin: Path, name: str) -> int:
    fd = native.open_pinned(pin / "links" / name)
    try:
        return int(native.link_info(fd)[2])
    finally:
        os.close(fd)


def _already(
    native: Any, before: Status, ours: tuple[Program, ...], where: Path, changes: Changes
) -> Status:
    if [p.tag for p in before.programs] != [p.tag for p in ours]:
        raise KernelError(
            errno.EEXIST,
            f"another version of pyeno's BPF programs is attached to {before.cgroup}: run "
            f"'{_command('detach', before.pin)}' (its connections being negotiated fall back "
            f"to plain TCP), then '{_command('attach', before.pin)}'",
        )
    if before.cgroup != str(where):
        raise KernelError(
            errno.EEXIST,
            f"already attached to {before.cgroup}, not to {where}: to change its policy add "
            f"--cgroup {before.cgroup}; to move it, first run "
            f"'{_command('detach', before.pin)}'",
        )
    wanted = (before.policy or Policy()).but(changes)
    with explaining("changing the host's policy"):
        host_policy.refresh_fast_open(native, Path(before.pin))
        if wanted != before.policy:
            host_policy.write(native, Path(before.pin), wanted)
    what = "nothing" if wanted == before.policy else "the host's policy was"
    return before._replace(
        current=True,
        policy=wanted,
        detail=f"already attached to {where}, this very version; {what} changed",
    )


def _refuse_others(native: Any, cgroup: Path) -> None:
    """Programs of pyeno above or below would see the same sockets twice."""
    if _has_programs(native, cgroup, effective=True):
        _refuse(cgroup, "attached to it, or to a cgroup above it,")
    for below in cgroup.rglob("*/"):
        if _has_programs(native, below, effective=False):
            _refuse(below, f"attached below {cgroup}, to {below},")


def _refuse(cgroup: Path, where: str) -> NoReturn:
    raise KernelError(
        errno.EEXIST,
        f"cannot attach: other programs of pyeno are {where} pinned elsewhere: run "
        "'pyeno detach --pin DIR' with the directory they were attached with "
        "(find it with: find /sys/fs/bpf -name eno_sockops)",
    )


def _has_programs(native: Any, cgroup: Path, *, effective: bool) -> bool:
    index = native.program_names().index("eno_sockops")
    try:
        fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False  # removed meanwhile
    try:
        ids = native.query(index, fd, effective)
        return any(_name_of(native, number) == "eno_sockops" for number in ids)
    finally:
        os.close(fd)


def _name_of(native: Any, number: int) -> str | None:
    # CAP_SYS_ADMIN: without it, programs pinned elsewhere stay unknown
    with suppress(PermissionError, FileNotFoundError):
        fd = native.program_by_id(number)
        try:
            return str(native.program_info(fd)[2])
        finally:
            os.close(fd)
    return None
