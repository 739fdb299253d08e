"""The socket options' own rules: what they refuse, and with which errno."""

import errno
import socket

import pytest
from wire.connect import connection, listen, raw, refused, tcpcrypt, unconfigured
from wire.netns import Wire

from pyeno import kernel
from pyeno.constants import Reason, State
from pyeno.errors import KernelError

pytestmark = pytest.mark.wire
TCP = socket.IPPROTO_TCP
READ_ONLY = [
    kernel.TCP_ENO_PEER_AWARE, kernel.TCP_ENO_ROLE, kernel.TCP_ENO_NEGTEP,
    kernel.TCP_ENO_TRANSCRIPT, kernel.TCP_ENO_STATE, kernel.TCP_ENO_VERSION,
    kernel.TCP_ENO_RESULT,
]  # fmt: skip


@pytest.fixture
def sock(wire: Wire) -> socket.socket:
    with wire.a.socket() as sock:
        yield sock


def put(sock: socket.socket, option: int, value: bytes | int) -> int | None:
    return refused(lambda: sock.setsockopt(TCP, option, value))


@pytest.mark.parametrize(
    "value",
    ["1f", "00", "80", "a3", "2323", "212300", "232143" * 13, "2100"],
    ids=["global", "zero", "length-byte", "v", "twice", "zero-last", "too-many", "zero-after"],
)
def test_ill_formed_tep_lists(sock: socket.socket, value: str) -> None:
    kernel.configure(sock, teps=b"\x21\x22")
    before = kernel.raw_option(sock)
    assert put(sock, kernel.TCP_ENO_TEPS, bytes.fromhex(value)) == errno.EINVAL
    with pytest.raises(ValueError, match="TEP identifiers"):
        kernel.configure(sock, teps=bytes.fromhex(value))
    assert kernel.raw_option(sock) == before
    assert kernel.result(sock).state is State.READY


def test_longest_tep_list(sock: socket.socket) -> None:
    longest = bytes(range(0x20, 0x20 + 37))
    kernel.configure(sock, teps=longest)
    assert sock.getsockopt(TCP, kernel.TCP_ENO_TEPS, 40) == longest
    kernel.configure(sock, teps=longest, role_b=True)
    assert kernel.raw_option(sock) == bytes((0x45, 40, 1)) + longest


@pytest.mark.parametrize(
    "option",
    ["45", "4503", "450423", "440323", "45038f", "450482a3", "450480ff", "45058023a3",
     "4529" + "21" * 39, "4500", "4505010323"],
)  # fmt: skip
def test_ill_formed_raw_options(sock: socket.socket, option: str) -> None:
    """RFC 8547 sections 4.1, 4.2 and 4.4."""
    raw("45042123")(sock)
    with pytest.raises(OSError, match="Invalid"):
        kernel.set_raw_option(sock, bytes.fromhex(option))
    assert kernel.raw_option(sock).hex() == "45042123"


def test_raw_option_and_back(sock: socket.socket) -> None:
    kernel.configure(sock, teps=b"\x23", self_aware=1)
    assert kernel.raw_option(sock).hex() == "45040223"
    kernel.set_raw_option(sock, bytes.fromhex("4502"))
    assert kernel.raw_option(sock).hex() == "4502"
    kernel.set_raw_option(sock, b"")
    assert kernel.raw_option(sock).hex() == "45040223"


def test_integers(sock: socket.socket) -> None:
    assert put(sock, kernel.TCP_ENO_ENABLED, 1) == errno.EINVAL  # no TEPs
    for option, allowed in (
        (kernel.TCP_ENO_SELF_AWARE, (0, 1, 2)),
        (kernel.TCP_ENO_ROLEOVERRIDE, (0, 1)),
    ):
        for value in allowed:
            assert put(sock, option, value) is None
            assert sock.getsockopt(TCP, option) == value
        for wrong in (-1, max(allowed) + 1, 256, b"", b"\1", b"\1\0\0"):
            assert put(sock, option, wrong) == errno.EINVAL
        assert sock.getsockopt(TCP, option) == max(allowed)
    assert put(sock, kernel.TCP_ENO_TEPS, b"\x23") is None
    assert sock.getsockopt(TCP, kernel.TCP_ENO_ENABLED) == 1
    assert put(sock, kernel.TCP_ENO_ENABLED, 0) is None
    assert kernel.result(sock) == kernel.NOT_CONFIGURED


def test_each_setting_alone_equals_config(wire: Wire, sock: socket.socket) -> None:
    put(sock, kernel.TCP_ENO_SELF_AWARE, 2)
    put(sock, kernel.TCP_ENO_ROLEOVERRIDE, 1)
    put(sock, kernel.TCP_ENO_TEPS, b"\x21\x23")
    with wire.a.socket() as other:
        kernel.configure(other, teps=b"\x21\x23", self_aware=2, role_b=True)
        assert kernel.raw_option(sock) == kernel.raw_option(other)


@pytest.mark.parametrize("option", READ_ONLY)
def test_read_only_options(sock: socket.socket, option: int) -> None:
    assert put(sock, option, 1) == errno.EINVAL


def test_unknown_options_are_tcps(sock: socket.socket) -> None:
    for option in (kernel.TCP_ENO_BASE, kernel.TCP_ENO_TEP_DATA + 1):
        assert put(sock, option, 1) == errno.ENOPROTOOPT
        assert refused(lambda o=option: sock.getsockopt(TCP, o)) == errno.ENOPROTOOPT
    assert put(sock, socket.TCP_NODELAY, 1) is None
    assert sock.getsockopt(TCP, socket.TCP_NODELAY) == 1
    big = bytes(5000)
    assert put(sock, socket.TCP_CONGESTION, b"cubic" + big) in (None, errno.EINVAL)


def test_other_abi_version(sock: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "ABI_VERSION", 9)
    with pytest.raises(KernelError, match="version 9"):
        kernel.configure(sock, teps=b"\x23")


@pytest.mark.rfc("8547:5.1-3")
def test_reading_what_there_is_not(wire: Wire, sock: socket.socket) -> None:
    options = [kernel.TCP_ENO_ROLE, kernel.TCP_ENO_NEGTEP, kernel.TCP_ENO_PEER_AWARE,
               kernel.TCP_ENO_TRANSCRIPT, kernel.TCP_ENO_SESSID]  # fmt: skip
    with connection(wire, tcpcrypt, unconfigured) as ends:
        for end in (sock, ends.a, ends.b):
            for option in options:
                assert (
                    refused(lambda o=option, e=end: e.getsockopt(TCP, o, 80)) == errno.ENOTCONN
                )
        assert ends.a.getsockopt(TCP, kernel.TCP_ENO_STATE) == (
            State.DISABLED | Reason.SYN_ACK_WITHOUT_ENO << 8
        )


def test_reading_one_by_one(wire: Wire) -> None:
    with connection(wire) as ends:
        for sock, role in ((ends.a, 0), (ends.b, 1)):
            assert sock.getsockopt(TCP, kernel.TCP_ENO_STATE) == State.ENCRYPTED
            assert sock.getsockopt(TCP, kernel.TCP_ENO_ROLE) == role
            assert sock.getsockopt(TCP, kernel.TCP_ENO_NEGTEP) == 0x23
            assert sock.getsockopt(TCP, kernel.TCP_ENO_PEER_AWARE) == 0
            assert sock.getsockopt(TCP, kernel.TCP_ENO_TRANSCRIPT, 80).hex() == "45032345040123"
        assert kernel.raw_option(ends.a).hex() == "450323"
        assert kernel.raw_option(ends.b).hex() == "45040123"


def test_small_buffers(wire: Wire) -> None:
    with connection(wire) as ends:
        for option, room in (
            (kernel.TCP_ENO_RESULT, 88),  # and no more: version 1
            (kernel.TCP_ENO_TRANSCRIPT, 80),
            (kernel.TCP_ENO_RAW, 40),
            (kernel.TCP_ENO_TEPS, 40),
            (kernel.TCP_ENO_STATE, 4),
        ):
            assert 0 < len(ends.a.getsockopt(TCP, option, room)) <= room
            call = lambda o=option, r=room: ends.a.getsockopt(TCP, o, r - 1)  # noqa: E731
            assert refused(call) == errno.EINVAL


@pytest.mark.parametrize(("room", "size"), [(88, 88), (95, 88), (96, 96), (200, 96)])
def test_results_of_both_versions(wire: Wire, room: int, size: int) -> None:
    with connection(wire) as ends:
        value = ends.a.getsockopt(TCP, kernel.TCP_ENO_RESULT, room)
        assert len(value) == size and value[0] == State.ENCRYPTED
        assert not any(value[88:])


@pytest.mark.parametrize("head", ["01", "02", "0100", "00000023", "03000023" + "00" * 9])
def test_configurations_of_no_version(sock: socket.socket, head: str) -> None:
    error = errno.EINVAL if len(head) < 6 else errno.EPROTONOSUPPORT
    assert put(sock, kernel.TCP_ENO_CONFIG, bytes.fromhex(head)) == error


def test_connected_sockets_are_settled(wire: Wire) -> None:
    with connection(wire) as ends:
        for sock in (ends.a, ends.b):
            for call in (
                lambda s=sock: kernel.configure(s, teps=b"\x21"),
                lambda s=sock: kernel.set_raw_option(s, b"\x45\x02"),
                lambda s=sock: s.setsockopt(TCP, kernel.TCP_ENO_ENABLED, 0),
            ):
                assert refused(call) == errno.EISCONN


@pytest.mark.parametrize(
    "kind",
    [
        (socket.AF_INET, socket.SOCK_DGRAM),
        (socket.AF_INET, socket.SOCK_RAW, TCP),
        (socket.AF_INET, socket.SOCK_STREAM, 262),
        (socket.AF_UNIX, socket.SOCK_STREAM),
    ],
    ids=["udp", "raw", "mptcp", "unix"],
)
def test_other_sockets_have_no_eno(wire: Wire, kind: tuple[int, ...]) -> None:
    try:
        sock = wire.a.socket(*kind)
    except OSError as error:
        assert error.errno == errno.EPROTONOSUPPORT
        return
    with sock:
        assert not kernel.configure(sock, teps=b"\x23")
        assert kernel.result(sock) == kernel.UNAVAILABLE
        assert kernel.version(sock) is None


@pytest.mark.rfc("8547:4.7-4", "8547:4.7-21")
@pytest.mark.parametrize("option", [23, 30], ids=["listener", "connect"])
def test_fast_open_and_eno_exclude_each_other(wire: Wire, option: int) -> None:
    """RFC 8547 section 4.7."""
    with wire.a.socket() as sock:
        tcpcrypt(sock)
        assert put(sock, option, 1) == errno.EOPNOTSUPP
        kernel.configure(sock, teps=b"")
        assert put(sock, option, 1) is None
        assert refused(lambda: kernel.configure(sock, teps=b"\x23")) == errno.EOPNOTSUPP
        assert put(sock, option, 0) is None
        assert kernel.configure(sock, teps=b"\x23")


FAILING = {
    "TEPS": lambda sock: sock.setsockopt(TCP, kernel.TCP_ENO_TEPS, b"\x23"),
    "RAW": lambda sock: kernel.set_raw_option(sock, b"\x45\x03\x23"),
    "CONFIG": lambda sock: sock.setsockopt(TCP, kernel.TCP_ENO_CONFIG, b"\1\2\1\x23"),
    "CONFIG 2": lambda sock: kernel.configure(
        sock, teps=b"\x23", self_aware=2, role_b=True, nonce_len=8
    ),
}


@pytest.mark.parametrize("before", ["", "45042122"])
@pytest.mark.parametrize("name", FAILING)
def test_a_failed_call_changes_nothing(sock: socket.socket, name: str, before: str) -> None:
    """EOPNOTSUPP: nothing is stored that ENABLED could switch on later."""
    kernel.configure(sock, teps=b"\x21\x22")
    kernel.set_raw_option(sock, bytes.fromhex(before))
    assert put(sock, kernel.TCP_ENO_ENABLED, 0) is None
    assert put(sock, socket.TCP_FASTOPEN, 1) is None
    assert refused(lambda: FAILING[name](sock)) == errno.EOPNOTSUPP
    assert kernel.result(sock) == kernel.NOT_CONFIGURED
    assert put(sock, socket.TCP_FASTOPEN, 0) is None
    assert put(sock, kernel.TCP_ENO_ENABLED, 1) is None
    assert sock.getsockopt(TCP, kernel.TCP_ENO_TEPS, 40).hex() == "2122"
    assert kernel.raw_option(sock).hex() == (before or "45042122")
    for option in (kernel.TCP_ENO_SELF_AWARE, kernel.TCP_ENO_ROLEOVERRIDE):
        assert sock.getsockopt(TCP, option) == 0


def test_listener_state(wire: Wire) -> None:
    with listen(wire.a, wire.a.ip4) as listener:
        assert kernel.result(listener).state is State.READY
        assert refused(lambda: kernel.raw_option(listener)) == errno.ENOTCONN
