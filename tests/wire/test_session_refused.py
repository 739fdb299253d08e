"""What the socket options about sessions refuse, and with which errno."""

import errno
import socket

import pytest
from wire.conftest import Attached
from wire.connect import connection, refused, tcpcrypt
from wire.netns import Wire
from wire.sessions import (
    CONNECTION,
    SCOPE,
    USER,
    Keeper,
    cached,
    entry,
    flush,
    fresh,
    keeps,
    put,
    take,
)

from pyeno import kernel
from pyeno.constants import Reason

pytestmark = pytest.mark.wire
TCP = socket.IPPROTO_TCP


def test_put_wants_an_encrypted_connection(wire: Wire, keeper: Keeper, token: bytes) -> None:
    """Of a socket that has a scope."""
    value = entry(fresh())

    def putting(sock: socket.socket) -> int | None:
        return refused(lambda: sock.setsockopt(TCP, kernel.TCP_ENO_SESSION_PUT, value))

    with wire.a.socket() as sock:
        assert putting(sock) == errno.ENOTCONN
        keeps(token)(sock)
        assert putting(sock) == errno.ENOTCONN
    assert putting(keeper.listener) == errno.ENOTCONN
    for setup in (
        lambda sock: None,
        lambda sock: sock.setsockopt(TCP, kernel.TCP_ENO_TEPS, b"\x23"),
        lambda sock: sock.setsockopt(TCP, kernel.TCP_ENO_CONFIG, b"\1\0\0\x23"),
    ):
        with keeper.met(setup) as ends:
            assert putting(ends.a) == errno.ENOTCONN


ILL_FORMED = {
    "empty": lambda good: b"",
    "short": lambda good: good[:-1],
    "long": lambda good: good + b"\0",
    "another TEP": lambda good: b"\x24" + good[1:],
    "v = 1": lambda good: b"\xa3" + good[1:],
    "no TEP": lambda good: b"\0" + good[1:],
    "role 2": lambda good: good[:1] + b"\2" + good[2:],
    "no lifetime": lambda good: good[:4] + bytes(4) + good[8:],
    "padding": lambda good: good[:39] + b"\1" + good[40:],
}


@pytest.mark.parametrize("what", ILL_FORMED)
def test_ill_formed_entries(keeper: Keeper, attached: Attached, what: str) -> None:
    good = entry(fresh())
    with keeper.met() as ends:
        before = len(cached(attached.pin))
        value = ILL_FORMED[what](good)
        put_it = lambda: ends.a.setsockopt(TCP, kernel.TCP_ENO_SESSION_PUT, value)  # noqa: E731
        assert refused(put_it) == errno.EINVAL
        assert len(cached(attached.pin)) == before
        ends.a.setsockopt(TCP, kernel.TCP_ENO_SESSION_PUT, good)
        assert len(cached(attached.pin)) == before + 1
        put_again = lambda: put(ends.a, fresh())  # noqa: E731
        assert refused(put_again) == errno.EEXIST
        flush(ends.a, CONNECTION)
        assert len(cached(attached.pin)) == before


def test_the_same_session_twice(keeper: Keeper) -> None:
    """By two connections: the second put changes nothing."""
    session = keeper.prime(passive=False)
    with keeper.met(keeps(keeper.token, nonce_len=None)) as ends:
        assert refused(lambda: put(ends.a, session)) == errno.EEXIST
        put(ends.a, fresh())  # nothing was put before


def test_options_of_the_wrong_direction(keeper: Keeper) -> None:
    keeper.prime()
    with keeper.met() as ends:
        for option in (kernel.TCP_ENO_SESSION_PUT, kernel.TCP_ENO_SESSION_FLUSH):
            read = lambda o=option: ends.a.getsockopt(TCP, o, 72)  # noqa: E731
            assert refused(read) == errno.EINVAL
        write = lambda: ends.a.setsockopt(TCP, kernel.TCP_ENO_SESSION_TAKE, bytes(32))  # noqa: E731
        assert refused(write) in (errno.EINVAL, errno.EISCONN)
        small = lambda: ends.a.getsockopt(TCP, kernel.TCP_ENO_SESSION_TAKE, 31)  # noqa: E731
        assert refused(small) == errno.EINVAL
        assert len(take(ends.a)) == 32  # it is still there


@pytest.mark.parametrize("value", [-1, 3, 256, b"", b"\0"])
def test_flush_refuses(keeper: Keeper, value: int | bytes) -> None:
    with keeper.met() as ends:
        call = lambda: ends.a.setsockopt(TCP, kernel.TCP_ENO_SESSION_FLUSH, value)  # noqa: E731
        assert refused(call) == errno.EINVAL


def test_flush_without_a_scope(wire: Wire) -> None:
    with wire.a.socket() as sock:
        assert refused(lambda: flush(sock, SCOPE)) == errno.ENOTCONN
        flush(sock, CONNECTION)
        flush(sock, USER)


@pytest.mark.parametrize(
    "value",
    ["02", "020000", "02000008", "02000008" + "11" * 7, "02030008" + "11" * 8 + "23",
     "02000208" + "11" * 8 + "23", "02000009" + "11" * 8 + "23", "020000fe" + "11" * 8 + "23",
     "02000008" + "11" * 8 + "2323", "02000008" + "11" * 8 + "a3",
     "02000008" + "11" * 8 + bytes(range(0x20, 0x46)).hex()],
)  # fmt: skip
def test_ill_formed_configurations(wire: Wire, value: str) -> None:
    """Version 2 of TCP_ENO_CONFIG."""
    with wire.a.socket() as sock:
        keeps(b"12345678", "2123")(sock)
        call = lambda: sock.setsockopt(TCP, kernel.TCP_ENO_CONFIG, bytes.fromhex(value))  # noqa: E731
        assert refused(call) == errno.EINVAL
        assert sock.getsockopt(TCP, kernel.TCP_ENO_TEPS, 40).hex() == "2123"
        assert kernel.raw_option(sock).hex() == "45042123"


def test_no_eno_no_cache(wire: Wire) -> None:
    """Plain connections neither propose nor keep."""
    with connection(wire, tcpcrypt, lambda sock: None) as ends:
        assert ends.active.reason is Reason.SYN_ACK_WITHOUT_ENO
        assert refused(lambda: put(ends.a, fresh())) == errno.ENOTCONN
