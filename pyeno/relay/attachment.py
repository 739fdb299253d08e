"""ENO for the relay's own sockets, whether or not somebody attached the programs."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from pyeno import attach, cgroups, kernel
from pyeno.errors import KernelError

PIN = "/sys/fs/bpf/pyeno-relay-{pid}"


@contextlib.contextmanager
def attached() -> Iterator[bool]:
    """Use what is attached for this process, or attach to a cgroup of its own; whether
    that was needed.

    Nothing stays pinned: the kernel detaches when this process ends, however it does.
    """
    if _covered():
        yield False
        return
    home, own = cgroups.home(), cgroups.create("relay")
    with contextlib.ExitStack() as stack:
        stack.callback(cgroups.remove, own)
        try:
            stack.enter_context(attach.held(own, PIN.format(pid=os.getpid())))
        except KernelError as error:
            raise _without_privilege(error) from None
        cgroups.enter(own)
        stack.callback(cgroups.enter, home)
        yield True


def _covered() -> bool:
    """Raises KernelError if what is attached is another version's."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return kernel.configure(probe, teps=b"")


def _without_privilege(error: KernelError) -> KernelError:
    if error.errno not in (errno.EPERM, errno.EACCES):
        return error
    return KernelError(
        error.errno,
        f"the relay must load BPF programs: {error.strerror} (with 'sudo pyeno run --user "
        "NAME -- CMD' the command itself runs as NAME)",
    )


def sweep() -> None:
    """Remove pins of relays that were killed while they attached, and their cgroups."""
    for pin in Path("/sys/fs/bpf").glob("pyeno-relay-*"):
        if not Path("/proc", pin.name.rpartition("-")[2]).exists():
            with contextlib.suppress(OSError):
                attach.detach(str(pin))
    cgroups.sweep()
