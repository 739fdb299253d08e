"""Captures: pcap file → TCP segments, with their option bytes.

    file header, then per packet: record header · link header · IP · TCP

Reads what tcpdump and wireshark write as "pcap", either byte order, micro- or
nanoseconds.  Packets that are not TCP, IP fragments and headers cut short by
the snap length are passed over; payloads are views into the file's buffer.
"""

import ipaddress
import struct
from collections.abc import Iterator
from enum import IntFlag
from typing import NamedTuple

from pyeno._values import Buffer
from pyeno.errors import PyenoError


class CaptureError(PyenoError, ValueError):
    """Not a capture that can be read; says where and what would be readable."""


class Flags(IntFlag):
    """The control bits of a TCP header (RFC 9293 section 3.1)."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10


class Endpoint(NamedTuple):
    """An address of 4 or 16 bytes and a port."""

    address: bytes
    port: int

    def __str__(self) -> str:
        host = ipaddress.ip_address(self.address)
        return f"{host}:{self.port}" if host.version == 4 else f"[{host}]:{self.port}"


class Segment(NamedTuple):
    """One captured TCP segment (or several that segmentation offload joined)."""

    time: float
    """seconds since the epoch"""
    source: Endpoint
    target: Endpoint
    seq: int
    ack: int
    flags: Flags
    options: bytes
    """the TCP header's option bytes, at most 40"""
    payload: memoryview
    """as captured: shorter than ``length`` if the snap length cut it"""
    length: int
    """payload bytes on the wire"""


_MAGIC_MICRO, _MAGIC_NANO = 0xA1B2C3D4, 0xA1B23C4D
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_FILE_HEADER_LEN, _RECORD_HEADER_LEN = 24, 16

_ETHERNET, _RAW, _LINUX_SLL, _IPV4, _IPV6, _LINUX_SLL2 = 1, 101, 113, 228, 229, 276
_ETHERTYPE_IPV4, _ETHERTYPE_IPV6 = 0x0800, 0x86DD
_ETHERTYPES_VLAN = (0x8100, 0x88A8)
_PROTOCOL_TCP = 6
# IPv6 extension headers of 8 + 8 n bytes: hop-by-hop, routing, destination
_IPV6_EXTENSIONS = (0, 43, 60)


def segments(capture: Buffer) -> Iterator[Segment]:
    """The TCP segments of a whole pcap file, in the order captured.

    Raises CaptureError for what is not pcap, or a link type not known here.
    """
    view = memoryview(capture)
    order, unit, link = _file_header(view)
    record = struct.Struct(order + "4L")
    at = _FILE_HEADER_LEN
    while at + _RECORD_HEADER_LEN <= len(view):
        seconds, fraction, size, _ = record.unpack_from(view, at)
        at += _RECORD_HEADER_LEN
        if at + size > len(view):
            raise CaptureError(
                f"pcap: the packet at byte {at} has {size} bytes, the file ends after "
                f"{len(view) - at}: it was cut short"
            )
        segment = _segment(seconds + fraction * unit, link, view[at : at + size])
        if segment is not None:
            yield segment
        at += size


def _file_header(view: memoryview) -> tuple[str, float, int]:
    """(byte order, seconds per fraction, link type)"""
    if len(view) < _FILE_HEADER_LEN:
        raise CaptureError(f"pcap: {len(view)} bytes are no capture; its header alone has 24")
    if view[:4] == _PCAPNG:
        raise CaptureError("pcapng is not read here; convert: editcap -F pcap IN OUT")
    for order in "<>":
        magic, *_, link = struct.unpack_from(order + "LHHlLLL", view)
        if magic in (_MAGIC_MICRO, _MAGIC_NANO):
            return order, 1e-6 if magic == _MAGIC_MICRO else 1e-9, link & 0xFFFF
    raise CaptureError(f"pcap: bytes 0-3 are {view[:4].hex()}, no pcap magic number")


def _segment(time: float, link: int, packet: memoryview) -> Segment | None:
    found = _network(link, packet)
    if found is None:
        return None
    kind, datagram = found
    carried = _ipv4(datagram) if kind == _ETHERTYPE_IPV4 else _ipv6(datagram)
    return None if carried is None else _tcp(time, *carried)


def _network(link: int, packet: memoryview) -> tuple[int, memoryview] | None:
    """(ethertype, IP datagram) behind the link header"""
    if link in (_RAW, _IPV4, _IPV6):
        if not packet:
            return None
        return (_ETHERTYPE_IPV6 if packet[0] >> 4 == 6 else _ETHERTYPE_IPV4), packet
    place = {_ETHERNET: (12, 14), _LINUX_SLL: (14, 16), _LINUX_SLL2: (0, 20)}.get(link)
    if place is None:
        raise CaptureError(f"pcap: link type {link} is not known here; capture on an interface")
    at, start = place
    if len(packet) < start:
        return None
    kind = int.from_bytes(packet[at : at + 2], "big")
    while kind in _ETHERTYPES_VLAN and len(packet) >= start + 4:
        kind, start = int.from_bytes(packet[start + 2 : start + 4], "big"), start + 4
    return (kind, packet[start:]) if kind in (_ETHERTYPE_IPV4, _ETHERTYPE_IPV6) else None


Carried = tuple[bytes, bytes, memoryview, int]
"""(source, target, captured TCP bytes, TCP bytes on the wire)"""


def _ipv4(datagram: memoryview) -> Carried | None:
    if len(datagram) < 20:
        return None
    start = (datagram[0] & 0x0F) * 4
    total, _, fragment = struct.unpack_from(">HHH", datagram, 2)
    # More Fragments or a fragment offset
    if datagram[9] != _PROTOCOL_TCP or fragment & 0x3FFF:
        return None
    # a length of 0: longer than the field can tell (segmentation offload)
    total = total or len(datagram)
    return bytes(datagram[12:16]), bytes(datagram[16:20]), datagram[start:total], total - start


def _ipv6(datagram: memoryview) -> Carried | None:
    if len(datagram) < 40:
        return None
    length, following = int.from_bytes(datagram[4:6], "big"), datagram[6]
    start, total = 40, 40 + length if length else len(datagram)
    while following in _IPV6_EXTENSIONS and len(datagram) >= start + 8:
        following, start = datagram[start], start + 8 + 8 * datagram[start + 1]
    if following != _PROTOCOL_TCP:
        return None
    return bytes(datagram[8:24]), bytes(datagram[24:40]), datagram[start:total], total - start


def _tcp(
    time: float, source: bytes, target: bytes, tcp: memoryview, length: int
) -> Segment | None:
    if len(tcp) < 20:
        return None
    from_port, to_port, seq, ack, offset, flags = struct.unpack_from(">HHLLBB", tcp)
    start = (offset >> 4) * 4
    if start < 20 or len(tcp) < start:
        return None
    return Segment(
        time,
        Endpoint(source, from_port),
        Endpoint(target, to_port),
        seq,
        ack,
        Flags(flags & 0x1F),
        bytes(tcp[20:start]),
        tcp[start:],
        length - start,
    )
