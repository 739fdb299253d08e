"""The kernel's table of TCP sockets: /proc/net/tcp and tcp6."""

import socket
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

Address: TypeAlias = tuple[str, int]
"""As getsockname() begins; IPv4 in IPv6 as IPv4."""

# include/net/tcp_states.h, in the words of ss(8)
STATES: Final = {
    1: "ESTAB", 2: "SYN-SENT", 3: "SYN-RECV", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2", 6: "TIME-WAIT",
    7: "UNCONN", 8: "CLOSE-WAIT", 9: "LAST-ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN-RECV",
    13: "BOUND-INACTIVE",
}  # fmt: skip
LISTEN: Final = "LISTEN"
_FAMILIES: Final = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6}
_MAPPED: Final = bytes(10) + b"\xff\xff"


class Row(NamedTuple):
    """One socket of this thread's network namespace."""

    family: socket.AddressFamily
    state: str
    local: Address
    peer: Address
    """port 0: none"""
    inode: int
    """0: no process has it any more"""


def rows() -> Iterator[Row]:
    """Every TCP socket, the listeners of each family first."""
    for name, family in _FAMILIES.items():
        path = Path("/proc/thread-self/net", name)
        if path.exists():  # no tcp6 where IPv6 is switched off
            yield from parse(path.read_text(), family)


def parse(text: str, family: socket.AddressFamily) -> Iterator[Row]:
    """The rows of one of the two files."""
    for line in text.splitlines()[1:]:
        _, local, peer, state, _, _, _, _, _, inode, *_ = line.split()
        name = STATES.get(int(state, 16), state)
        yield Row(family, name, _address(local), _address(peer), int(inode))


@lru_cache(maxsize=1 << 14)
def _address(text: str) -> Address:
    """Words of 32 bits as this machine would print them, then the port."""
    host, _, port = text.partition(":")
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    raw = struct.pack(f"={len(words)}I", *words).removeprefix(_MAPPED)
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, raw), int(port, 16)
