"""Is the kernel's random generator ready (RFC 8547 section 10)?

"Implementations MUST NOT send ENO options unless they have access to an adequate source
of randomness."  Soon after boot getrandom() may not be; once it is, it stays so.
[8547:10-4] [8548:8-6]
"""

import os
from functools import cache


@cache  # keeps success, not an exception
def _seeded() -> None:
    os.getrandom(1, os.GRND_NONBLOCK)


def ready() -> bool:
    """Whether it is; one system call a process where it is."""
    try:
        _seeded()
    except BlockingIOError:
        return False
    return True


def wait() -> None:
    """Return once it is."""
    if not ready():
        os.getrandom(1)
