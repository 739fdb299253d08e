"""Where the two ends of a run are: over loopback, or in two network namespaces.

ENO is attached to a cgroup of the benchmark's own, unless it is attached
already; only the ends that use pyeno enter it, so that plain TCP and TLS are
what they are without pyeno.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from pyeno import namespaces
from pyeno.demo.hosts import Attachment, Hosts

LOOPBACK = "127.0.0.1"


class Place(NamedTuple):
    """The world as the two ends see it."""

    name: str
    """``loopback`` or ``veth``"""
    address: str
    """of the far end"""
    cgroup: Path | None = None
    """where ENO is attached; None: everywhere this process can be"""
    near: str | None = None
    """network namespaces; None: this process's"""
    far: str | None = None

    def enter(self, namespace: str | None, eno: bool) -> None:
        """Take this process there; there is no way back."""
        if eno and self.cgroup is not None:
            (self.cgroup / "cgroup.procs").write_text("0")
        if namespace is not None:
            namespaces.enter(namespaces.NAMED / namespace)


@contextmanager
def place(veth: bool) -> Iterator[Place]:
    """Made for as long as it is needed.  Raises KernelError, DemoError, OSError."""
    if not veth:
        with Attachment("bench") as attachment:
            yield Place("loopback", LOOPBACK, attachment.cgroup)
        return
    with Hosts("bench") as hosts:
        yield Place("veth", hosts.b.address, hosts.cgroup, hosts.a.namespace, hosts.b.namespace)


@contextmanager
def _emptied(cgroup: Path | None) -> Iterator[None]:
    """Interrupted at the wrong moment, a run may leave a process there."""
    try:
        yield
    finally:
        if cgroup is not None:
            for pid in map(int, (cgroup / "cgroup.procs").read_text().split()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
