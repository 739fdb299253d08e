"""`pyeno listen` and `pyeno connect` as people run them, and listeners that must not die."""

import itertools
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from wire.bpfmaps import entries
from wire.conftest import Attached
from wire.netns import Wire
from wire.pairs import MARKER, plain_listener
from wire.peering import Field
from wire.programs import NOBODY, ROOT, Command, Listen

import pyeno
from pyeno import mounts

pytestmark = pytest.mark.wire

_ports = itertools.count(6600)


def connect(wire: Wire, port: int, *words: str, before: list[str] | None = None) -> Command:
    target = f"{wire.b.ip4}:{port}"
    return Command(wire.a, "connect", "--json", *words, target, before=before or [])


def test_as_nobody(wire: Wire) -> None:
    """The API of RFC 8547 section 4.2 needs no privilege, once root has attached."""
    port = next(_ports)
    with Listen(wire.b, port, "--echo", before=NOBODY) as listen:
        status = Path(f"/proc/{listen.process.pid}/status").read_text().split()
        assert status[status.index("Uid:") + 1] == "65534"
        with connect(wire, port, "--require", before=NOBODY) as command:
            command.type(MARKER, end=True)
            assert command.ended() == 0, command
            assert command.output == MARKER
            assert command.reports[0]["session_id"] == listen.next_report()["session_id"]


def test_outside_the_cgroup(wire: Wire, attached: Attached) -> None:
    """Where pyeno is not attached, TCP is plain and the reason says so."""
    home = mounts.cgroup_root() / "cgroup.procs"
    leave = ["sh", "-c", f'cd {ROOT}; echo $$ > {home}; exec "$0" "$@"']
    port = next(_ports)
    with Listen(wire.b, port, "--echo") as listen:
        # inside `ip netns exec` /sys is another; nsenter goes back to ours
        with connect(wire, port, before=["nsenter", "-t", str(os.getpid()), "-m", *leave]) as c:
            c.type(MARKER, end=True)
            assert c.ended() == 0 and c.output == MARKER, c
            assert (c.reports[0]["encrypted"], c.reports[0]["reason"]) == (False, "unavailable")
        assert listen.next_report()["reason"] == "syn-without-eno"


def test_netcat(wire: Wire) -> None:
    """Without --echo or --sink: standard input and output, both ways, one connection."""
    port, data = next(_ports), os.urandom(300_000)
    with Listen(wire.b, port) as listen, connect(wire, port) as command:
        command.type(data, end=True)
        listen.type(data[::-1], end=True)
        assert command.ended() == listen.ended() == 0
        assert (listen.output, command.output) == (data, data[::-1])
        one, two = listen.reports[0], command.reports[0]
        assert one["session_id"] == two["session_id"] and one["end"] == two["end"] == "fin"
        assert (one["role"], two["role"]) == ("B", "A")
        assert one["peer"].startswith(wire.a.ip4) or wire.a.ip4 in one["peer"]


def test_sink_once(wire: Wire) -> None:
    port = next(_ports)
    with Listen(wire.b, port, "--sink", "--once") as listen, connect(wire, port) as command:
        command.type(MARKER, end=True)
        assert command.ended() == listen.ended() == 0
        assert command.output == listen.output == b""
        assert listen.reports[0]["bytes_in"] == len(MARKER)


def test_aeads(wire: Wire) -> None:
    """RFC 8548 section 3.3: the listener's order of preference decides."""
    port = next(_ports)
    with Listen(wire.b, port, "--echo", "--aead", "chacha20-poly1305,aes-128-gcm") as listen:
        for words, chosen in (
            ([], "CHACHA20_POLY1305"),
            (["--aead", "aes-128-gcm,aes-256-gcm"], "AES_128_GCM"),
        ):
            with connect(wire, port, *words) as command:
                command.type(MARKER, end=True)
                assert command.ended() == 0 and command.reports[0]["aead"] == chosen
        with connect(wire, port, "--aead", "aes-256-gcm") as command:
            command.type(MARKER, end=True)
            assert command.ended() == 1 and command.reports[0]["end"] != "fin"
        assert "none of" in listen.reports[-1]["error"]


def test_teps(wire: Wire) -> None:
    """RFC 8547 section 4.5: the listener's order of preference decides here too."""
    port = next(_ports)
    with Listen(wire.b, port, "--echo", "--tep", "p521,curve448") as listen:
        for count, (teps, chosen) in enumerate(
            (
                ("p521,curve448", "0x22"),
                ("curve448,p521,p256", "0x22"),
                ("curve25519,curve448", "0x24"),
                ("0x24", "0x24"),
            ),
            1,
        ):
            with connect(wire, port, "--tep", teps) as command:
                command.type(MARKER, end=True)
                assert command.ended() == 0 and command.output == MARKER
                listen.wait(lambda count=count: len(listen.reports) == count, "report")
                for field in "tep", "session_id":
                    assert command.reports[0][field] == listen.reports[-1][field]
                assert command.reports[0]["tep"] == chosen
        with connect(wire, port, "--tep", "p256,curve25519") as command:
            command.type(MARKER, end=True)
            assert command.ended() == 0
            assert command.reports[0]["reason"] == "syn-ack-without-eno"


def test_two_families(field: Field, echo: Listen) -> None:
    """One listener without an address serves IPv6 and IPv4."""
    for family in "46":
        peer = field.opener(echo.port, family).handshake()
        peer.finish()
        name, port = echo.report(peer.conn.local[1])["peer"], peer.conn.local[1]
        assert name == (f"[{peer.source}]:{port}" if family == "6" else f"{peer.source}:{port}")


def test_refused_and_unreachable(wire: Wire) -> None:
    with connect(wire, next(_ports)) as command:
        assert command.ended() == 1
        assert "refused" in " ".join(command.complaints)


def test_connect_ends_with_its_peer(wire: Wire) -> None:
    """The peer resets: the command ends though its standard input is still open."""
    with plain_listener(wire) as listener:
        port = listener.getsockname()[1]
        with connect(wire, port) as command:
            conn, _ = listener.accept()
            conn.sendall(b"!")
            assert command.received(1) == b"!"
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            conn.close()
            assert command.ended() == 1 and command.complaints == []
            assert command.reports[0]["end"] == "reset"


def test_out_of_descriptors(wire: Wire) -> None:
    """More connections than descriptors: the listener waits, serves those it can, and lives."""
    port, files = next(_ports), 32
    limit = ["prlimit", f"--nofile={files}"]
    with Listen(wire.b, port, "--echo", before=limit) as listen, ExitStack() as stack:
        crowd = [stack.enter_context(wire.a.socket()) for _ in range(2 * files)]
        for sock in crowd:
            sock.connect((wire.b.ip4, port))
        crowd[0].sendall(b"first")
        assert crowd[0].recv(5) == b"first"
        listen.wait(lambda: descriptors(listen.process.pid) >= files - 3)
        time.sleep(0.1)
        for sock in crowd[:-1]:
            sock.close()
        crowd[-1].sendall(b"last")
        assert crowd[-1].recv(4) == b"last"
        assert listen.process.poll() is None
        assert listen.complaints == []


def descriptors(process: int | str = "self") -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def talk(wire: Wire, port: int) -> None:
    address = wire.b.ip4, port
    with wire.a.inside(lambda: pyeno.create_connection(address, 8)) as sock:
        assert sock.eno.encrypted
        sock.sendall(MARKER)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100, socket.MSG_WAITALL) == MARKER and sock.recv(1) == b""


def test_many_connections(wire: Wire, attached: Attached) -> None:
    """200 in a row and 50 at a time leave neither descriptors nor map entries behind."""
    port = next(_ports)
    maps = [Path(attached.pin) / "maps" / name for name in ("eno_requests", "eno_flows")]
    with Listen(wire.b, port, "--echo") as listen:
        talk(wire, port)
        before = [entries(path) for path in maps]
        ours = descriptors()
        for _ in range(200):
            talk(wire, port)
        with ThreadPoolExecutor(50) as pool:
            for done in [pool.submit(talk, wire, port) for _ in range(50)]:
                done.result()
        listen.wait(lambda: len(listen.reports) == 251)
        assert all(r["end"] == "fin" and r["encrypted"] for r in listen.reports)
        assert len({r["session_id"] for r in listen.reports}) == 251
        assert [entries(path) for path in maps] == before
        assert descriptors() == ours and descriptors(listen.process.pid) <= 8
