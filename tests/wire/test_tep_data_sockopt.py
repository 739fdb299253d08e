"""TCP_ENO_TEP_DATA: which values it refuses, and until when one holds."""

import errno
import socket
from collections.abc import Iterator

import pytest
from oracle import eno
from wire.connect import connection, no_eno, refused
from wire.netns import Wire
from wire.tepdata import RULES, has, offer

from pyeno import _tepdata, kernel
from pyeno.negotiation import TepData

pytestmark = pytest.mark.wire
TCP = socket.IPPROTO_TCP


@pytest.fixture
def sock(wire: Wire) -> Iterator[socket.socket]:
    with wire.a.socket() as sock:
        yield sock


def put(sock: socket.socket, value: bytes) -> int | None:
    return refused(lambda: sock.setsockopt(TCP, kernel.TCP_ENO_TEP_DATA, value))


# tep, len[2], least[2], most[2], pad, data[2]
GOOD = bytes((0x30, 3, 1, 2, 1, 3, 2, 0)) + b"aaa".ljust(16, b"\0") + b"b".ljust(16, b"\0")


def patched(*changes: tuple[int, int]) -> bytes:
    value = bytearray(GOOD)
    for at, byte in changes:
        value[at] = byte
    return bytes(value)


BAD = {
    "too short": GOOD[:39],
    "too long": GOOD + b"\0",
    "five entries": b"".join(patched((0, tep)) for tep in range(0x30, 0x35)),
    "global": patched((0, 0x1F)),
    "none": patched((0, 0)),
    "v": patched((0, 0xB0)),
    "tcpcrypt": patched((0, 0x23)),
    "tcpcrypt second": GOOD + patched((0, 0x21)),
    "repeated": GOOD + GOOD,
    "repeated last": b"".join(patched((0, tep)) for tep in (0x30, 0x31, 0x32, 0x31)),
    "17 bytes from A": patched((1, 17), (5, 37)),
    "255 bytes from B": patched((2, 255), (6, 255)),
    "A below its least": patched((3, 4), (5, 5)),
    "A above its most": patched((5, 2)),
    "B below its least": patched((4, 2)),
    "B above its most": patched((6, 0), (4, 0)),
    "A none where some are needed": patched((1, 0), (8, 0), (9, 0), (10, 0)),
    "more than an option holds": patched((5, 38)),
    "least above most": patched((4, 2), (6, 1)),
    "padding": patched((7, 1)),
    "a byte behind A's data": patched((8 + 3, 1)),
    "a byte far behind A's data": patched((8 + 15, 1)),
    "a byte behind B's data": patched((24 + 1, 1)),
    "a byte far behind B's data": patched((24 + 9, 1)),
    "second is bad": GOOD + patched((0, 0x31), (7, 1)),
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_bad_values(sock: socket.socket, value: bytes) -> None:
    """EINVAL, and what was set before stays."""
    has("3023")(sock)
    before = kernel.raw_option(sock)
    assert put(sock, value) == errno.EINVAL
    assert kernel.raw_option(sock) == before == offer("3023")


@pytest.mark.parametrize("size", range(17))
def test_every_size_of_data(sock: socket.socket, size: int) -> None:
    sent = bytes(range(0x41, 0x41 + size)) or None
    rule = TepData(0x20, sent, sent, range(size, 38), range(size, 38))
    kernel.configure(sock, teps=b"\x23\x20", data=[rule])
    wanted = eno.Suboption(0x20, 1, sent) if sent else 0x20
    assert kernel.raw_option(sock) == eno.encode([0x23, wanted])


def test_until_when_it_holds(sock: socket.socket) -> None:
    config = bytes((1, 0, 0)) + b"\x23\x30"
    bare, full = bytes.fromhex("45042330"), offer("2330")
    has("2330")(sock)
    assert kernel.raw_option(sock) == full
    sock.setsockopt(TCP, kernel.TCP_ENO_CONFIG, config)  # clears it
    assert kernel.raw_option(sock) == bare
    assert put(sock, _tepdata.packed(RULES)) is None
    assert refused(lambda: sock.setsockopt(TCP, kernel.TCP_ENO_CONFIG, b"\1\0\0\x1f"))
    assert kernel.raw_option(sock) == full  # a call that fails changes nothing
    sock.setsockopt(TCP, kernel.TCP_ENO_TEPS, b"\x23\x30")  # leaves it
    assert kernel.raw_option(sock) == full
    assert put(sock, b"") is None
    assert kernel.raw_option(sock) == bare
    assert put(sock, GOOD) is None
    kernel.set_raw_option(sock, bare)  # and is sent as it is
    assert kernel.raw_option(sock) == bare


def test_write_only_and_before_connecting(wire: Wire, sock: socket.socket) -> None:
    assert refused(lambda: sock.getsockopt(TCP, kernel.TCP_ENO_TEP_DATA, 160)) == errno.EINVAL
    with connection(wire, has("30"), has("30")) as ends:
        for end in (ends.a, ends.b):
            assert put(end, GOOD) == put(end, b"") == errno.EISCONN
    with wire.a.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        assert put(udp, GOOD) == errno.ENOPROTOOPT


def test_data_without_teps_do_nothing(wire: Wire) -> None:
    with connection(wire, lambda s: put(s, GOOD), lambda s: put(s, GOOD)) as ends:
        assert kernel.NOT_CONFIGURED == ends.active == ends.passive
        assert no_eno(ends.seen.segments)
