"""Captures made by hand: just enough of pcap, Ethernet, IP and TCP to read back."""

import struct
from collections.abc import Iterable

A, B = b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02"
A6, B6 = (bytes.fromhex("20010db8" + "00" * 11) + bytes([n]) for n in (1, 2))
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def tcp(
    flags: int,
    seq: int = 0,
    payload: bytes = b"",
    *,
    ports: tuple[int, int] = (40000, 7000),
    options: bytes = b"",
) -> bytes:
    """A TCP segment; options are padded to four bytes."""
    options += bytes(-len(options) % 4)
    offset = (20 + len(options)) // 4 << 4
    return struct.pack(">HHLLBBHHH", *ports, seq, 0, offset, flags, 0, 0, 0) + options + payload


def ipv4(
    segment: bytes, *, source: bytes = A, target: bytes = B, options: bytes = b"",
    fragment: int = 0, protocol: int = 6, total: int | None = None,
) -> bytes:  # fmt: skip
    size = 20 + len(options) + len(segment) if total is None else total
    head = struct.pack(
        ">BBHHHBBH", 0x40 | 5 + len(options) // 4, 0, size, 0, fragment, 64, protocol, 0
    )
    return head + source + target + options + segment


def ipv6(segment: bytes, *, extensions: bytes = b"", following: int = 6) -> bytes:
    head = struct.pack(">LHBB", 6 << 28, len(extensions) + len(segment), following, 64)
    return head + A6 + B6 + extensions + segment


def ethernet(datagram: bytes, kind: int = 0x0800, tags: bytes = b"") -> bytes:
    return b"\x02" * 6 + b"\x04" * 6 + tags + kind.to_bytes(2, "big") + datagram


def pcap(
    packets: Iterable[bytes],
    *,
    order: str = "<",
    nano: bool = False,
    link: int = 1,
    snap: int = 0,
) -> bytes:
    """A pcap file whose packets are 1 ms apart; ``snap`` cuts them."""
    magic, unit = (0xA1B23C4D, 1_000_000) if nano else (0xA1B2C3D4, 1_000)
    out = struct.pack(order + "LHHlLLL", magic, 2, 4, 0, 0, snap or 1 << 18, link)
    for number, packet in enumerate(packets):
        kept = packet[:snap] if snap else packet
        out += struct.pack(order + "4L", 100, number * unit, len(kept), len(packet)) + kept
    return out
