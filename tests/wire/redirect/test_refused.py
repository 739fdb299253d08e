"""Held connections that fail: connect() has the errno of the far one."""

import errno
import select

import pytest
from wire.netns import Namespace
from wire.redirecting import Program, Relay

from pyeno.errors import ConfigError
from pyeno.redirect import packet

pytestmark = pytest.mark.wire

VERSION4 = sorted({errno.ECONNREFUSED, *packet.UNREACHABLE4})
VERSION6 = sorted({errno.ECONNREFUSED, *packet.UNREACHABLE6})
CASES = [("AF_INET", "10.69.0.2", error) for error in VERSION4]
CASES += [("AF_INET6", "fd69::2", error) for error in VERSION6]
CASES += [("AF_INET6", "::ffff:10.69.0.2", error) for error in VERSION4]


@pytest.mark.parametrize(("family", "host", "error"), CASES)
def test_blocking(program: Program, relay: Relay, family: str, host: str, error: int) -> None:
    program.do(f"s = socket.socket(socket.{family}); s.settimeout(None)")
    program.start(f"s.connect(({host!r}, 80))")
    assert relay.redirection.refuse(relay.hold(), error) == error
    with pytest.raises(OSError) as raised:
        program.finish()
    assert raised.value.errno == error
    assert relay.redirection.gave_up() == [] and relay.quiet()


@pytest.mark.parametrize(
    ("host", "error"),
    [
        ("10.69.0.2", errno.ECONNREFUSED),
        ("10.69.0.2", errno.EHOSTUNREACH),
        ("fd69::2", errno.ECONNREFUSED),
        ("fd69::2", errno.EACCES),
    ],
)
def test_not_blocking(program: Program, relay: Relay, host: str, error: int) -> None:
    """SO_ERROR, once the socket is writable."""
    program.do(f"s = socket.socket(socket.{'AF_INET6' if ':' in host else 'AF_INET'})")
    program.do("s.setblocking(False)")
    assert program.do(f"s.connect_ex(({host!r}, 80))") == errno.EINPROGRESS
    relay.redirection.refuse(relay.hold(), error)
    assert program.do("select.select([], [s], [], 8)[1] == [s]")
    assert program.do("s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)") == error


@pytest.mark.parametrize(
    ("host", "given", "told"),
    [
        ("10.69.0.2", errno.EACCES, errno.EHOSTUNREACH),
        ("10.69.0.2", errno.EPERM, errno.EHOSTUNREACH),
        ("fd69::2", errno.EPERM, errno.EACCES),
        ("fd69::2", errno.EHOSTDOWN, errno.EHOSTUNREACH),
        ("10.69.0.2", errno.ECONNRESET, errno.ECONNREFUSED),
        ("10.69.0.2", errno.ENETDOWN, errno.ENETUNREACH),
        ("10.69.0.2", errno.EADDRNOTAVAIL, errno.EHOSTUNREACH),
    ],
)
def test_nearest(program: Program, relay: Relay, host: str, given: int, told: int) -> None:
    """What Linux cannot be told becomes what is nearest, and the relay knows."""
    program.do(f"s = socket.socket(socket.{'AF_INET6' if ':' in host else 'AF_INET'})")
    program.start(f"s.connect(({host!r}, 80))")
    assert relay.redirection.refuse(relay.hold(), given) == told
    with pytest.raises(OSError) as raised:
        program.finish()
    assert raised.value.errno == told


def test_timed_out(a: Namespace, program: Program, relay: Relay) -> None:
    """ETIMEDOUT is no answer: the program's kernel comes to it by itself."""
    a.sysctl("net.ipv4.tcp_syn_retries", 1)
    try:
        program.do("s = socket.socket()")
        program.start("s.connect(('10.69.0.2', 80))")
        relay.redirection.refuse(relay.hold(), errno.ETIMEDOUT)
        with pytest.raises(OSError, match="ETIMEDOUT"):
            program.finish()
        assert relay.redirection.gave_up() == []
    finally:
        a.sysctl("net.ipv4.tcp_syn_retries", 6)


@pytest.mark.parametrize("error", [errno.ECONNREFUSED, errno.EHOSTUNREACH])
def test_answer_lost(a: Namespace, program: Program, relay: Relay, error: int) -> None:
    """The retransmitted SYN is answered again, without the relay's doing."""
    program.do("s = socket.socket(); s.settimeout(None)")
    program.start("s.connect(('10.69.0.2', 80))")
    with a.rules("tcp flags & rst != 0 drop\nip protocol icmp drop", hook="input"):
        relay.redirection.refuse(relay.hold(), error)
    # held() answers what comes while somebody reads
    while not select.select([program.process.stdout], [], [], 0)[0]:
        assert select.select([relay.redirection, program.process.stdout], [], [], 8)[0]
        assert relay.quiet()
    with pytest.raises(OSError) as raised:
        program.finish()
    assert raised.value.errno == error


def test_again_after_a_failure(program: Program, relay: Relay) -> None:
    """One socket: refused, then let in elsewhere; its names are the second one's."""
    program.do("s = socket.socket()")
    program.start("s.connect(('10.69.0.2', 80))")
    relay.redirection.refuse(relay.hold(), errno.ECONNREFUSED)
    with pytest.raises(OSError, match="ECONNREFUSED"):
        program.finish()
    with pytest.raises(OSError, match="ENOTCONN"):
        program.do("s.getpeername()")
    program.start("s.connect(('10.69.0.2', 81))")
    held = relay.hold()
    assert held.destination == ("10.69.0.2", 81)
    with relay.let_in(held, ("10.69.0.1", 4000)):
        program.finish()
        assert program.do("s.getpeername()") == ("10.69.0.2", 81)


@pytest.mark.parametrize("error", [0, -111])
def test_no_errno(program: Program, relay: Relay, error: int) -> None:
    program.do("s = socket.socket(); s.setblocking(False); s.connect_ex(('10.69.0.2', 80))")
    held = relay.hold()
    with pytest.raises(ConfigError, match="positive errno"):
        relay.redirection.refuse(held, error)
    with relay.let_in(held, ("10.69.0.1", 4000)):
        assert program.do("select.select([], [s], [], 8)[1] == [s]")
