"""Connections that programs make: held, let in, and what the program sees of it."""

import socket
import time
from typing import Any

import pytest
from wire.netns import Namespace
from wire.redirecting import Program, Relay, listen

pytestmark = pytest.mark.wire

LOCAL = {4: ("10.69.0.1", 4321), 6: ("fd69::1", 4321, 0, 0)}
KINDS = {
    "ipv4": ("AF_INET", 4, "10.69.0.2", "10.69.0.2", "10.69.0.1"),
    "ipv6": ("AF_INET6", 6, "fd69::2", "fd69::2", "fd69::1"),
    "mapped": ("AF_INET6", 4, "::ffff:10.69.0.2", "10.69.0.2", "::ffff:10.69.0.1"),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


def exchange(program: Program, near: socket.socket) -> None:
    """Bytes both ways, then both FINs."""
    program.do("s.sendall(b'to the relay')")
    assert near.recv(100) == b"to the relay"
    near.sendall(b"to the program")
    assert program.do("s.recv(100)") == b"to the program"
    near.shutdown(socket.SHUT_WR)
    assert program.do("s.recv(100)") == b""
    program.do("s.close()")
    assert near.recv(100) == b""


def test_held_then_let_in(a: Namespace, program: Program, relay: Relay, kind: Any) -> None:
    """The program connects when the relay says so, and its names are the far connection's."""
    family, version, given, wanted, own = kind
    program.do(f"s = socket.socket(socket.{family})")
    program.start(f"s.connect(({given!r}, 80))")
    held = relay.hold()
    assert held.destination[:2] == (wanted, 80)
    assert held.pid == program.process.pid and held.uid == 0
    with relay.let_in(held, LOCAL[version]) as near:
        program.finish()
        assert program.do("s.getpeername()")[:2] == (given, 80)
        assert program.do("s.getsockname()")[:2] == (own, 4321)
        exchange(program, near)
    assert relay.quiet() and relay.redirection.gave_up() == []


def test_no_segment_is_lost(program: Program, relay: Relay) -> None:
    """The held SYN itself is sent on: the program never waits for a retransmission."""
    program.do("s = socket.socket()")
    program.start("s.connect(('10.69.0.2', 80))")
    with relay.let_in(relay.hold(), LOCAL[4]):
        program.finish()
        # struct tcp_info: tcpi_total_retrans
        info = "s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)"
        assert program.do(f"struct.unpack_from('=I', {info}, 100)[0]") == 0


def test_retransmitted_while_held(program: Program, relay: Relay) -> None:
    """A connection is told once, however often its kernel asks."""
    program.do("s = socket.socket(); s.settimeout(8)")
    program.start("s.connect(('10.69.0.2', 80))")
    held = relay.hold()
    time.sleep(1.5)  # the first comes after a second
    assert relay.quiet()
    with relay.let_in(held, LOCAL[4]) as near:
        program.finish()
        exchange(program, near)


def test_not_blocking(program: Program, relay: Relay) -> None:
    program.do("s = socket.socket(); s.setblocking(False)")
    assert program.do("s.connect_ex(('10.69.0.2', 80))") == 115  # EINPROGRESS
    held = relay.hold()
    assert program.do("select.select([], [s], [], 0)[1] == []")
    with relay.let_in(held, LOCAL[4]):
        assert program.do("select.select([], [s], [], 8)[1] == [s]")
        assert program.do("s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)") == 0
        assert program.do("s.getpeername()") == ("10.69.0.2", 80)


def test_many_at_once(program: Program, relay: Relay) -> None:
    """Each accepted connection is the one that was held."""
    count = 300
    program.do(f"many = [socket.socket() for _ in range({count})]")
    program.do("[s.setblocking(False) for s in many]")
    program.do("[s.connect_ex(('10.69.0.2', 1000 + i)) for i, s in enumerate(many)]")
    nears = {}
    for _ in range(count):
        held = relay.hold()
        nears[held.destination[1]] = relay.let_in(held, ("10.69.0.1", held.destination[1]))
    program.do("[s.setblocking(True) for s in many]")
    program.do("[s.sendall(b'%d' % s.getpeername()[1]) for s in many]")
    for port, near in nears.items():
        with near:
            assert near.recv(100) == b"%d" % port
    assert program.do("[s.getsockname()[1] for s in many]") == sorted(nears)


@pytest.mark.parametrize("version", [4, 6])
def test_bound_source(program: Program, relay: Relay, version: int) -> None:
    """The relay learns the address a program bound, and may use it."""
    family, own, other = {
        4: ("AF_INET", "10.69.0.1", "10.69.0.2"),
        6: ("AF_INET6", "fd69::1", "fd69::2"),
    }[version]
    program.do(f"s = socket.socket(socket.{family}); s.bind(({own!r}, 5555))")
    program.start(f"s.connect(({other!r}, 80))")
    held = relay.hold()
    assert held.source[:2] == (own, 5555)
    with relay.let_in(held, (own, 5555)) as near:
        program.finish()
        assert program.do("s.getsockname()")[:2] == (own, 5555)
        exchange(program, near)


def test_bound_without_a_port(program: Program, relay: Relay) -> None:
    """IP_BIND_ADDRESS_NO_PORT: the port is chosen while connecting."""
    program.do("s = socket.socket(); s.setsockopt(socket.IPPROTO_IP, 24, 1)")
    program.do("s.bind(('10.69.0.1', 0))")
    program.start("s.connect(('10.69.0.2', 80))")
    held = relay.hold()
    assert held.source[0] == "10.69.0.1" and held.source[1]
    with relay.let_in(held, ("10.69.0.1", 7777)) as near:
        program.finish()
        exchange(program, near)


def test_again_after_a_disconnect(program: Program, relay: Relay) -> None:
    """AF_UNSPEC: the socket has no peer until it connects again, elsewhere."""
    program.do("s = socket.socket()")
    program.start("s.connect(('10.69.0.2', 80))")
    relay.let_in(relay.hold(), LOCAL[4]).close()
    program.finish()
    program.do("import ctypes; libc = ctypes.CDLL(None)")
    assert program.do("libc.connect(s.fileno(), bytes(16), 16)") == 0
    with pytest.raises(OSError, match="ENOTCONN"):
        program.do("s.getpeername()")
    assert program.do("s.getsockname()[1]") != 4321
    program.start("s.connect(('10.69.0.2', 81))")
    held = relay.hold()
    assert held.destination == ("10.69.0.2", 81)
    with relay.let_in(held, ("10.69.0.1", 4322)) as near:
        program.finish()
        assert program.do("s.getpeername()") == ("10.69.0.2", 81)
        assert program.do("s.getsockname()") == ("10.69.0.1", 4322)
        exchange(program, near)


@pytest.mark.parametrize("how", ["MSG_FASTOPEN", "TCP_FASTOPEN_CONNECT"])
def test_fast_open(program: Program, relay: Relay, how: str) -> None:
    """Data given with connect() arrives, once: it is sent after the handshake."""
    program.do("s = socket.socket()")
    if how == "MSG_FASTOPEN":
        program.start("s.sendto(b'early', socket.MSG_FASTOPEN, ('10.69.0.2', 80))")
    else:
        program.do("s.setsockopt(socket.IPPROTO_TCP, 30, 1)")
        program.start("s.connect(('10.69.0.2', 80)); s.sendall(b'early')")
    with relay.let_in(relay.hold(), LOCAL[4]) as near:
        program.finish()
        assert near.recv(100) == b"early"
        assert program.do("s.getpeername()") == ("10.69.0.2", 80)
        exchange(program, near)


def test_mptcp(program: Program, relay: Relay) -> None:
    """No hook tells it from TCP before its SYN: redirected, it falls back to TCP."""
    program.do("s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)")
    program.start("s.connect(('10.69.0.2', 80))")
    with relay.let_in(relay.hold(), LOCAL[4]) as near:
        program.finish()
        assert program.do("s.getpeername()") == ("10.69.0.2", 80)
        assert program.do("s.getsockname()") == LOCAL[4]
        exchange(program, near)


def test_program_gives_up(program: Program, relay: Relay) -> None:
    """The relay hears of it, and can end the far connection."""
    program.do("s = socket.socket(); s.setblocking(False)")
    program.do("s.connect_ex(('10.69.0.2', 80))")
    held = relay.hold()
    assert relay.redirection.gave_up() == []
    program.do("s.close()")
    assert relay.quiet()
    assert relay.redirection.gave_up() == [held.cookie]
    assert relay.redirection.gave_up() == []


def test_gives_up_and_connects_again(program: Program, relay: Relay) -> None:
    """The same socket, at once: the relay can tell the attempts apart."""
    program.do("s = socket.socket(); s.setblocking(False); import ctypes")
    program.do("s.connect_ex(('10.69.0.2', 80))")
    first = relay.hold()
    program.do("ctypes.CDLL(None).connect(s.fileno(), bytes(16), 16)")
    program.do("s.connect_ex(('10.69.0.2', 81))")
    second = relay.hold()
    assert second.destination == ("10.69.0.2", 81)
    assert relay.redirection.gave_up() == [first.cookie] != [second.cookie]
    with relay.let_in(second, LOCAL[4]) as near:
        program.do("select.select([], [s], [], 8)")
        program.do("s.setblocking(True)")
        exchange(program, near)


def test_gives_up_unseen(program: Program, relay: Relay) -> None:
    """A connection that ended before the relay looked is not told at all."""
    program.do("s = socket.socket(); s.setblocking(False)")
    program.do("s.connect_ex(('10.69.0.2', 80)); s.close()")
    assert relay.quiet() and relay.redirection.gave_up() == []


def test_admitted_in_vain(program: Program, relay: Relay) -> None:
    """The program closed meanwhile: nothing can be accepted, and nothing is raised."""
    program.do("s = socket.socket(); s.setblocking(False)")
    program.do("s.connect_ex(('10.69.0.2', 80))")
    held = relay.hold()
    program.do("s.close()")
    relay.redirection.admit(held, LOCAL[4])
    relay.near[0].settimeout(0.3)
    with pytest.raises(TimeoutError):
        relay.near[0].accept()


@pytest.mark.parametrize("six", [False, True])
def test_near_listener_is_guarded(a: Namespace, relay: Relay, six: bool) -> None:
    """Who was not redirected is refused there, as if nobody listened."""
    with (
        a.socket(relay.near[six].family) as stranger,
        pytest.raises(ConnectionRefusedError),
    ):
        stranger.connect(relay.near[six].getsockname())


def test_through_to_the_far_host(
    a: Namespace, b: Namespace, program: Program, relay: Relay
) -> None:
    """The whole way, the relay's own connection being left alone."""
    with listen(b, "10.69.0.2") as listener:
        destination = listener.getsockname()
        program.do("s = socket.socket()")
        program.start(f"s.connect({destination})")
        held = relay.hold()
        with a.socket() as far:
            far.connect(held.destination)
            there, name = listener.accept()
            with there, relay.let_in(held, far.getsockname()) as near:
                program.finish()
                assert program.do("s.getsockname()") == name
                program.do("s.sendall(b'through')")
                far.sendall(near.recv(100))
                assert there.recv(100) == b"through"
