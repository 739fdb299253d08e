"""What is left alone, and how a program sees that: it connects to where it meant to."""

import os
import socket
from pathlib import Path

import pytest
from wire.netns import Namespace
from wire.redirecting import Program, Relay, listen

from pyeno.redirect import Rules

pytestmark = pytest.mark.wire


def direct(program: Program, relay: Relay, listener: socket.socket, made: str = "") -> None:
    """The program connects to the listener itself, and the relay sees nothing."""
    name = listener.getsockname()
    program.do(made or f"s = socket.socket(socket.AF_INET{'6' if len(name) > 2 else ''})")
    program.do("s.settimeout(8)")
    program.do(f"s.connect({name})")
    sock, source = listener.accept()
    with sock:
        assert program.do("s.getsockname()") == source
        assert program.do("s.getpeername()") == name
    assert relay.quiet()


def test_skipped_port(b: Namespace, program: Program, relay: Relay) -> None:
    with listen(b, "10.69.0.2") as listener:
        port = listener.getsockname()[1]
        relay.redirection.set_rules(Rules(skip_ports=frozenset([port])))
        direct(program, relay, listener)
        relay.redirection.set_rules(Rules())
        program.do("s = socket.socket(); s.setblocking(False)")
        program.do(f"s.connect_ex(('10.69.0.2', {port}))")
        assert relay.hold().destination == ("10.69.0.2", port)


@pytest.mark.parametrize(
    ("network", "host"),
    [("10.69.0.0/24", "10.69.0.2"), ("10.69.0.2/32", "10.69.0.2"), ("fd69::/16", "fd69::2"),
     ("0.0.0.0/0", "10.69.0.2"), ("::/0", "fd69::2"), ("::/0", "10.69.0.2")],
)  # fmt: skip
def test_skipped_network(
    b: Namespace, program: Program, relay: Relay, network: str, host: str
) -> None:
    """The longest prefix is what matters; ::/0 has IPv4 in it."""
    relay.redirection.set_rules(Rules(skip_networks=(network,)))
    with listen(b, host) as listener:
        direct(program, relay, listener)


def test_network_beside(b: Namespace, program: Program, relay: Relay) -> None:
    """Others than those skipped are redirected, and so are skipped ones later."""
    rules = Rules(skip_networks=("10.69.0.3/32", "0.0.0.0/8", "::ffff:10.69.0.0/126"))
    relay.redirection.set_rules(rules)
    relay.redirection.set_rules(Rules(skip_networks=("10.69.0.4/30",)))
    program.do("s = socket.socket(); s.setblocking(False)")
    program.do("s.connect_ex(('10.69.0.2', 80))")
    assert relay.hold().destination == ("10.69.0.2", 80)


def test_all_networks_changed(program: Program, relay: Relay) -> None:
    """As many as there may be, then as many others; the old ones are gone."""
    first = [f"198.{18 + i // 256}.{i % 256}.0/24" for i in range(4096)]
    others = [f"203.{i // 256}.{i % 256}.0/24" for i in range(4095)]
    relay.redirection.set_rules(Rules(skip_networks=tuple(first)))
    relay.redirection.set_rules(Rules(skip_networks=("10.69.0.2", *others)))
    program.do("s = socket.socket(); s.settimeout(0.2)")
    with pytest.raises(OSError, match="ECONNREFUSED"):
        program.do("s.connect(('10.69.0.2', 1))")
    assert relay.quiet()
    program.do("s = socket.socket(); s.setblocking(False)")
    program.do("s.connect_ex(('198.18.0.1', 80))")
    assert relay.hold().destination == ("198.18.0.1", 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "::1"])
def test_loopback(a: Namespace, program: Program, relay: Relay, host: str) -> None:
    with listen(a, host) as listener:
        direct(program, relay, listener)


def test_unspecified(a: Namespace, program: Program, relay: Relay) -> None:
    """Linux takes 0.0.0.0 for this host."""
    with listen(a, "127.0.0.1") as listener:
        port = listener.getsockname()[1]
        program.do(f"s = socket.socket(); s.connect(('0.0.0.0', {port}))")
        listener.accept()[0].close()
    assert relay.quiet()


def test_link_local(a: Namespace, b: Namespace, program: Program, relay: Relay) -> None:
    """Whose link it is, no hook tells."""
    shown = b.run("ip", "-6", "-o", "addr", "show", "dev", "eth", "scope", "link")
    host = shown.split()[3].partition("/")[0]
    scope = int(a.run("cat", "/sys/class/net/eth/ifindex"))
    with listen(b, "::") as listener:
        port = listener.getsockname()[1]
        program.do("s = socket.socket(socket.AF_INET6); s.settimeout(8)")
        program.do(f"s.connect(({host!r}, {port}, 0, {scope}))")
        listener.accept()[0].close()
    assert relay.quiet()


def test_bound_to_a_device(b: Namespace, program: Program, relay: Relay) -> None:
    """Through that device loopback cannot be reached."""
    made = (
        "s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth')"
    )
    with listen(b, "10.69.0.2") as listener:
        direct(program, relay, listener, made)


def test_udp(b: Namespace, program: Program, relay: Relay) -> None:
    with b.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("10.69.0.2", 0))
        program.do("s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)")
        program.do(f"s.connect({sock.getsockname()}); s.send(b'datagram')")
        assert sock.recv(100) == b"datagram"
        assert program.do("s.getpeername()") == sock.getsockname()
    assert relay.quiet()


def test_another_namespace(a: Namespace, b: Namespace, programs: Path, relay: Relay) -> None:
    """A program of the cgroup that lives where the relay's listeners are not."""
    with Program(b, programs) as elsewhere, listen(a, "10.69.0.1") as listener:
        direct(elsewhere, relay, listener)


def test_another_cgroup(a: Namespace, b: Namespace, cgroup: Path, relay: Relay) -> None:
    with Program(a, cgroup) as outside, listen(b, "10.69.0.2") as listener:
        direct(outside, relay, listener)


def test_exempt_process(b: Namespace, program: Program, relay: Relay) -> None:
    """A relay's other processes, if they are in a redirected cgroup."""
    relay.redirection.exempt(program.process.pid)
    with listen(b, "10.69.0.2") as listener:
        direct(program, relay, listener)
    relay.redirection.exempt(program.process.pid, False)
    program.do("s = socket.socket(); s.setblocking(False)")
    program.do("s.connect_ex(('10.69.0.2', 80))")
    assert relay.hold().pid == program.process.pid
    with pytest.raises(ProcessLookupError):
        relay.redirection.exempt(2**22 + 1)


def test_the_relay_itself(a: Namespace, b: Namespace, cgroup: Path) -> None:
    """Its own connections leave directly, although its cgroup is redirected."""
    with Relay(a, [cgroup]) as relay, listen(b, "10.69.0.2") as listener, a.socket() as far:
        assert os.getpid() in map(int, (cgroup / "cgroup.procs").read_text().split())
        far.connect(listener.getsockname())
        sock, source = listener.accept()
        with sock:
            assert far.getsockname() == source
        assert relay.quiet()


def test_a_direct_connection_after_a_redirected_one(
    b: Namespace, program: Program, relay: Relay
) -> None:
    """One socket: its names are those of where it is now."""
    program.do("s = socket.socket(); import ctypes")
    program.start("s.connect(('10.69.0.2', 80))")
    relay.let_in(relay.hold(), ("10.69.0.1", 4321)).close()
    program.finish()
    program.do("ctypes.CDLL(None).connect(s.fileno(), bytes(16), 16)")
    with listen(b, "10.69.0.2") as listener:
        port = listener.getsockname()[1]
        relay.redirection.set_rules(Rules(skip_ports=frozenset([port])))
        direct(program, relay, listener, "pass")


def test_no_near_listener_for_a_version(
    a: Namespace, b: Namespace, program: Program, relay: Relay
) -> None:
    """With the listener gone, programs connect directly (fail open)."""
    relay.near[0].close()
    with listen(b, "10.69.0.2") as listener:
        direct(program, relay, listener)
