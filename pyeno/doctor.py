"""What this host can do for TCP-ENO, and the one command that mends each lack.

Every check is a function that returns a :class:`Check`; none changes anything.
"""

import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from pyeno import attach, entropy, kernel, loading, mounts
from pyeno.constants import ECDHE
from pyeno.errors import KernelError

# TCP_BPF_SOCK_OPS_CB_FLAGS in bpf_setsockopt
KERNEL_LATE_LISTENERS: Final = (6, 12)
# linux/capability.h; CAP_SYS_ADMIN includes CAP_BPF
CAPABILITIES: Final = {"CAP_BPF": (39, 21), "CAP_NET_ADMIN": (12,)}


# where sudo looks, whatever the caller's PATH (sudoers' secure_path)
_SECURE_PATH: Final = (
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
)
_REINSTALL: Final = "pip install --force-reinstall . (in pyeno's sources, with a C compiler)"


def command(words: str) -> str:
    """``sudo pyeno …``, by its full path where sudo would not find it."""
    here = Path(sys.executable).with_name("pyeno")
    if here.exists() and not any(Path(where, "pyeno").exists() for where in _SECURE_PATH):
        return f"sudo {here} {words}"
    return f"sudo pyeno {words}"


class Check(NamedTuple):
    """One thing this host has or lacks."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    """the command that mends it; empty if all is well"""


def examine() -> list[Check]:
    """All checks, in the order in which one would mend what is missing."""
    return [_safely(check) for check in _CHECKS]


def _safely(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except (OSError, ImportError, ValueError) as error:
        name = check.__name__.removeprefix("_check_").replace("_", " ")
        variable = str(error).partition("=")[0]
        mend = f"unset {variable}" if variable in os.environ else _REINSTALL
        return Check(name, False, str(error), mend)


def late_listeners() -> bool:
    """Whether this kernel lets a socket be configured after listen()."""
    return loading.kernel_release() >= KERNEL_LATE_LISTENERS


def _check_kernel() -> Check:
    release, wanted = platform.release(), ".".join(map(str, loading.KERNEL_MIN))
    if loading.kernel_release() < loading.KERNEL_MIN:
        return Check(
            "kernel",
            False,
            f"Linux {release}; {wanted} or newer",
            "apt install linux-image-amd64",
        )
    late = (
        "listeners may be configured before or after listen()"
        if late_listeners()
        else "configure listeners before listen() (after it: Linux 6.12)"
    )
    return Check("kernel", True, f"Linux {release}; {late}; BTF is not needed")


def _check_bpf() -> Check:
    if Path("/proc/sys/net/core/bpf_jit_enable").exists():
        return Check("bpf", True, "bpf(2) with a JIT compiler")
    return Check("bpf", False, "this kernel has no BPF JIT", "apt install linux-image-amd64")


def _check_cgroup2() -> Check:
    try:
        return Check("cgroup2", True, f"mounted at {mounts.cgroup_root()}")
    except KernelError as error:
        command = (
            "mkdir -p /sys/fs/cgroup/unified; mount -t cgroup2 none /sys/fs/cgroup/unified"
        )
        return Check("cgroup2", False, str(error.strerror), command)


def _check_bpffs() -> Check:
    found = mounts.find("bpf")
    if found:
        return Check("bpffs", True, f"mounted at {found[0]}")
    return Check("bpffs", False, "not mounted", "mount -t bpf bpf /sys/fs/bpf")


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _check_capabilities() -> Check:
    """Only attaching needs them, and attaching is done once."""
    held = _effective_capabilities()
    missing = [
        name for name, bits in CAPABILITIES.items() if not any(held >> bit & 1 for bit in bits)
    ]
    if missing and covered():
        return Check("capabilities", True, f"no {', '.join(missing)}; not needed, as attached")
    if missing:
        return Check("capabilities", False, f"no {', '.join(missing)}", command("attach"))
    return Check("capabilities", True, "CAP_BPF and CAP_NET_ADMIN")


def _check_attached() -> Check:
    status = attach.status()
    if status.attached:
        return Check("attached", True, status.detail)
    if covered():
        return Check(
            "attached", True, f"yes, but not through a {status.pin} that can be read here"
        )
    return Check("attached", False, "no", command("attach"))


def covered() -> bool:
    """Whether a socket made by this process can use ENO."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        return kernel.version(sock) == kernel.ABI_VERSION


def _check_this_process() -> Check:
    """Asked of the kernel itself: a socket made here, and its options."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        version = kernel.version(sock)
    where = mounts.own_cgroup()
    if version is None:
        return Check(
            "this process", False, f"its cgroup {where} is not covered", command("attach")
        )
    if version != kernel.ABI_VERSION:
        detail = f"attached version {version} of the socket options, not {kernel.ABI_VERSION}"
        mend = f"{command('detach')} && {command('attach')}"
        return Check("this process", False, detail, mend)
    return Check("this process", True, f"its cgroup {where} is covered")


def _check_backend() -> Check:
    from pyeno._backend import backend

    if backend == "native":
        return Check("backend", True, "native (compiled core)")
    asked = os.environ.get("PYENO_BACKEND") == "pure"
    mend = "unset PYENO_BACKEND" if asked else _REINSTALL
    return Check("backend", False, "pure Python: slow", mend)


def _check_entropy() -> Check:
    """RFC 8547 section 10 and RFC 8548 section 8: no ENO without randomness."""
    if not entropy.ready():
        return Check("entropy", False, "the generator is not ready", "apt install rng-tools5")
    return Check("entropy", True, "getrandom() is ready")


def _check_aeads() -> Check:
    from pyeno._crypto import providers

    detail = ", ".join(f"{aead.name} by {library}" for aead, library in providers().items())
    if detail:
        return Check("aeads", True, detail)
    return Check("aeads", False, "none", "pip install --upgrade PyNaCl cryptography")


def _check_teps() -> Check:
    """RFC 8548 table 2; which of them are offered is for ``Config.teps`` to say."""
    from pyeno import tep
    from pyeno._crypto import agreement_provider, has_curve

    able = [
        f"{tep.name(number)} by {agreement_provider(number)}"
        for number in ECDHE
        if has_curve(number)
    ]
    lacking = [tep.name(number) for number in ECDHE if not has_curve(number)]
    if lacking:
        mend = "pip install --force-reinstall cryptography"
        return Check("teps", False, f"{', '.join(able)}; no {', '.join(lacking)}", mend)
    return Check("teps", True, ", ".join(able))


def _check_demo_tools() -> Check:
    packages = {"ip": "iproute2", "tcpdump": "tcpdump"}
    missing = [package for tool, package in packages.items() if not shutil.which(tool)]
    if missing:
        return Check(
            "demo tools", False, f"no {', '.join(missing)}", f"apt install {' '.join(missing)}"
        )
    return Check("demo tools", True, "ip and tcpdump")


_CHECKS: Final = (
    _check_kernel,
    _check_bpf,
    _check_cgroup2,
    _check_bpffs,
    _check_capabilities,
    _check_attached,
    _check_this_process,
    _check_backend,
    _check_entropy,
    _check_aeads,
    _check_teps,
    _check_demo_tools,
)
