"""What the demonstration needs of this machine, and the one command that mends
each lack.  Nothing is changed by looking."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from pyeno import doctor
from pyeno.demo.hosts import eno_attached

_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21, "CAP_BPF": 39}
# of the doctor's; the demo attaches by itself
_CHECKS = {"kernel", "bpf", "cgroup2", "entropy", "aeads", "demo tools"}


class Lack(NamedTuple):
    """Something missing."""

    name: str
    detail: str
    remedy: str


def lacks(size: int) -> list[Lack]:
    """Everything missing for files of ``size`` bytes; empty: the demo can run."""
    return [*_privilege(), *_host(), *_loader(), *_room(size)]


def _privilege() -> Iterator[Lack]:
    if os.geteuid() != 0:
        detail = "not root: network namespaces, tcpdump and BPF need it"
        yield Lack("root", detail, "sudo $(command -v pyeno) demo")
        return
    status = Path("/proc/self/status").read_text()
    effective = int(status.split("CapEff:")[1].split()[0], 16)
    absent = [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]
    if absent:
        detail = f"root without {', '.join(absent)}"
        yield Lack("capabilities", detail, "start the container with --privileged")


def _host() -> Iterator[Lack]:
    for check in doctor.examine():
        if check.name in _CHECKS and not check.ok:
            yield Lack(check.name, check.detail, check.remedy)


def _loader() -> Iterator[Lack]:
    if not eno_attached() and find_spec("pyeno._native.kernel") is None:
        detail = "the compiled loader of the BPF programs is missing"
        yield Lack("loader", detail, "apt-get install gcc && pip install --force-reinstall .")


def _room(size: int) -> Iterator[Lack]:
    # two files, and both again in the capture
    needed = 4 * size + (64 << 20)
    scratch = tempfile.gettempdir()
    free = shutil.disk_usage(scratch).free
    if free < needed:
        detail = f"{scratch} has {free >> 20} MiB free, {needed >> 20} are needed"
        yield Lack("disk", detail, "TMPDIR=/path/with/room pyeno demo")
