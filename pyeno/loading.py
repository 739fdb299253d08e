"""The compiled loader, and the kernel's complaints turned into what mends them."""

import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pyeno.errors import KernelError

# the youngest helpers the programs of ENO call: bpf_loop (5.17), bpf_set_retval (5.18)
KERNEL_MIN: Final = (5, 18)


def native() -> Any:
    """:mod:`pyeno._native.kernel`; KernelError where it was not compiled."""
    try:
        from pyeno._native import kernel
    except ImportError as error:
        raise KernelError(
            errno.ENOSYS,
            f"the compiled loader is missing ({error}): reinstall pyeno with a C compiler",
        ) from None
    return kernel


def kernel_release() -> tuple[int, ...]:
    """Major and minor of the running Linux."""
    parts = platform.release().split("-")[0].split(".")[:2]
    return tuple(int(part) for part in parts)


@contextmanager
def explaining(doing: str, oldest: tuple[int, int] = KERNEL_MIN) -> Iterator[None]:
    """Turn the kernel's errno into what to do about it.

    ``oldest``: the Linux that what is being done takes.
    """
    try:
        yield
    except KernelError:
        raise
    except OSError as error:
        raise KernelError(
            error.errno, f"{doing}: {error.strerror}; {_advice(error, oldest)}"
        ) from None


def _advice(error: OSError, oldest: tuple[int, int]) -> str:
    log = str(error.filename or "").strip()
    if os.geteuid() == 0 and kernel_release() < oldest:
        # it would say EPERM here for want of locked memory, EINVAL for an unknown helper
        wanted = ".".join(map(str, oldest))
        return f"Linux {platform.release()} is too old: install {wanted} or newer"
    match error.errno:
        case errno.EPERM:
            return "run it as root, or with CAP_BPF and CAP_NET_ADMIN"
        case errno.EEXIST:
            return "somebody else is attaching at this moment: try again"
        case errno.ENOSYS:
            return "this kernel was built without bpf(2)"
        case errno.EACCES if not error.filename or log.startswith("/"):
            return "run it as root"
        case _ if log.startswith("/"):
            return f"look at {log}"
        case _ if log:
            return "the verifier says: " + log[-400:]
        case _:
            return f"Linux {platform.release()}: 'pyeno doctor' says what it lacks"
