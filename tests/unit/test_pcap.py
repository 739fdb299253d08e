"""Captures → segments → streams, and what the capture lacks."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.packets import (
    ACK,
    B6,
    FIN,
    RST,
    SYN,
    A,
    B,
    ethernet,
    ipv4,
    ipv6,
    pcap,
    tcp,
)

from pyeno.pcap import CaptureError, Endpoint, Flags, Segment, segments
from pyeno.streams import Conversation, GapError, conversations

SEGMENT = tcp(SYN, 7, options=bytes.fromhex("450323"))


def one(packet: bytes, **how: object) -> Segment:
    (found,) = segments(pcap([packet], **how))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("nano", [False, True])
def test_either_byte_order_and_resolution(order: str, nano: bool) -> None:
    packets = [ethernet(ipv4(SEGMENT))] * 3
    found = list(segments(pcap(packets, order=order, nano=nano)))
    assert [round(s.time, 6) for s in found] == [100.0, 100.001, 100.002]
    assert found[0].source == Endpoint(A, 40000) and found[0].target == Endpoint(B, 7000)
    assert found[0].seq == 7 and found[0].flags == Flags.SYN
    assert found[0].options == bytes.fromhex("45032300")


@pytest.mark.parametrize(
    ("link", "packet"),
    [
        (1, ethernet(ipv4(SEGMENT))),
        (1, ethernet(ipv4(SEGMENT), tags=bytes.fromhex("8100000a"))),
        (1, ethernet(ipv4(SEGMENT), tags=bytes.fromhex("88a8000b8100000a"))),
        (1, ethernet(ipv4(SEGMENT, options=bytes(8)))),
        (101, ipv4(SEGMENT)),
        (228, ipv4(SEGMENT)),
        (113, bytes(14) + b"\x08\x00" + ipv4(SEGMENT)),
        (276, b"\x08\x00" + bytes(18) + ipv4(SEGMENT)),
    ],
)
def test_link_types(link: int, packet: bytes) -> None:
    assert one(packet, link=link) == one(ethernet(ipv4(SEGMENT)))


@pytest.mark.parametrize(
    ("extensions", "following"),
    [(b"", 6), (b"\x06" + bytes(7), 0), (b"\x3c" + bytes(7) + b"\x06\x01" + bytes(14), 43)],
)
def test_ipv6_extension_headers(extensions: bytes, following: int) -> None:
    datagram = ipv6(SEGMENT, extensions=extensions, following=following)
    found = one(ethernet(datagram, 0x86DD))
    assert found.target == Endpoint(B6, 7000) and str(found.target) == "[2001:db8::2]:7000"
    assert found.length == 0 and found.seq == 7


def test_payload_without_padding_and_beyond_the_snap_length() -> None:
    data = tcp(ACK, 1, b"six by")
    assert bytes(one(ethernet(ipv4(data)) + bytes(6)).payload) == b"six by"
    cut = one(ethernet(ipv4(data)), snap=14 + 20 + 20 + 2)
    assert bytes(cut.payload) == b"si" and cut.length == 6


def test_a_segment_longer_than_ipv4_can_tell() -> None:
    found = one(ethernet(ipv4(tcp(ACK, 1, bytes(70000)), total=0)))
    assert found.length == len(found.payload) == 70000


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        ethernet(ipv4(SEGMENT, protocol=17)),
        ethernet(ipv4(SEGMENT, fragment=0x2000)),
        ethernet(ipv4(SEGMENT, fragment=0x00B9)),
        ethernet(ipv4(SEGMENT)[:19]),
        ethernet(ipv4(SEGMENT[:19])),
        ethernet(ipv4(SEGMENT), 0x0806),
        ethernet(ipv6(SEGMENT, following=44, extensions=bytes(8)), 0x86DD),
    ],
)
def test_what_is_not_tcp_is_passed_over(packet: bytes) -> None:
    assert list(segments(pcap([packet]))) == []


@pytest.mark.parametrize(
    ("capture", "says"),
    [
        (b"", "no capture"),
        (bytes(24), "no pcap magic"),
        (b"\x0a\x0d\x0d\x0a" + bytes(40), "editcap"),
        (pcap([b"x"], link=105), "link type 105"),
        (pcap([ethernet(ipv4(SEGMENT))])[:-1], "cut short"),
    ],
)
def test_what_cannot_be_read_is_said(capture: bytes, says: str) -> None:
    with pytest.raises(CaptureError, match=says):
        list(segments(capture))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for capture in (data, pcap([data]), pcap([ethernet(data)]), pcap([ethernet(data, 0x86DD)])):
        try:
            list(segments(capture))
        except CaptureError:
            continue


# -- streams -------------------------------------------------------------------


def conversation(*sent: bytes, isn: int = 0) -> Conversation:
    """One connection in which A sends these segments."""
    syn_ack = ipv4(tcp(SYN | ACK, 5, ports=(7000, 40000)), source=B, target=A)
    packets = [ipv4(tcp(SYN, isn)), syn_ack, *(ipv4(segment) for segment in sent)]
    (found,) = conversations(segments(pcap(packets, link=101)))
    return found


def read(found: Conversation) -> bytes:
    return b"".join(found.active.pieces())


@given(
    st.binary(min_size=1, max_size=300),
    st.sampled_from([0, 1 << 31, (1 << 32) - 20, (1 << 32) - 1]),
    st.randoms(use_true_random=False),
)
def test_any_order_and_repetition_gives_the_stream(
    data: bytes, isn: int, shuffled: random.Random
) -> None:
    parts = [(0, len(data))]
    for _ in range(6):  # overlapping resends
        start = shuffled.randrange(len(data))
        parts.append((start, shuffled.randrange(start + 1, len(data) + 1)))
    border = shuffled.randrange(len(data) + 1)
    parts[0:1] = [(0, border), (border, len(data))]
    sent = [tcp(ACK, (isn + 1 + a) % 2**32, data[a:b]) for a, b in parts]
    shuffled.shuffle(sent)
    found = conversation(*sent, tcp(FIN | ACK, (isn + 1 + len(data)) % 2**32), isn=isn)
    assert read(found) == data
    assert found.active.head(10) == data[:10]
    assert found.active.fin_at == len(data)


@given(st.binary(min_size=3, max_size=60), st.data())
def test_one_missing_byte_is_a_gap(data: bytes, draw: st.DataObject) -> None:
    lost = draw.draw(st.integers(0, len(data) - 1))
    sent = [tcp(ACK, 1 + i, data[i : i + 1]) for i in range(len(data)) if i != lost]
    found = conversation(*sent, tcp(FIN | ACK, 1 + len(data)))
    with pytest.raises(GapError):
        read(found)
    assert found.active.head(len(data)) == data[:lost]


def test_cut_payload_and_missing_fin_are_gaps() -> None:
    whole = conversation(tcp(ACK, 1, b"abcd"), tcp(FIN | ACK, 5))
    assert read(whole) == b"abcd"
    with pytest.raises(GapError, match="no FIN"):
        read(conversation(tcp(ACK, 1, b"abcd")))
    packets = [ipv4(tcp(SYN)), ipv4(tcp(FIN | ACK, 1, b"abcd"))]
    (cut,) = conversations(segments(pcap(packets, link=101, snap=42)))
    with pytest.raises(GapError, match="ends at byte 2, its FIN is at 4"):
        read(cut)


def test_connections_are_told_apart() -> None:
    packets = [
        ipv4(tcp(ACK, 900, b"begun before the capture")),
        ipv4(tcp(SYN, 10)),
        ipv4(tcp(SYN, 10)),  # retransmitted
        ipv4(tcp(SYN, 10, ports=(40001, 7000))),
        ipv4(tcp(FIN | ACK, 11, b"first")),
        ipv4(tcp(SYN, 500)),  # the same ports again
        ipv4(tcp(ACK, 501, b"second")),
        ipv4(tcp(RST | ACK, 11, ports=(7000, 40001)), source=B, target=A),
    ]
    first, other, second = conversations(segments(pcap(packets, link=101)))
    assert read(first) == b"first" and len(first.segments) == 3
    assert second.active.head(99) == b"second"
    assert other.active.source.port == 40001 and other.segments[-1].flags & Flags.RST


def test_carrier_is_the_first_segment_with_that_byte() -> None:
    found = conversation(tcp(ACK, 4, b"de"), tcp(ACK, 1, b"abcde"))
    carriers = [found.active.carrier(at) for at in (0, 3, 5)]
    assert [c.seq if c else None for c in carriers] == [1, 4, None]
