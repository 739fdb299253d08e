"""Which connections of a program are left alone."""

import ipaddress
import socket
from typing import Any, NamedTuple

from pyeno.constants import SECURE_PORTS


class Rules(NamedTuple):
    """No ENO for these ports and, unless ``loopback``, inside this host."""

    skip_ports: frozenset[int] = SECURE_PORTS
    loopback: bool = False

    def skips(self, address: Any) -> bool:
        """For a socket's address: where it connects to, or what it listens on."""
        host, port = address[:2]
        return port in self.skip_ports or self.within(host)

    def within(self, host: str) -> bool:
        """Whether connections to this numeric address are left alone since they do not
        leave the host."""
        return not self.loopback and is_loopback(host)


def is_loopback(host: str) -> bool:
    """127.0.0.0/8 and ::1, also as ::ffff:127.0.0.1."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def numeric(family: int, address: Any) -> Any:
    """The address that connect() takes, with the host's number for its name."""
    host, port, *rest = address
    if not isinstance(host, str):
        return address
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - Linux connects to itself
        return ("127.0.0.1" if family == socket.AF_INET else "::1", port, *rest)
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    return (*found[0][4][:2], *rest)
