"""The relay's own listeners, which the kernel half sends connections to."""

import ipaddress
import socket
from typing import Final

from pyeno.errors import ConfigError, KernelError
from pyeno.redirect import layout
from pyeno.redirect.layout import Address

Pair = tuple[socket.socket | None, socket.socket | None]
"""for IPv4, for IPv6; None: this version is not redirected"""

SO_NETNS_COOKIE: Final = 71
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)


def netns_cookie(sock: socket.socket) -> int:
    """The kernel's number for the network namespace that a socket lives in."""
    return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), "little")


def check(field: str, pair: Pair, *, loopback: bool = False) -> None:
    """ConfigError unless they are what the field is for."""
    for sock, family in zip(pair, _FAMILIES, strict=True):
        if sock is None:
            continue
        if sock.family != family or sock.type != socket.SOCK_STREAM:
            raise ConfigError(
                f"{field}: give a TCP socket for IPv4, then one for IPv6, or None"
            )
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ConfigError(f"{field}: {sock.getsockname()} does not listen: call listen()")
        host = ipaddress.ip_address(sock.getsockname()[0].partition("%")[0])
        if loopback and not host.is_loopback:
            raise ConfigError(f"{field}: {host} is no loopback address: bind to one")


def place(listeners: tuple[Pair, Pair]) -> tuple[bytes, int]:
    """Where the near and the steered listeners are, and in which network namespace."""
    present = [sock for pair in listeners for sock in pair if sock is not None]
    if not present:
        raise ConfigError("near, steered: give at least one listener")
    cookies = {netns_cookie(sock) for sock in present}
    with socket.socket() as probe:
        if cookies != {netns_cookie(probe)}:
            raise ConfigError(
                "near, steered: make them in the network namespace that this thread is in"
            )
    names = [
        layout.NOWHERE if sock is None else layout.endpoint(sock.getsockname())
        for pair in listeners
        for sock in pair
    ]
    return b"".join(names), cookies.pop()


class Injector:
    """Raw sockets, for the IP versions that have a near listener."""

    def __init__(self, near: Pair) -> None:
        self._raw: dict[int, socket.socket] = {}
        try:
            for sock, version in zip(near, (4, 6), strict=True):
                if sock is not None:
                    raw = socket.socket(sock.family, socket.SOCK_RAW, socket.IPPROTO_RAW)
                    self._raw[version] = raw
        except PermissionError as error:
            self.close()
            raise KernelError(
                error.errno, "opening a raw socket: run it as root, or with CAP_NET_RAW too"
            ) from None

    def send(self, version: int, packet: bytes, target: Address) -> None:
        """Where a packet says; OSError if it is not sent."""
        self._raw[version].sendto(packet, (target[0], 0, *target[2:]))

    def close(self) -> None:
        for raw in self._raw.values():
            raw.close()
