"""File descriptors: as many as this process may have."""

import resource

_SPARE = 64
"""descriptors that are no connections"""


def raise_limit(wanted: int) -> int:
    """Allow ``wanted`` connections if possible; how many are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _SPARE
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = _raised(needed, hard)
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, soft - _SPARE)


def _raised(needed: int, hard: int) -> int:
    """The new soft limit; the hard one too, where root may raise it."""
    for limits in ((needed, max(needed, hard)), (min(needed, hard), hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        except (ValueError, OSError):
            continue
        break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
