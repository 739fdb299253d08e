"""May TCP Fast Open be on for all listeners of some network namespace?

What the BPF programs cannot ask by themselves, to discard the data of SYN+ENO segments
(RFC 8547 section 4.7); later changes they see.
"""

import threading
from pathlib import Path
from typing import Final

from pyeno import namespaces

# passive opens (0x2), without the socket option TCP_FASTOPEN (0x400)
_FOR_ALL: Final = 0x402
SYSCTL: Final = Path("/proc/sys/net/ipv4/tcp_fastopen")
PLACES: Final = (("/proc", "[0-9]*/ns/net"), (namespaces.NAMED, "*"))


def for_all_listeners() -> bool:
    """Whether one of this host's network namespaces has it so; True if that is unknown."""
    found: list[bool] = []

    def ask() -> None:  # in a thread of its own, which moves from namespace to namespace
        try:
            found.append(_here() or any(_in(path) for path in _others()))
        except OSError:
            found.append(True)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return found[0]


def _here() -> bool:
    return int(SYSCTL.read_text()) & _FOR_ALL == _FOR_ALL


def _others() -> list[str]:
    """A path to every network namespace but this process's own."""
    seen = {namespaces.identity("/proc/self/ns/net")}
    paths = []
    for place, pattern in PLACES:
        for path in map(str, Path(place).glob(pattern)):
            try:
                identity = namespaces.identity(path)
            except FileNotFoundError:
                continue  # that process has ended
            if identity not in seen:
                seen.add(identity)
                paths.append(path)
    return paths


def _in(path: str) -> bool:
    try:
        namespaces.enter(path)
    except FileNotFoundError:
        return False
    return _here()
