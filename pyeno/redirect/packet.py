"""The packets that end the wait of a held SYN: itself, or an answer to it.

A held SYN is an IPv4 or IPv6 header and a TCP header with its options, without data;
its TCP checksum was left to hardware.  Answers look as if they came from where it went.
"""

import errno
import struct
from typing import Final, NamedTuple

from pyeno.pcap import Flags

TCP, ICMP, ICMPV6 = 6, 1, 58
_TTL: Final = 64
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!LHBB16s16s")
_TCP = struct.Struct("!HHLLBBHHH")
_ICMP = struct.Struct("!BBHL")

RESET: Final = frozenset({errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED})
SILENT: Final = frozenset({errno.ETIMEDOUT})
# what Linux makes an error of: net/ipv4/icmp.c, net/ipv6/icmp.c (type, code)
UNREACHABLE4: Final = {
    errno.ENETUNREACH: (3, 0),
    errno.EHOSTUNREACH: (3, 1),
    errno.ENOPROTOOPT: (3, 2),
    errno.EOPNOTSUPP: (3, 5),
    errno.EHOSTDOWN: (3, 7),
    errno.ENONET: (3, 8),
    errno.EPROTO: (12, 0),
}
UNREACHABLE6: Final = {
    errno.ENETUNREACH: (1, 0),
    errno.EACCES: (1, 1),
    errno.EHOSTUNREACH: (1, 3),
    errno.EPROTO: (4, 0),
}
# the nearest there is
INSTEAD: Final = {
    errno.EPERM: errno.EACCES,
    errno.ENETDOWN: errno.ENETUNREACH,
    errno.ENETRESET: errno.ENETUNREACH,
}


class Parts(NamedTuple):
    """Where a held SYN's headers are, and who speaks to whom."""

    version: int
    source: bytes
    target: bytes
    header: bytes
    """IP's, with its options"""
    tcp: bytes


def parse(packet: bytes) -> Parts | None:
    """None for what is no whole pair of IP and TCP headers."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= _IPV4.size:
        size = (packet[0] & 15) * 4
        protocol, source, target = packet[9], packet[12:16], packet[16:20]
    elif version == 6 and len(packet) >= _IPV6.size:
        size = _IPV6.size
        protocol, source, target = packet[6], packet[8:24], packet[24:40]
    else:
        return None
    tcp = packet[size:]
    if protocol != TCP or len(tcp) < _TCP.size or len(tcp) != (tcp[12] >> 4) * 4:
        return None
    return Parts(version, source, target, packet[:size], tcp)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of data whose own field is 0."""
    return ~(int.from_bytes(data + bytes(len(data) % 2), "big") % 0xFFFF) & 0xFFFF


def _pseudo(source: bytes, target: bytes, protocol: int, size: int) -> bytes:
    # RFC 9293 section 3.1; RFC 8200 section 8.1: their sums are equal
    return source + target + struct.pack("!HH", protocol, size)


def _with_checksum(data: bytes, at: int, before: bytes) -> bytes:
    cleared = data[:at] + bytes(2) + data[at + 2 :]
    return data[:at] + checksum(before + cleared).to_bytes(2, "big") + data[at + 2 :]


def _ip(parts: Parts, payload: bytes, protocol: int) -> bytes:
    """The payload in a packet of this host's from the SYN's target to its source."""
    if parts.version == 6:
        return (
            _IPV6.pack(6 << 28, len(payload), protocol, _TTL, parts.target, parts.source)
            + payload
        )
    size = _IPV4.size + len(payload)
    head = _IPV4.pack(0x45, 0, size, 0, 0, _TTL, protocol, 0, parts.target, parts.source)
    return _with_checksum(head, 10, b"") + payload


def complete(parts: Parts) -> bytes:
    """The SYN itself: lengths as it is without data, checksums computed."""
    header, tcp, size = parts.header, parts.tcp, len(parts.tcp)
    # as one number: headers of TCP are whole words, and a field of 0 adds nothing
    words = parts.source + parts.target + tcp[:16] + tcp[18:]
    total = int.from_bytes(words, "big") + TCP + size
    tcp = tcp[:16] + (~(total % 0xFFFF) & 0xFFFF).to_bytes(2, "big") + tcp[18:]
    if parts.version == 6:
        return header[:4] + size.to_bytes(2, "big") + header[6:] + tcp
    header = header[:2] + (len(header) + size).to_bytes(2, "big") + header[4:]
    return _with_checksum(header, 10, b"") + tcp


def reset(parts: Parts) -> bytes:
    """RST to the SYN (RFC 9293 section 3.10.7.1)."""
    source, target, seq = struct.unpack_from("!HHL", parts.tcp)
    flags = Flags.RST | Flags.ACK
    ack = (seq + 1) & 0xFFFFFFFF
    tcp = _TCP.pack(target, source, 0, ack, _TCP.size // 4 << 4, flags, 0, 0, 0)
    pseudo = _pseudo(parts.target, parts.source, TCP, _TCP.size)
    return _ip(parts, _with_checksum(tcp, 16, pseudo), TCP)


def unreachable(parts: Parts, error: int) -> bytes:
    """The ICMP or ICMPv6 message quoting the SYN that Linux turns into this errno."""
    quoted = complete(parts)
    if parts.version == 4:
        message = _ICMP.pack(*UNREACHABLE4[error], 0, 0) + quoted
        return _ip(parts, _with_checksum(message, 2, b""), ICMP)
    message = _ICMP.pack(*UNREACHABLE6[error], 0, 0) + quoted
    pseudo = _pseudo(parts.target, parts.source, ICMPV6, len(message))
    return _ip(parts, _with_checksum(message, 2, pseudo), ICMPV6)


def expressed(version: int, error: int) -> int:
    """The errno that a program can be told over this IP version: ``error``, or the nearest."""
    if error in SILENT:
        return error
    if error in RESET:
        return errno.ECONNREFUSED
    table = UNREACHABLE4 if version == 4 else UNREACHABLE6
    error = INSTEAD.get(error, error)
    return error if error in table else errno.EHOSTUNREACH


def refusal(parts: Parts, error: int) -> bytes | None:
    """The answer that makes connect(2) fail so; None: no answer at all."""
    told = expressed(parts.version, error)
    if told in SILENT:
        return None
    return reset(parts) if told in RESET else unreachable(parts, told)
