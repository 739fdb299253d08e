"""Connections to programs: steered to the relay, which reaches the program for the client."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wire.netns import Namespace
from wire.redirecting import FAMILIES, Program, Relay

from pyeno.redirect import Rules

pytestmark = pytest.mark.wire

PORT = 8080
WORLDS = {
    "ipv4": ("0.0.0.0", "10.69.0.1", "10.69.0.2", "{}"),
    "ipv6": ("::", "fd69::1", "fd69::2", "{}"),
    "dual": ("::", "10.69.0.1", "10.69.0.2", "::ffff:{}"),
    "address4": ("10.69.0.1", "10.69.0.1", "10.69.0.2", "{}"),
    "address6": ("fd69::1", "fd69::1", "fd69::2", "{}"),
}


def listens(program: Program, host: str, port: int = PORT, name: str = "l", **options: int):  # type: ignore[no-untyped-def]
    program.do(f"{name} = socket.socket(socket.AF_INET{'6' if ':' in host else ''})")
    for option, value in {"SO_REUSEADDR": 1, **options}.items():
        level = "IPPROTO_IPV6" if option.startswith("IPV6") else "SOL_SOCKET"
        program.do(f"{name}.setsockopt(socket.{level}, socket.{option}, {value})")
    program.do(f"{name}.bind(({host!r}, {port})); {name}.listen(); {name}.settimeout(8)")


@contextlib.contextmanager
def calling(namespace: Namespace, host: str, port: int = PORT) -> Iterator[socket.socket]:
    with namespace.socket(FAMILIES[6 if ":" in host else 4]) as sock:
        sock.connect((host, port))
        yield sock


def refused(namespace: Namespace, host: str, port: int = PORT) -> bool:
    try:
        with calling(namespace, host, port):
            return False
    except ConnectionRefusedError:
        return True


def untouched(program: Program, namespace: Namespace, host: str, port: int = PORT) -> None:
    """The program itself has the connection."""
    with calling(namespace, host, port) as sock:
        program.do("s, peer = l.accept()")
        assert program.do("peer")[1] == sock.getsockname()[1]
        program.do("s.close()")


def steered(relay: Relay, namespace: Namespace, host: str, port: int = PORT) -> None:
    with calling(namespace, host, port) as sock:
        taken, client = relay.taken(":" in host)
        with taken:
            assert client == sock.getsockname()
            assert taken.getsockname()[:2] == (host, port)


@pytest.mark.parametrize("world", WORLDS)
def test_the_whole_way(
    a: Namespace, b: Namespace, program: Program, relay: Relay, world: str
) -> None:
    """The program accepts from the client, although the relay connected."""
    bound, host, source, shown = WORLDS[world]
    listens(program, bound)
    with calling(b, host) as caller:
        taken, client = relay.taken(":" in host)
        assert client == caller.getsockname() and client[0] == source
        local = taken.getsockname()
        assert local[:2] == (host, PORT)
        with taken, relay.reach(client, local, a) as near:
            peer: Any = program.do("s, peer = l.accept()") or program.do("peer")
            assert peer[:2] == (shown.format(source), client[1])
            assert program.do("s.getpeername()") == peer
            assert program.do("s.getsockname()")[:2] == (shown.format(host), PORT)
            near.sendall(b"to the program")
            assert program.do("s.recv(100)") == b"to the program"
            program.do("s.sendall(b'to the relay')")
            assert near.recv(100) == b"to the relay"
        assert program.do("s.recv(100)") == b""


def test_from_the_same_host(a: Namespace, program: Program, relay: Relay) -> None:
    """Other programs that use this host's address are steered, the relay is not."""
    listens(program, "0.0.0.0")
    with calling(a, "10.69.0.1") as caller:
        taken, client = relay.taken()
        with taken, relay.reach(client, taken.getsockname(), a):
            program.do("s, peer = l.accept()")
            assert program.do("peer") == caller.getsockname()


def test_loopback_is_not_steered(a: Namespace, program: Program, relay: Relay) -> None:
    listens(program, "0.0.0.0")
    untouched(program, a, "127.0.0.1")


def test_own_ports_are_refused(b: Namespace, relay: Relay) -> None:
    """Nobody gets to the steered listeners by their own ports."""
    assert refused(b, "10.69.0.1", relay.steered[0].getsockname()[1])
    assert refused(b, "fd69::1", relay.steered[1].getsockname()[1])


def test_only_where_somebody_listens(
    b: Namespace, programs: Path, program: Program, relay: Relay
) -> None:
    """Another port, another address, another cgroup's listener, a closed one."""
    listens(program, "127.0.0.1")
    assert refused(b, "10.69.0.1")
    program.do("l.close()")
    listens(program, "10.69.0.1")
    assert refused(b, "10.69.0.1", PORT + 1)
    assert refused(b, "fd69::1")
    steered(relay, b, "10.69.0.1")
    program.do("l.close()")
    assert refused(b, "10.69.0.1")


def test_outside_the_cgroup(a: Namespace, b: Namespace, cgroup: Path, relay: Relay) -> None:
    with Program(a, cgroup) as outside:
        listens(outside, "0.0.0.0")
        untouched(outside, b, "10.69.0.1")


def test_until_the_last_listener_closes(b: Namespace, program: Program, relay: Relay) -> None:
    """SO_REUSEPORT: several sockets on one port."""
    listens(program, "0.0.0.0", name="l", SO_REUSEPORT=1)
    listens(program, "0.0.0.0", name="m", SO_REUSEPORT=1)
    program.do("m.close()")
    steered(relay, b, "10.69.0.1")
    program.do("l.close()")
    assert refused(b, "10.69.0.1")


def test_listens_again(b: Namespace, program: Program, relay: Relay) -> None:
    """listen() twice counts once; shutdown() ends it, listen() begins anew."""
    listens(program, "0.0.0.0")
    program.do("l.listen(5)")
    program.do("l.shutdown(socket.SHUT_RD)")
    assert refused(b, "10.69.0.1")
    program.do("l.listen(5)")
    steered(relay, b, "10.69.0.1")


def test_killed_program(b: Namespace, program: Program, relay: Relay) -> None:
    listens(program, "0.0.0.0")
    steered(relay, b, "10.69.0.1")
    program.process.kill()
    program.process.wait()
    assert refused(b, "10.69.0.1")


def test_skipped(b: Namespace, program: Program, relay: Relay) -> None:
    """Ports and networks: the program has the connections itself."""
    listens(program, "0.0.0.0")
    relay.redirection.set_rules(Rules(skip_ports=frozenset([PORT])))
    untouched(program, b, "10.69.0.1")
    relay.redirection.set_rules(Rules(skip_networks=("10.69.0.2/31",)))  # type: ignore[arg-type]
    untouched(program, b, "10.69.0.1")
    relay.redirection.set_rules(Rules(skip_networks=("10.69.0.0/31",)))  # type: ignore[arg-type]
    steered(relay, b, "10.69.0.1")


def test_named_ports(b: Namespace, program: Program, relay: Relay) -> None:
    """Only these, even if they are skipped for connections that programs make."""
    listens(program, "0.0.0.0")
    relay.redirection.set_rules(Rules(inbound_ports=frozenset([PORT + 1])))
    untouched(program, b, "10.69.0.1")
    ports = frozenset([PORT])
    relay.redirection.set_rules(Rules(inbound_ports=ports, skip_ports=ports))
    steered(relay, b, "10.69.0.1")
    relay.redirection.set_rules(Rules(inbound_ports=frozenset()))
    untouched(program, b, "10.69.0.1")


def test_another_namespace(a: Namespace, b: Namespace, programs: Path, relay: Relay) -> None:
    """A listener of the cgroup elsewhere says nothing about this namespace's port."""
    with Program(b, programs) as elsewhere:
        listens(elsewhere, "0.0.0.0")
        assert refused(a, "10.69.0.1")
        untouched(elsewhere, a, "10.69.0.2")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.69.0.1"])
def test_listens_already(
    a: Namespace, b: Namespace, programs: Path, program: Program, host: str
) -> None:
    """A listener from before the relay; the cgroup is told by the kernel."""
    listens(program, host)
    with Relay(a, [programs]) as relay:
        steered(relay, b, "10.69.0.1")
        if host == "::":
            steered(relay, b, "fd69::1")


def test_stale_listener(a: Namespace, b: Namespace, programs: Path, program: Program) -> None:
    """One from before whose end nobody saw: the first failure corrects it."""
    listens(program, "0.0.0.0")
    with Relay(a, [programs]) as relay:
        program.do("l.close()")
        corrected(a, b, relay)


def test_v6only(a: Namespace, b: Namespace, program: Program, relay: Relay) -> None:
    """No IPv4 there, which no hook tells: the first failure corrects it, for IPv4 alone."""
    listens(program, "::", IPV6_V6ONLY=1)
    corrected(a, b, relay)
    steered(relay, b, "fd69::1")


def corrected(a: Namespace, b: Namespace, relay: Relay) -> None:
    with calling(b, "10.69.0.1"):
        taken, client = relay.taken()
        with taken, a.socket() as sock:
            local = taken.getsockname()
            relay.redirection.reach(sock, client, local)
            with pytest.raises(ConnectionRefusedError):
                sock.connect(local)
            relay.redirection.unreach(sock)
    with calling(b, "10.69.0.1"):
        taken, client = relay.taken()
        with taken, a.socket() as sock:
            relay.redirection.reach(sock, client, local)
            relay.redirection.unreach(sock, local)
    assert refused(b, "10.69.0.1")


def test_unreach_forgets_the_client(
    a: Namespace, b: Namespace, program: Program, relay: Relay
) -> None:
    """The port of a socket that could not connect means nothing to the next."""
    listens(program, "0.0.0.0")
    with a.socket() as sock:
        relay.redirection.reach(sock, ("192.0.2.1", 1), ("10.69.0.1", PORT))
        used = sock.getsockname()
        relay.redirection.unreach(sock, ("10.69.0.1", PORT))
    with a.socket() as sock:
        sock.bind((used[0], used[1]))
        sock.connect(("10.69.0.1", PORT))
        program.do("s, peer = l.accept()")
        assert program.do("peer") == used
    steered(relay, b, "10.69.0.1")


def test_reach_keeps_a_bound_port(a: Namespace, program: Program, relay: Relay) -> None:
    listens(program, "0.0.0.0")
    with a.socket() as sock:
        sock.bind(("10.69.0.1", 0))
        mine = sock.getsockname()
        relay.redirection.reach(sock, ("192.0.2.7", 77), ("10.69.0.1", PORT))
        assert sock.getsockname() == mine
        sock.connect(("10.69.0.1", PORT))
        program.do("s, peer = l.accept()")
        assert program.do("peer") == ("192.0.2.7", 77)


def test_many_clients(a: Namespace, b: Namespace, program: Program, relay: Relay) -> None:
    """Each connection has its own client's name."""
    listens(program, "0.0.0.0")
    program.do("l.listen(500); peers = []")
    with contextlib.ExitStack() as stack:
        names = []
        for _ in range(100):
            names.append(stack.enter_context(calling(b, "10.69.0.1")).getsockname())
            taken, client = relay.taken()
            stack.enter_context(taken)
            stack.enter_context(relay.reach(client, taken.getsockname(), a))
        program.do(f"for _ in range({len(names)}): peers.append(l.accept())")
        assert program.do("[peer for s, peer in peers]") == names
        assert program.do("[s.getpeername() for s, peer in peers]") == names


def test_syn_cookies(a: Namespace, b: Namespace, program: Program, relay: Relay) -> None:
    """The ACK is looked up like the SYN was."""
    listens(program, "0.0.0.0")
    a.sysctl("net.ipv4.tcp_syncookies", 2)
    try:
        with calling(b, "10.69.0.1") as caller:
            taken, client = relay.taken()
            with taken, relay.reach(client, taken.getsockname(), a):
                program.do("s, peer = l.accept()")
                assert program.do("peer") == caller.getsockname()
        program.do("s = socket.socket()")
        program.start("s.connect(('10.69.0.2', 80))")
        with relay.let_in(relay.hold(), ("10.69.0.1", 4000)):
            program.finish()
            assert program.do("s.getsockname()") == ("10.69.0.1", 4000)
    finally:
        a.sysctl("net.ipv4.tcp_syncookies", 1)
