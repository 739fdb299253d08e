"""ENO for the relay's own sockets, whether or not somebody attached the programs."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from pyeno import attach, cgroups, kernel
from pyeno.redirect import Redirection

BPFFS = Path("/sys/fs/bpf")


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
        stack.enter_context(attach.held(own, str(BPFFS / f"pyeno-relay-{os.getpid()}")))
        cgroups.enter(own)
        stack.callback(cgroups.enter, home)
        yield True


def _covered() -> bool:
    """Raises KernelError if what is attached is another version's."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return kernel.configure(probe, teps=b"")


def sweep() -> None:
    """Remove what killed relays left behind and nobody needs: empty cgroups, the pins of
    ``pyeno run --fail closed`` whose programs have ended, and of attaching."""
    cgroups.sweep()
    lived_in = {path.name for path in cgroups.leftovers()}
    for pin in BPFFS.glob("pyeno-run-*"):
        if pin.name not in lived_in and not _alive(pin):
            with contextlib.suppress(OSError):  # its relay lives
                Redirection.clean(pin)
    for pin in BPFFS.glob("pyeno-relay-*"):
        if not _alive(pin):
            with contextlib.suppress(OSError):
                attach.detach(str(pin))


def _alive(pin: Path) -> bool:
    number = pin.name.rpartition("-")[2]
    return number.isdigit() and cgroups.alive(int(number))
