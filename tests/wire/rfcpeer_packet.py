"""IP packets that carry TCP: decoding, encoding, checksums (RFC 791, 8200, 9293).

A `Segment` is one packet, addresses and option bytes included, and can be changed with
`dataclasses.replace` and encoded again; `encode` computes every length and checksum.
"""

import ipaddress
import struct
from dataclasses import dataclass

from oracle import eno

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
TCP = 6
MSS_KIND = 2


@dataclass(frozen=True)
class Segment:
    """One TCP segment in its IP packet; `options` is the option block, padding included."""

    src: str
    dst: str
    sport: int
    dport: int
    seq: int
    ack: int = 0
    flags: int = ACK
    window: int = 0xFFFF
    options: bytes = b""
    payload: bytes = b""
    urgent: int = 0
    ttl: int = 64
    tos: int = 0

    @property
    def syn(self) -> bool:
        return bool(self.flags & SYN)

    @property
    def has_ack(self) -> bool:
        return bool(self.flags & ACK)

    @property
    def length(self) -> int:
        """Sequence numbers the segment takes."""
        return len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)

    @property
    def decoded(self) -> list[tuple[int, bytes]]:
        """(kind, whole option) in order."""
        return eno.tcp_options(self.options)

    @property
    def eno(self) -> list[bytes]:
        """Every ENO option, whole; normally none or one."""
        return eno.eno_options(self.options)

    @property
    def mss(self) -> int | None:
        """The MSS option's value."""
        for kind, raw in self.decoded:
            if kind == MSS_KIND and len(raw) == 4:
                return int.from_bytes(raw[2:], "big")
        return None

    def __str__(self) -> str:
        names = "".join(
            n
            for n, f in zip("SFRPAU", (SYN, FIN, RST, PSH, ACK, URG), strict=True)
            if self.flags & f
        )
        options = " ".join(raw.hex() for kind, raw in self.decoded if kind > 1)
        ends = f"{self.src}:{self.sport} > {self.dst}:{self.dport}"
        return f"{ends} {names} {self.seq}+{self.length} ack {self.ack} [{options}]"

    def encode(self) -> bytes:
        """The whole IP packet.  Options are padded with end-of-list to a multiple of 4."""
        return encode(self)


def ones_complement(data: bytes) -> int:
    """The checksum that makes `data` (not all zero) sum to zero (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    return 0xFFFF - (int.from_bytes(data, "big") % 0xFFFF or 0xFFFF)


def _pseudo(src: bytes, dst: bytes, length: int) -> bytes:
    if len(src) == 4:
        return src + dst + struct.pack("!BBH", 0, TCP, length)
    return src + dst + struct.pack("!II", length, TCP)


def encode(segment: Segment) -> bytes:
    """See Segment.encode.  Raises ValueError for more than 40 bytes of options."""
    options = segment.options + bytes(-len(segment.options) % 4)
    if len(options) > 40:
        raise ValueError(f"{len(options)} bytes of TCP options, at most 40 fit")
    src = ipaddress.ip_address(segment.src).packed
    dst = ipaddress.ip_address(segment.dst).packed
    head = struct.pack(
        "!HHIIBBHHH",
        segment.sport,
        segment.dport,
        segment.seq & 0xFFFFFFFF,
        segment.ack & 0xFFFFFFFF,
        (5 + len(options) // 4) << 4,
        segment.flags,
        segment.window,
        0,
        segment.urgent,
    )
    tcp = head + options + segment.payload
    checksum = ones_complement(_pseudo(src, dst, len(tcp)) + tcp)
    tcp = tcp[:16] + checksum.to_bytes(2, "big") + tcp[18:]
    return _ip(segment, src, dst, len(tcp)) + tcp


def _ip(segment: Segment, src: bytes, dst: bytes, length: int) -> bytes:
    if len(src) == 16:
        first = 6 << 28 | segment.tos << 20
        return struct.pack("!IHBB", first, length, TCP, segment.ttl) + src + dst
    head = struct.pack(
        "!BBHHHBBH4s4s",
        0x45,
        segment.tos,
        20 + length,
        0,
        0x4000,
        segment.ttl,
        TCP,
        0,
        src,
        dst,
    )
    return head[:10] + ones_complement(head).to_bytes(2, "big") + head[12:]


def _split_ip(packet: bytes) -> tuple[bytes, bytes, bytes, int, int] | None:
    """(source, destination, TCP bytes, ttl, tos), or None when it is not TCP."""
    if len(packet) >= 40 and packet[0] >> 4 == 4:
        start, end = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
        fragment = int.from_bytes(packet[6:8], "big") & 0x3FFF
        if packet[9] != TCP or fragment or end > len(packet):
            return None
        return packet[12:16], packet[16:20], packet[start:end], packet[8], packet[1]
    if len(packet) >= 60 and packet[0] >> 4 == 6 and packet[6] == TCP:
        end = 40 + int.from_bytes(packet[4:6], "big")
        tos = int.from_bytes(packet[:2], "big") >> 4 & 0xFF
        return packet[8:24], packet[24:40], packet[40:end], packet[7], tos
    return None


def decode(packet: bytes) -> Segment | None:
    """The segment in an IP packet; None for what is not TCP or has a wrong checksum."""
    split = _split_ip(packet)
    if split is None:
        return None
    src, dst, tcp, ttl, tos = split
    if len(tcp) < 20 or ones_complement(_pseudo(src, dst, len(tcp)) + tcp) != 0:
        return None
    sport, dport, seq, ack, offset, flags, window, _, urgent = struct.unpack_from(
        "!HHIIBBHHH", tcp
    )
    data = (offset >> 4) * 4
    if not 20 <= data <= len(tcp):
        return None
    return Segment(
        str(ipaddress.ip_address(src)),
        str(ipaddress.ip_address(dst)),
        sport,
        dport,
        seq,
        ack,
        flags,
        window,
        tcp[20:data],
        tcp[data:],
        urgent,
        ttl,
        tos,
    )
