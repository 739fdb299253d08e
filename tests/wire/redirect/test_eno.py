"""Both kernel halves at once: two programs that know nothing, encrypted on the cable."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from wire.netns import PREFIX, Namespace, Wire
from wire.pairs import MARKER, TIMEOUT, dialled
from wire.redirecting import Program, Relay

import pyeno
from pyeno import attach

pytestmark = pytest.mark.wire


@pytest.fixture
def host(programs: Path) -> Iterator[tuple[Path, Path]]:
    """Cgroups for the programs of two hosts, ENO attached to the cgroup of the first."""
    other, pin = (
        programs.with_name(f"{programs.name}-b"),
        f"/sys/fs/bpf/{PREFIX}-{os.getpid()}-r",
    )
    other.mkdir()
    attach.attach(str(programs), pin)
    try:
        yield programs, other
    finally:
        attach.detach(pin)
        other.rmdir()


def listening(namespace: Namespace) -> pyeno.Socket:
    listener: pyeno.Socket = namespace.inside(lambda: pyeno.create_server(("0.0.0.0", 0)))
    listener.settimeout(TIMEOUT)
    return listener


def test_encrypted_on_the_cable(wire: Wire, host: tuple[Path, Path]) -> None:
    """program - relay = ENO = relay - program: true names, and no plaintext between."""
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        near_a = enter(Relay(wire.a, [host[0]]))
        near_b = enter(Relay(wire.b, [host[1]], steered=listening(wire.b)))
        program_a, program_b = enter(Program(wire.a, host[0])), enter(Program(wire.b, host[1]))
        program_b.do("l = socket.create_server(('0.0.0.0', 8080)); l.settimeout(8)")
        seen = enter(wire.capture())

        program_a.start("s = socket.socket(); s.connect(('10.69.0.2', 8080))")
        held = near_a.hold()
        accepted = []

        def accept() -> None:
            sock, client = near_b.taken()
            assert isinstance(sock, pyeno.Socket)
            sock.do_handshake()
            accepted.append((sock, client))

        thread = threading.Thread(target=accept)
        thread.start()
        far = enter(dialled(wire, held.destination))
        thread.join()
        taken, client = accepted[0]
        enter(taken)
        a = enter(near_a.let_in(held, far.getsockname()))
        b = enter(near_b.reach(client, taken.getsockname(), wire.b))
        program_a.finish()
        program_b.do("s, peer = l.accept()")
        assert program_b.do("peer") == program_a.do("s.getsockname()") == client
        assert program_b.do("s.getsockname()") == program_a.do("s.getpeername()")

        program_a.do(f"s.sendall({MARKER!r})")
        far.sendall(a.recv(1000))
        b.sendall(taken.recv(1000))
        assert program_b.do("s.recv(1000)") == MARKER
        assert far.eno.encrypted and taken.eno.encrypted
        assert far.eno.session_id == taken.eno.session_id
        seen.wait(lambda segments: any(len(s.payload) > len(MARKER) for s in segments))
    assert not any(MARKER in s.payload for s in seen.segments)
    assert all(s.eno for s in seen.syns())
