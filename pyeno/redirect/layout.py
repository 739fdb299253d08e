"""The structures of ext/bpf/redirect_maps.bpf.h as bytes.

Addresses are 16 bytes, IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2), ports in
network order.  A socket address is what Python's ``socket`` calls so: a tuple that
begins with host and port; IPv6 has four items, without scope here.
"""

import socket
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pyeno.errors import ConfigError

Address = tuple[Any, ...]
"""``(host, port)``, or ``(host, port, 0, 0)`` for IPv6"""

MAPPED: Final = bytes(10) + b"\xff\xff"
NOWHERE: Final = bytes(24)
"""an endpoint with port 0: none"""
PORTS_LEN: Final = 8192
PREFIX: Final = struct.Struct("=I16s")
WORD: Final = struct.Struct("=I")
SOCKET: Final = struct.Struct("=Q")
VERDICT: Final = struct.Struct("=Q24s24sQ")
EVENT: Final = struct.Struct("=QQIIQ24s24s")
RULES: Final = struct.Struct(f"=Q96s??B5x{PORTS_LEN}s{PORTS_LEN}s")
RING_SIZE: Final = 1 << 20
HOSTS: Final = 1024
"""addresses whose text is remembered: most connections are with a few"""
_PORT: Final = struct.Struct("!H6x")
HELD, AGAIN, GONE = range(3)


class Event(NamedTuple):
    """What the kernel half reports of one connecting socket."""

    kind: int
    cookie: int
    pid: int
    uid: int
    remote: bytes
    source: bytes
    packet: bytes


def endpoint(address: Address) -> bytes:
    """An endpoint's 24 bytes; ConfigError for what is no numeric socket address."""
    host, port = address[:2]
    try:
        return _number(host) + _PORT.pack(port)
    except (OSError, TypeError, struct.error):
        raise ConfigError(
            f"{address!r}: give a numeric IPv4 or IPv6 address and a port of 0 to 65535"
        ) from None


@lru_cache(HOSTS)
def _number(host: str) -> bytes:
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return MAPPED + socket.inet_pton(socket.AF_INET, host)


def address(endpoint: bytes) -> Address:
    """The socket address of an endpoint."""
    host, port = _host(endpoint[:16]), endpoint[16] << 8 | endpoint[17]
    return (host, port, 0, 0) if ":" in host else (host, port)


@lru_cache(HOSTS)
def _host(number: bytes) -> str:
    if number.startswith(MAPPED):
        return socket.inet_ntop(socket.AF_INET, number[12:])
    return socket.inet_ntop(socket.AF_INET6, number)


def event(record: bytes) -> Event:
    """One record of the ring buffer."""
    cookie, kind, uid, pid, size, remote, source = EVENT.unpack_from(record)
    packet = record[EVENT.size : EVENT.size + size]
    return Event(kind, cookie, pid, uid, remote, source, packet)


def ports(numbers: Sequence[int] | frozenset[int]) -> bytes:
    """A bit for every port, the lowest first."""
    bits = bytearray(PORTS_LEN)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    return bytes(bits)
