"""The kernel half of the redirection: loaded, attached, held, pinned.

Links are held by descriptors of this process: when it dies, however, the kernel detaches
them, and programs connect directly (fail open).  Pinned in bpffs as well, those that
divert stay and refuse, until the next owner of the pin takes over (fail closed).
"""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from pyeno import mounts
from pyeno.errors import KernelError
from pyeno.loading import explaining, native
from pyeno.redirect import layout

# bpf_set_retval and the process's number in the hooks of connect(2)
KERNEL_MIN: Final = (6, 1)
_STEER: Final = "eno_steer"
# without these two, nothing is held or renamed; the others divert, or know what to
_LEFT_BEHIND: Final = ("eno_redirect", _STEER, "eno_connect4", "eno_connect6")


class Links:
    """Everything loaded and attached, until :meth:`close`."""

    def __init__(self, cgroups: Sequence[Path], pin: Path | None) -> None:
        self._kernel = native()
        self._stack = ExitStack()
        self._links: list[tuple[str, int]] = []
        self._pins: list[Path] = []
        self.pin = pin
        with self._stack, explaining("loading the programs that redirect", KERNEL_MIN):
            self.paths = [mounts.cgroup_directory(str(path)) for path in cgroups]
            self._cgroups = [self._stack.enter_context(_alone(path)) for path in self.paths]
            if pin is not None:
                self._stack.enter_context(owned(pin))
            self._load()
            self._stack = self._stack.pop_all()

    def map(self, name: str) -> Any:
        """One of the maps; ValueError when it is closed."""
        if name not in self._maps:
            raise ValueError("the redirection is closed")
        return self._maps[name]

    def _keep(self, fd: int) -> int:
        self._stack.callback(os.close, fd)
        return fd

    def _load(self) -> None:
        kernel, which = self._kernel, self._kernel.REDIRECT
        btf = self._keep(kernel.load_btf(which))
        names = kernel.map_names(which)
        fds = [self._keep(kernel.create_map(i, btf, which)) for i in range(len(names))]
        self._maps = {
            name: kernel.Map(fd, i, which)
            for i, (name, fd) in enumerate(zip(names, fds, strict=True))
        }
        self.ring = kernel.Ring(self._maps["eno_events"].fd, layout.RING_SIZE)
        self._stack.callback(self.ring.close)
        self._programs = [
            self._keep(kernel.load_program(i, btf, fds, which))
            for i in range(len(kernel.program_names(which)))
        ]

    def attach(self) -> None:
        """Divert from now on: the maps are filled.  Nothing stays attached after a failure."""
        with explaining("attaching the programs that redirect", KERNEL_MIN):
            netns = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            try:
                for i, name in enumerate(self._kernel.program_names(self._kernel.REDIRECT)):
                    for target in [netns] if name == _STEER else self._cgroups:
                        self._attach(i, name, target)
                if self.pin is not None:
                    self._pin_links(self.pin)
            except BaseException:
                self._detach()
                raise
            finally:
                os.close(netns)

    def _attach(self, index: int, name: str, target: int) -> None:
        which = self._kernel.REDIRECT
        link = self._kernel.create_link(index, self._programs[index], target, which)
        self._links.append((name, link))

    def _pin_links(self, pin: Path) -> None:
        """Ours first, then those of a dead owner go: at no moment is there nothing."""
        before = list(pin.iterdir())
        ours = secrets.token_hex(4)
        for number, (name, link) in enumerate(self._links):
            if name in _LEFT_BEHIND:
                path = pin / f"{ours}-{number:03}-{name}"
                self._kernel.pin(link, path)
                self._pins.append(path)
        _drop(self._kernel, before)

    def _detach(self) -> None:
        """What diverts first: nothing is diverted that could not be held."""
        while self._pins:
            self._pins.pop().unlink()
        while self._links:
            link = self._links.pop()[1]
            self._kernel.detach_link(link)
            os.close(link)

    def close(self) -> None:
        """Detach at once, and unpin; what a dead owner pinned is not ours."""
        self._detach()
        self._maps.clear()
        self._stack.close()


def _drop(kernel: Any, entries: list[Path]) -> None:
    for entry in sorted(entries, reverse=True):
        link = kernel.open_pinned(entry)
        try:
            kernel.detach_link(link)
        finally:
            os.close(link)
        entry.unlink()


def clean(pin: Path) -> bool:
    """Remove what a dead owner left pinned; whether there was anything.

    KernelError (EBUSY) while the owner lives.
    """
    if not pin.is_dir():
        return False
    with explaining(f"removing {pin}", KERNEL_MIN), owned(pin):
        entries = list(pin.iterdir())
        _drop(native(), entries)
    return bool(entries)


# -- one owner -------------------------------------------------------------------


def _lock(path: Path, how: int) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _taken(path: Path, what: str) -> NoReturn:
    raise KernelError(
        errno.EBUSY,
        f"{path} {what}: stop the other relay, or give this one other cgroups "
        "(who holds it: fuser -v on that directory)",
    ) from None


@contextmanager
def _alone(cgroup: Path) -> Iterator[int]:
    """A descriptor of a cgroup that no other relay redirects, nor one above or below it.

    The kernel lets any number attach, and a connection would go through all of them; so
    relays lock the directory, and share the lock of those above.
    """
    with ExitStack() as stack:
        root = mounts.cgroup_root()
        for path in [p for p in cgroup.parents if p.is_relative_to(root)]:
            try:
                stack.callback(os.close, _lock(path, fcntl.LOCK_SH))
            except BlockingIOError:
                _taken(path, "is redirected already, and all below it")
        try:
            fd = _lock(cgroup, fcntl.LOCK_EX)
        except BlockingIOError:
            _taken(cgroup, "is redirected already, or a cgroup below it")
        stack.callback(os.close, fd)
        yield fd


@contextmanager
def owned(pin: Path) -> Iterator[int]:
    """The directory of pins, made if need be, and locked for as long as its owner lives."""
    mounts.ensure_bpffs(pin)
    pin.mkdir(mode=0o700, exist_ok=True)
    try:
        fd = _lock(pin, fcntl.LOCK_EX)
    except BlockingIOError:
        _taken(pin, "has an owner that lives")
    try:
        yield fd
    finally:
        with suppress(OSError):  # ENOTEMPTY: what a dead owner left stays in force
            pin.rmdir()
        os.close(fd)
