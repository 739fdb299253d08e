"""Which sockets listen already: what the kernel half cannot have seen (sock_diag(7)).

It notes a listener when listen(2) is called in the cgroups; those from before are found
here, and those it noted wrongly (an IPv6 socket with IPV6_V6ONLY takes no IPv4) or that
closed without its seeing.
"""

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pyeno.redirect import layout

NETLINK_SOCK_DIAG: Final = 4
SOCK_DIAG_BY_FAMILY: Final = 20
NLM_F_REQUEST_DUMP: Final = 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3
TCP_LISTEN: Final = 10
SKV6ONLY, CGROUP_ID = 11, 21
ANY6: Final = bytes(16)
ANY4: Final = layout.MAPPED + bytes(4)
_HEAD = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxIHH32sI8s")
_MESSAGE = struct.Struct("=BBBB2s2s16s16sI8s5I")
_ATTRIBUTE = struct.Struct("=HH")
_ROOM: Final = 1 << 16


class Listener(NamedTuple):
    """One listening socket of this network namespace."""

    address: bytes
    """16 bytes, IPv4 mapped"""
    port: int
    cgroup: int
    v6only: bool

    def places(self) -> Iterator[bytes]:
        """The endpoints it listens at."""
        port = struct.pack("!H6x", self.port)
        yield self.address + port
        if self.address == ANY6 and not self.v6only:
            yield ANY4 + port


def any_like(place: bytes) -> bytes:
    """The unspecified address of an endpoint's family, and its port."""
    return (ANY4 if place.startswith(layout.MAPPED) else ANY6) + place[16:]


class Listening:
    """Asks in the network namespace of the thread that made it."""

    def __init__(self, cgroups: Iterable[Path]) -> None:
        self._cgroups = tuple(cgroups)
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)

    def close(self) -> None:
        self._netlink.close()

    def listeners(self, port: int = 0) -> Iterator[Listener]:
        """Those on a port; 0: all."""
        for family in (socket.AF_INET, socket.AF_INET6):
            request = _REQUEST.pack(
                family, socket.IPPROTO_TCP, 0, 1 << TCP_LISTEN, socket.htons(port), 0,
                bytes(32), 0, b"\xff" * 8,
            )  # fmt: skip
            size = _HEAD.size + len(request)
            head = _HEAD.pack(size, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0)
            self._netlink.sendto(head + request, (0, 0))
            yield from map(_listener, _messages(self._netlink))

    def places(self, port: int = 0) -> set[bytes]:
        """The endpoints at which sockets of the cgroups listen."""
        inside = cgroup_ids(self._cgroups)
        found = [listener for listener in self.listeners(port) if listener.cgroup in inside]
        return {place for listener in found for place in listener.places()}


def _messages(netlink: socket.socket) -> Iterator[bytes]:
    while True:
        data = netlink.recv(_ROOM)
        while data:
            size, kind, *_ = _HEAD.unpack_from(data)
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                error = -int.from_bytes(data[16:20], "little", signed=True)
                raise OSError(error, os.strerror(error))
            yield data[_HEAD.size : size]
            data = data[size + 3 & ~3 :]


def _listener(message: bytes) -> Listener:
    family, _, _, _, port, _, address, *_ = _MESSAGE.unpack_from(message)
    attributes = dict(_attributes(message[_MESSAGE.size :]))
    return Listener(
        layout.MAPPED + address[:4] if family == socket.AF_INET else address,
        int.from_bytes(port, "big"),
        int.from_bytes(attributes.get(CGROUP_ID, b""), "little"),
        attributes.get(SKV6ONLY) == b"\1",
    )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(data)
        yield kind, data[_ATTRIBUTE.size : size]
        data = data[max(size, _ATTRIBUTE.size) + 3 & ~3 :]


def cgroup_ids(cgroups: Iterable[Path]) -> frozenset[int]:
    """Numbers of the cgroups and of all below them."""
    found = set()
    for cgroup in cgroups:
        found.add(cgroup.stat().st_ino)
        for path, names, _ in os.walk(cgroup):
            for name in names:
                try:
                    found.add((Path(path) / name).stat().st_ino)
                except FileNotFoundError:
                    continue  # removed meanwhile
    return frozenset(found)
