"""The packets that end a held SYN's wait, read back by the tests' own TCP/IP."""

import errno
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire.rfcpeer_packet import ACK, RST, SYN, Segment, decode, ones_complement

from pyeno.redirect import packet
from pyeno.redirect.packet import Parts

OPTIONS = bytes.fromhex("0204ffc30402080a0102030400000000 0103030a")
SYN4 = Segment("10.69.0.1", "127.0.0.1", 40000, 7000, 0xFFFFFFFF, 0, SYN, 65495, OPTIONS)
SYN6 = replace(SYN4, src="fd69::1", dst="::1")
BOTH = pytest.mark.parametrize("syn", [SYN4, SYN6], ids=["ipv4", "ipv6"])


@st.composite
def syns(draw: st.DrawFn) -> Segment:
    return replace(
        draw(st.sampled_from([SYN4, SYN6])),
        sport=draw(st.integers(1, 65535)),
        dport=draw(st.integers(1, 65535)),
        seq=draw(st.integers(0, 2**32 - 1)),
        window=draw(st.integers(0, 65535)),
        options=b"\1" * 4 * draw(st.integers(0, 10)),
    )


def held(syn: Segment, data: int = 0) -> bytes:
    """As the kernel half hands it over: no data, but IP's length with it; no checksum."""
    raw = bytearray(syn.encode())
    at, length = (2, len(raw)) if raw[0] >> 4 == 4 else (4, len(raw) - 40)
    raw[at : at + 2] = struct.pack("!H", length + data)
    tcp = len(raw) - 20 - len(syn.options)
    raw[tcp + 16 : tcp + 18] = b"\x12\x34"
    return bytes(raw)


def parsed(syn: Segment) -> Parts:
    parts = packet.parse(held(syn))
    assert parts
    return parts


@given(syns(), st.integers(0, 1000))
def test_the_syn_itself(syn: Segment, data: int) -> None:
    """What is sent on is what was held, whole and valid, without data."""
    parts = packet.parse(held(syn, data))
    assert parts
    sent = packet.complete(parts)
    assert sent == syn.encode()
    assert decode(sent) == syn


@given(syns())
def test_reset(syn: Segment) -> None:
    """RFC 9293 section 3.10.7.1: sequence number 0, acknowledging the SYN."""
    answer = decode(packet.reset(parsed(syn)))
    assert answer
    assert (answer.src, answer.dst) == (syn.dst, syn.src)
    assert (answer.sport, answer.dport) == (syn.dport, syn.sport)
    assert (answer.flags, answer.seq) == (RST | ACK, 0)
    assert answer.ack == (syn.seq + 1) % 2**32
    assert answer.options == answer.payload == b""


@pytest.mark.parametrize("error", packet.UNREACHABLE4)
def test_icmp(error: int) -> None:
    """The quoted SYN is what the kernel finds the socket by."""
    sent = packet.unreachable(parsed(SYN4), error)
    assert ones_complement(sent[:20]) == 0
    assert sent[9] == 1 and int.from_bytes(sent[2:4], "big") == len(sent)
    assert sent[12:20] == bytes([127, 0, 0, 1, 10, 69, 0, 1])
    message = sent[20:]
    assert tuple(message[:2]) == packet.UNREACHABLE4[error]
    assert ones_complement(message) == 0
    assert message[8:] == SYN4.encode()


@pytest.mark.parametrize("error", packet.UNREACHABLE6)
def test_icmpv6(error: int) -> None:
    sent = packet.unreachable(parsed(SYN6), error)
    assert sent[6] == 58 and int.from_bytes(sent[4:6], "big") == len(sent) - 40
    assert sent[8:24] == bytes(15) + b"\1" and sent[24:26] == b"\xfd\x69"
    message = sent[40:]
    assert tuple(message[:2]) == packet.UNREACHABLE6[error]
    pseudo = sent[8:40] + struct.pack("!II", len(message), 58)
    assert ones_complement(pseudo + message) == 0
    assert message[8:] == SYN6.encode()


@BOTH
def test_refusals(syn: Segment) -> None:
    """RST for what a RST means, silence for a time-out, ICMP for the rest."""
    parts = parsed(syn)
    assert packet.refusal(parts, errno.ECONNREFUSED) == packet.reset(parts)
    assert packet.refusal(parts, errno.ECONNRESET) == packet.reset(parts)
    assert packet.refusal(parts, errno.ETIMEDOUT) is None
    for error in (errno.EHOSTUNREACH, errno.EMFILE, errno.EADDRNOTAVAIL):
        assert packet.refusal(parts, error) == packet.unreachable(parts, errno.EHOSTUNREACH)


@pytest.mark.parametrize("version", [4, 6])
def test_every_error_can_be_told(version: int) -> None:
    """Whatever comes from a far connection becomes an errno that this version has."""
    table = packet.UNREACHABLE4 if version == 4 else packet.UNREACHABLE6
    for error in errno.errorcode:
        told = packet.expressed(version, error)
        assert told in {*table, errno.ECONNREFUSED, errno.ETIMEDOUT}
        assert packet.expressed(version, told) == told


@BOTH
def test_cut_short(syn: Segment) -> None:
    """Every byte of the headers is needed, and there is nothing after them."""
    raw = held(syn)
    for size in range(len(raw)):
        assert packet.parse(raw[:size]) is None
    assert packet.parse(raw + b"\0") is None


def test_not_tcp() -> None:
    raw = bytearray(held(SYN4))
    raw[9] = 17
    assert packet.parse(bytes(raw)) is None
    raw[0] = 0x75
    assert packet.parse(bytes(raw)) is None


@given(st.binary(max_size=120))
def test_any_bytes(data: bytes) -> None:
    """Nothing raises, and what is understood can be answered."""
    parts = packet.parse(data)
    if parts:
        assert packet.complete(parts) and packet.reset(parts)
        assert packet.refusal(parts, errno.EHOSTUNREACH)


def test_ip_options() -> None:
    """An IPv4 header longer than 20 bytes stays as it is."""
    raw = held(SYN4)
    long = bytes([raw[0] + 1]) + raw[1:20] + b"\1\1\1\0" + raw[20:]
    parts = packet.parse(long)
    assert parts
    sent = packet.complete(parts)
    assert sent[20:24] == b"\1\1\1\0" and ones_complement(sent[:24]) == 0
    assert decode(sent) == SYN4
