"""SYNs no Linux would send, put on the wire by hand, and what b answers.

The sender 10.69.0.9 does not exist, so nobody answers b's SYN-ACKs: half-open
connections stay half-open for as long as a test looks at them.
"""

import itertools
import socket
import struct
import time
from collections.abc import Iterator

import pytest
from wire.capture import SYN, Capture, Segment
from wire.connect import ANSWER, listen, tcpcrypt, unconfigured
from wire.netns import Wire

pytestmark = pytest.mark.wire
GHOST = "10.69.0.9"
ENO = bytes.fromhex("450323")
FAST_OPEN = bytes.fromhex("220a") + bytes(range(8))
_ports = itertools.count(20000)


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data)) if len(data) % 2 == 0 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Ghost:
    """Sends SYNs from an address nobody has."""

    def __init__(self, wire: Wire, sock: socket.socket) -> None:
        self._wire, self._sock = wire, sock
        read = "/sys/class/net/eth/address"
        self._macs = [
            bytes.fromhex(end.run("cat", read).strip().replace(":", ""))
            for end in (wire.b, wire.a)
        ]

    def syn(self, sport: int, dport: int, isn: int, options: bytes, data: bytes = b"") -> None:
        options += b"\1" * (-len(options) % 4)
        offset = (20 + len(options)) // 4 << 4
        addresses = socket.inet_aton(GHOST) + socket.inet_aton(self._wire.b.ip4)
        tcp = struct.pack("!HHIIBBHHH", sport, dport, isn, 0, offset, SYN, 65535, 0, 0)
        tcp += options + data + bytes(len(data) % 2)
        size = len(tcp) - len(data) % 2
        pseudo = addresses + struct.pack("!HH", socket.IPPROTO_TCP, size)
        tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:size]
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0, 64, socket.IPPROTO_TCP, 0)
        ip = ip[:10] + struct.pack("!H", checksum(ip + addresses)) + addresses
        self._sock.send(b"".join(self._macs) + b"\x08\x00" + ip + tcp)


@pytest.fixture
def ghost(wire: Wire) -> Iterator[Ghost]:
    sock = wire.a.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    with sock:
        sock.bind(("eth", 0))
        mac = wire.a.run("cat", "/sys/class/net/eth/address").strip()
        wire.b.run("ip", "neigh", "replace", GHOST, "lladdr", mac, "dev", "eth")
        yield Ghost(wire, sock)


def answers(seen: Capture, port: int) -> list[Segment]:
    return [s for s in seen.segments if s.target == (GHOST, port)]


def ask(wire: Wire, ghost: Ghost, options: bytes, data: bytes = b"", setup=tcpcrypt):  # type: ignore[no-untyped-def]
    """What b answers within a moment."""
    port = next(_ports)
    with listen(wire.b, wire.b.ip4, setup) as listener, wire.capture() as seen:
        ghost.syn(port, listener.getsockname()[1], 1000, options, data)
        time.sleep(0.15)
        return answers(seen, port)


@pytest.mark.rfc("8547:4.1-8")
def test_two_options_are_none(wire: Wire, ghost: Ghost) -> None:
    """RFC 8547 section 4.1."""
    assert [s.eno for s in ask(wire, ghost, ENO)] == [(ANSWER,)]
    assert [s.eno for s in ask(wire, ghost, ENO + ENO)] == [()]


@pytest.mark.rfc("8547:4.4-7", "8547:4.4-8", "8547:4.4-9", "8547:4.4-10")
@pytest.mark.parametrize(
    "option", ["450382", "450482a3", "450523840a", "450481a0", "4501", "4500", "452823"]
)
def test_ill_formed_options_are_ignored(wire: Wire, ghost: Ghost, option: str) -> None:
    """RFC 8547 section 4.4, and lengths that cannot be."""
    assert [s.eno for s in ask(wire, ghost, bytes.fromhex(option))] == [()]


def test_options_around_it(wire: Wire, ghost: Ghost) -> None:
    mss = bytes.fromhex("020405b4")
    for options in (mss + ENO, ENO + mss, b"\1" * 5 + ENO + b"\1\1" + mss, ENO + b"\0\x45\x03"):
        assert [s.eno for s in ask(wire, ghost, options)] == [(ANSWER,)]


def test_the_longest_option(wire: Wire, ghost: Ghost) -> None:
    longest = bytes((0x45, 40)) + bytes(range(0x30, 0x30 + 37)) + b"\x23"
    assert [s.eno for s in ask(wire, ghost, longest)] == [(ANSWER,)]


@pytest.mark.rfc("8547:4.7-13", "8547:4.7-14")
def test_data_in_the_syn_is_left_alone_by_tcp(wire: Wire, ghost: Ghost) -> None:
    """Section 4.7: MUST NOT acknowledge it; the peer still gets through."""
    for setup in (tcpcrypt, unconfigured):
        (syn_ack,) = ask(wire, ghost, ENO, b"early data", setup)
        assert syn_ack.ack == 1001


def test_data_that_fast_open_would_take_is_dropped(wire: Wire, ghost: Ghost) -> None:
    """Section 4.7, "even when ENO has been disabled by configuration"."""

    def fast(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)

    for setup in (tcpcrypt, unconfigured, fast):
        assert not ask(wire, ghost, ENO + FAST_OPEN, b"early data", setup)
        assert ask(wire, ghost, FAST_OPEN, b"early data", setup)
        assert ask(wire, ghost, ENO + FAST_OPEN, b"", setup)
    assert not ask(wire, ghost, ENO, b"early data", fast)


def test_off_path_syns_change_nothing(wire: Wire, ghost: Ghost) -> None:
    """Who cannot see the sequence number cannot disable encryption.

    (One that falls into the window makes TCP itself drop the half-open
    connection, as it always did: RFC 793 section 3.9.)
    """
    port = next(_ports)
    with listen(wire.b, wire.b.ip4) as listener, wire.capture() as seen:
        to = listener.getsockname()[1]
        ghost.syn(port, to, 1000, ENO)
        for isn in (999, 500, 1 << 31):
            ghost.syn(port, to, isn, b"")
            ghost.syn(port, to, isn, ENO + ENO)
        seen.wait(lambda _: len([s for s in answers(seen, port) if s.syn_ack]) >= 2)
        syn_acks = [s for s in answers(seen, port) if s.syn_ack]
        assert {s.eno for s in syn_acks} == {(ANSWER,)}


def test_a_changed_syn_disables_at_once(wire: Wire, ghost: Ghost) -> None:
    """Even one that comes too soon to be answered (tcp_invalid_ratelimit)."""
    for changed in (b"", ENO + ENO, bytes.fromhex("45042123")):
        port = next(_ports)
        with listen(wire.b, wire.b.ip4) as listener, wire.capture() as seen:
            to = listener.getsockname()[1]
            for options in (ENO, ENO, changed, ENO):
                ghost.syn(port, to, 1000, options)
                time.sleep(0.02)
            seen.wait(lambda _, p=port: any(not s.eno for s in answers(seen, p)))
            first, *_, last = answers(seen, port)
            assert first.eno == (ANSWER,) and last.eno == ()
