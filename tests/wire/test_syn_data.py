"""Data in SYN segments (RFC 8547 section 4.7): none is sent, none is taken.

"This requirement applies to hosts that implement ENO even when ENO has been disabled by
configuration": so also to listeners that know nothing of it.  Every mode of Linux's TCP Fast
Open is tried, each with a control that shows that the mode does take data without ENO.
"""

import errno
import itertools
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wire.connect import OFFER, tcpcrypt, unconfigured
from wire.netns import Wire
from wire.pairs import plain_listener
from wire.peering import TIMEOUT, Field
from wire.rfcpeer import EnoPeer
from wire.rfcpeer_tcp import Connection, Plan

import pyeno
from pyeno import Reason, kernel
from pyeno.constants import State

pytestmark = pytest.mark.wire
TCP = socket.IPPROTO_TCP
FAST_OPEN, FAST_OPEN_CONNECT, NO_COOKIE = 23, 30, 34
EARLY = b"early data"
ASK = bytes.fromhex("2202")
SYSCTL = "net.ipv4.tcp_fastopen"
_ports = itertools.count(45000)

# name -> (the listener's socket option, sysctl, a cookie is needed)
MODES: dict[str, tuple[int, str, bool]] = {
    "off": (0, "1", True),
    "cookie": (5, "3", True),
    "no-cookie": (5, "0x203", False),
    "all": (0, "0x402", True),
    "all-no-cookie": (0, "0x602", False),
}


@pytest.fixture
def fastopen(field: Field, change: Callable[..., Any]) -> Iterator[Callable[[str], None]]:
    """Sets net.ipv4.tcp_fastopen on pyeno's side; the programs find out by themselves."""
    namespace = field.tun.namespace
    yield lambda value: namespace.sysctl(SYSCTL, value)
    namespace.sysctl(SYSCTL, "1")
    change()  # to look afresh


def _serve(field: Field, kind: str, option: int = 0) -> socket.socket:
    """A listener: pyeno's, one configured by socket options, or one without ENO."""
    address = field.ours(), next(_ports)

    def make() -> socket.socket:
        if kind == "pyeno":
            return pyeno.create_server(address)
        sock = socket.socket()
        {"options": tcpcrypt, "plain": unconfigured}[kind](sock)
        sock.bind(address)
        if option and kind == "plain":
            sock.setsockopt(TCP, FAST_OPEN, option)
        sock.listen()
        return sock

    made: socket.socket = field.call(make)
    made.settimeout(TIMEOUT)
    return made


def _cookie(field: Field, kind: str, option: int) -> bytes:
    """The whole TFO option with the cookie that this host gives to the peer."""
    with _serve(field, "plain", option) as listener:
        conn = _dial(field, listener, Plan(syn=ASK))
        listener.accept()[0].close()
        conn.abort()
    assert conn.remote_syn is not None
    given = [raw for kind, raw in conn.remote_syn.decoded if kind == 34]
    return given[0] if given else bytes.fromhex("220a") + bytes(8)


def _dial(field: Field, listener: socket.socket, plan: Plan) -> Connection:
    return field.host.connect(
        listener.getsockname(), source=field.theirs(), plan=plan, timeout=TIMEOUT
    )


def _acknowledged(conn: Connection) -> set[int]:
    """How many bytes of data the SYN-ACKs acknowledged."""
    return {(s.ack - conn.iss - 1) % (1 << 32) for s in conn.received if s.syn}


@pytest.mark.rfc(
    "8547:4.7-5",
    "8547:4.7-6",
    "8547:4.7-7",
    "8547:4.7-8",
    "8547:4.7-9",
    "8547:4.7-11",
    "8547:4.7-12",
    "8547:4.7-13",
    "8547:4.7-14",
    "8547:4.7-15",
    "8547:4.7-16",
)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["pyeno", "options", "plain"])
@pytest.mark.parametrize("cookie", [False, True], ids=["bare", "with-cookie"])
def test_data_is_discarded(
    field: Field, fastopen: Callable[[str], None], mode: str, kind: str, cookie: bool
) -> None:
    """Neither acknowledged nor given to the application; the connection opens all the same."""
    option, sysctl, needs_cookie = MODES[mode]
    fastopen(sysctl)
    given = _cookie(field, kind, option) if cookie else b""
    with _serve(field, kind, option) as listener:
        plan = Plan(syn=OFFER + given, ack=b"\x45\x02", syn_data=EARLY)
        conn = _dial(field, listener, plan)
        with listener.accept()[0] as accepted:
            assert _acknowledged(conn) == {0}
            conn.send(b"later")
            if kind == "pyeno":
                with pytest.raises(pyeno.RemoteProtocolError, match="offset 0"):
                    accepted.recv(100)  # "later" is no Init1: the stream began with it
            else:
                accepted.settimeout(TIMEOUT)
                assert accepted.recv(100) == b"later"
        conn.abort()
        if kind == "pyeno" or mode == "off":
            assert conn.syn_count == 1 or given, "dropped without need"
        # the same segment without ENO is none of our business: the control
        control = field.host.start(
            listener.getsockname(),
            source=field.theirs(),
            plan=Plan(syn=given, syn_data=EARLY),
        )
        with field.host.lock:
            assert control.changed.wait_for(lambda: control.received, TIMEOUT)
        takes = kind == "plain" or (kind == "options" and not option)
        takes = takes and mode != "off" and (cookie or not needs_cookie)
        assert _acknowledged(control) == {len(EARLY) if takes else 0}
        control.abort()


@pytest.mark.rfc("8547:4.7-11", "8547:4.7-13", "8547:4.7-14", "8547:4.7-16")
@pytest.mark.parametrize("mode", ["off", "all-no-cookie"])
def test_a_peer_that_insists(field: Field, fastopen: Callable[[str], None], mode: str) -> None:
    """pyeno's listeners answer "as if the received SYN segment contained no data"."""
    fastopen(MODES[mode][1])
    with _serve(field, "pyeno") as listener:
        peer = EnoPeer(field.host, source=field.theirs())
        peer.plan.syn_data, peer.plan.syn_data_times = EARLY, 99
        peer.connect(listener.getsockname(), timeout=TIMEOUT)
        assert peer.conn.syn_count == 1 and _acknowledged(peer.conn) == {0}
        assert peer.encrypted
        peer.conn.abort()


def test_fast_open_switched_on_while_listening(
    field: Field, fastopen: Callable[[str], None]
) -> None:
    """On a listener without ENO; on one with ENO it is refused."""
    fastopen("0x203")
    with _serve(field, "plain") as listener:
        listener.setsockopt(TCP, FAST_OPEN, 0)
        for value, syns in ((0, 1), (256, 2), (0, 1)):
            listener.setsockopt(TCP, FAST_OPEN, value)
            conn = _dial(field, listener, Plan(syn=OFFER, syn_data=EARLY))
            assert (conn.syn_count, _acknowledged(conn)) == (syns, {0})
            listener.accept()[0].close()
            conn.abort()
    for kind in "pyeno", "options":
        with _serve(field, kind) as listener:
            for option in FAST_OPEN, FAST_OPEN_CONNECT, NO_COOKIE:
                with pytest.raises(OSError) as refused:
                    listener.setsockopt(TCP, option, 1)
                assert refused.value.errno == errno.EOPNOTSUPP


def test_listening_again_starts_anew(field: Field, fastopen: Callable[[str], None]) -> None:
    """TCP_FASTOPEN of 0 holds until listen() is called again."""
    fastopen("0x602")
    with _serve(field, "plain") as listener:
        address = listener.getsockname()
        listener.setsockopt(TCP, FAST_OPEN, 0)
        listener.shutdown(socket.SHUT_RDWR)
        listener.listen()
        conn = field.host.connect(
            address, source=field.theirs(), plan=Plan(syn=OFFER, syn_data=EARLY)
        )
        assert _acknowledged(conn) == {0}
        conn.abort()


def test_attach_finds_what_was_set_before(
    field: Field, fastopen: Callable[[str], None], change: Callable[..., Any]
) -> None:
    """And, asked again, that it has been unset."""
    for sysctl, syns in (("0x402", 2), ("1", 1)):
        fastopen(sysctl)
        change()
        with _serve(field, "plain") as listener:
            conn = _dial(field, listener, Plan(syn=OFFER, syn_data=EARLY))
            assert (conn.syn_count, _acknowledged(conn)) == (syns, {0})
            listener.accept()[0].close()
            conn.abort()


@pytest.mark.parametrize("write", ["1026", "0x402", " 1026\n", "02002"])
def test_every_spelling_of_the_setting(
    field: Field, fastopen: Callable[[str], None], write: str
) -> None:
    fastopen(write)
    with _serve(field, "plain") as listener:
        conn = _dial(field, listener, Plan(syn=OFFER, syn_data=EARLY))
        assert (conn.syn_count, _acknowledged(conn)) == (2, {0})
        conn.abort()


def test_the_experimental_option(field: Field, fastopen: Callable[[str], None]) -> None:
    """RFC 6994's kind 254 with Fast Open's number, as old kernels send it."""
    cookie = bytes.fromhex("fe0cf989") + bytes(range(8))
    with _serve(field, "plain") as listener:
        conn = _dial(field, listener, Plan(syn=OFFER + cookie, syn_data=EARLY))
        assert (conn.syn_count, _acknowledged(conn)) == (2, {0})
        conn.abort()


# -- the active opener ---------------------------------------------------------------


@pytest.fixture
def far(wire: Wire, change: Callable[..., Any]) -> Iterator[socket.socket]:
    """A listener of namespace b that gives cookies and takes data."""
    wire.b.sysctl(SYSCTL, "0x402")
    with plain_listener(wire) as listener:
        yield listener
    wire.b.sysctl(SYSCTL, "1")
    wire.a.sysctl(SYSCTL, "1")
    wire.a.run("ip", "tcp_metrics", "flush")
    change()


def _fast(wire: Wire, target: Any, data: bytes) -> kernel.Result:
    """A connection of a socket that wants ENO, opened by MSG_FASTOPEN."""
    with wire.a.socket() as sock:
        tcpcrypt(sock)
        sock.setblocking(True)
        sock.sendto(data, socket.MSG_FASTOPEN, target)
        sock.sendall(b"more")
        return kernel.result(sock)


@pytest.mark.rfc("8547:4.7-3", "8547:4.7-4")
@pytest.mark.parametrize("data", [EARLY, b""], ids=["data", "no-data"])
def test_msg_fastopen_goes_without_eno(wire: Wire, far: socket.socket, data: bytes) -> None:
    """Whether the SYN asks for a cookie, carries one, or data without one."""
    target = far.getsockname()
    with wire.capture() as seen:
        asked = _fast(wire, target, EARLY)
        carried = _fast(wire, target, data)
        wire.a.sysctl(SYSCTL, "5")
        wire.a.run("ip", "tcp_metrics", "flush")
        bare = _fast(wire, target, data)
    for result in (asked, carried, *([bare] if data else [])):
        assert (result.state, result.reason) == (State.DISABLED, Reason.FAST_OPEN)
    for syn in seen.syns():
        tfo = [o for o in syn.options if o[0] == 34] if hasattr(syn, "options") else []
        assert not syn.eno or not (syn.payload or tfo)
    assert [bool(s.payload) for s in seen.syns()] == [False, bool(data), bool(data)]


@pytest.mark.rfc("8547:4.7-3", "8547:4.7-4", "8547:4.7-21")
def test_pyeno_sockets_refuse_it(wire: Wire, far: socket.socket) -> None:
    """Before a segment leaves: they send application data over nothing but a verdict."""
    target = far.getsockname()
    with wire.capture() as seen, wire.a.inside(lambda: pyeno.Socket()) as sock:
        for option in FAST_OPEN, FAST_OPEN_CONNECT, NO_COOKIE:
            with pytest.raises(OSError) as refused:
                sock.setsockopt(TCP, option, 1)
            assert refused.value.errno == errno.EOPNOTSUPP
        for send in (
            lambda: sock.sendto(EARLY, socket.MSG_FASTOPEN, target),
            lambda: sock.sendmsg([EARLY], [], socket.MSG_FASTOPEN, target),
            lambda: sock.send(EARLY, socket.MSG_FASTOPEN),
        ):
            with pytest.raises(OSError) as refused:
                send()
            assert refused.value.errno == errno.ENOTCONN
        sock.settimeout(TIMEOUT)
        sock.connect(target)
        assert sock.eno.reason is Reason.SYN_ACK_WITHOUT_ENO
    assert [s.payload for s in seen.syns()] == [b""]
