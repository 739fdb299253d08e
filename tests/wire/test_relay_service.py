"""`pyeno relay` between two hosts whose programs know nothing of it."""

import itertools
import json
import signal
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from wire.netns import Wire
from wire.programs import Command
from wire.relays import CLIENT, OUR_MOUNTS, Service, Side

from pyeno.relay import control

pytestmark = pytest.mark.wire

_ports = itertools.count(6840)
SECRET = "plaintext-marker-" * 3


@pytest.fixture
def sides(wire: Wire, tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    """a connects, b listens."""
    for name in "a", "b":
        (tmp_path / name).mkdir()
    with Side(wire.a, tmp_path / "a") as a, Side(wire.b, tmp_path / "b") as b:
        yield a, b


def shown(side: Side, *words: object) -> list[dict[str, Any]]:
    with Command(side.namespace, "ss", "--json", *words) as command:
        assert command.ended() == 0, command
        connections: list[dict[str, Any]] = json.loads(command.output)["connections"]
        return connections


@pytest.mark.parametrize("family", ["ip4", "ip6"])
def test_encrypted_without_knowing_it(
    wire: Wire, sides: tuple[Side, Side], family: str
) -> None:
    """No plaintext on the cable; the programs see each other's addresses; the logs, the
    counters and `pyeno ss` of both hosts agree."""
    (a, b), port, address = sides, next(_ports), getattr(wire.b, family)
    with a.relay() as near, b.relay() as far, wire.capture() as seen:
        server = b.server(address, port)
        client = a.program(CLIENT, address, port)
        local, peer = client.line()[1:-1].split(") (")
        assert peer.startswith(f"'{address}', {port}")
        assert client.say(SECRET) == SECRET.upper()
        (one,), (two,) = shown(a, port), shown(b, port)
        assert one["session_id"] == two["session_id"] and one["tep"] == two["tep"] == "0x23"
        assert (one["role"], two["role"]) == ("A", "B")
        for end, relay, program in (one, near, client), (two, far, server):
            assert end["processes"] == [{"pid": relay.process.pid, "program": "python"}] or (
                end["processes"][0]["pid"] == relay.process.pid
            )
            assert [who["pid"] for who in end["serves"]] == [program.process.pid]
        status = near.status()
        assert status["counters"]["open"] == 1 and status["cgroups"] == [str(a.cgroup)]
        assert client.finish() == (0, f"({local})", "")
        for relay, direction in (near, "outbound"), (far, "inbound"):
            line = relay.event("connection")
            assert (line["direction"], line["end"]) == (direction, "fin")
            assert line["encrypted"] and line["tep"] == "0x23"
        assert near.event("connection")["bytes_out"] == len(SECRET) + 1
        assert far.event("connection")["bytes_in"] == len(SECRET) + 1
    sent = b"".join(segment.payload for segment in seen.segments)
    assert sent and SECRET.encode() not in sent and SECRET.upper().encode() not in sent


def test_one_side_only(wire: Wire, sides: tuple[Side, Side]) -> None:
    """Plain, with the reason; with encryption required, refused."""
    (a, b), port = sides, next(_ports)
    b.server(wire.b.ip4, port)
    with a.relay() as relay:
        client = a.program(CLIENT, wire.b.ip4, port)
        assert client.line()
        assert client.say("hello") == "HELLO"
        assert client.finish()[0] == 0
        line = relay.event("connection")
        assert (line["encrypted"], line["reason"]) == (False, "syn-ack-without-eno")
        path = a.config(require={"networks": [f"{wire.b.ip4}/32"]})
        relay.signal(signal.SIGHUP)
        relay.event("reloaded")
        assert path == relay.path
        status, _, error = a.program(CLIENT, wire.b.ip4, port).finish()
        assert status == 1 and "ConnectionRefusedError" in error
        a.config(require={"ports": [port]})
        relay.signal(signal.SIGHUP)
        relay.event("reloaded", 2)
        assert "ConnectionRefusedError" in a.program(CLIENT, wire.b.ip4, port).finish()[2]
        a.config(only={"ports": [port + 1]}, require={"ports": [port]})
        relay.signal(signal.SIGHUP)
        relay.event("reloaded", 3)
        assert a.program(CLIENT, wire.b.ip4, port).finish()[0] == 0  # left alone
        assert relay.status()["counters"]["refused"] == {"syn-ack-without-eno": 2}


def test_reload_under_traffic(wire: Wire, sides: tuple[Side, Side]) -> None:
    """Good, bad, and impossible configurations: no connection notices."""
    (a, b), port = sides, next(_ports)
    b.server(wire.b.ip4, port)
    both = {"teps": ["curve25519", "p256"]}
    with a.relay() as relay, b.relay(encryption=both), ExitStack() as stack:
        clients = [a.program(CLIENT, wire.b.ip4, port) for _ in range(4)]
        for client in clients:
            assert client.line()
        over = threading.Event()
        stack.callback(over.set)
        said: list[bool] = []

        def talk(client: Any) -> None:
            for number in itertools.count():
                said.append(client.say(f"line {number}") == f"LINE {number}")
                if over.is_set():
                    return

        threads = [threading.Thread(target=talk, args=[client]) for client in clients]
        for thread in threads:
            thread.start()
        for count in range(1, 6):
            a.config(encryption={"teps": ["p256"]}, skip={"ports": [count]})
            relay.signal(signal.SIGHUP)
            relay.event("reloaded", count)
        for text, says in (
            ("fail = 'closed'", "fail: 'closed'; a relay that runs has 'open'"),
            (
                "skip.port = [1]",
                f"{relay.path}:3: skip.port: unknown key; did you",
            ),
            ("metrics.address = '127.0.0.1:1'\nfail = 'closed'", "fail: 'closed'; a relay th"),
            ("[", f"{relay.path}:3:"),
        ):
            a.config()
            with relay.path.open("a") as file:
                file.write(text)
            count = len(relay.events("reload-refused")) + 1
            relay.signal(signal.SIGHUP)
            assert relay.event("reload-refused", count)["error"].startswith(says)
        over.set()
        for thread in threads:
            thread.join()
        assert all(said) and len(said) > 20
        fresh = a.program(CLIENT, wire.b.ip4, port)
        assert fresh.line() and fresh.say("x") == "X"
        for client in (*clients, fresh):
            assert client.finish()[0] == 0
        lines = relay.wait(lambda: len(relay.events("connection")) == 5 and relay.reports)
        teps = [line["tep"] for line in lines if line["event"] == "connection"]
        assert sorted(teps) == ["0x21", *["0x23"] * 4]
        assert relay.end() == 0


def test_the_end_drains(wire: Wire, sides: tuple[Side, Side]) -> None:
    """SIGTERM: what is open goes on, new connections go without; then it ends."""
    (a, b), port = sides, next(_ports)
    b.server(wire.b.ip4, port)
    with a.relay() as relay, b.relay(), wire.capture() as seen:
        client = a.program(CLIENT, wire.b.ip4, port)
        assert client.line() and client.say("before") == "BEFORE"
        relay.signal(signal.SIGTERM)
        relay.event("ending")
        relay.wait(lambda: relay.status()["draining"])
        assert client.say("while") == "WHILE"
        direct = a.program(CLIENT, wire.b.ip4, port)
        assert direct.line() and direct.say(SECRET) == SECRET.upper()
        assert client.finish()[0] == 0
        assert relay.ended() == 0, relay
        assert [line["event"] for line in relay.reports][-2:] == ["connection", "ended"]
        assert direct.finish()[0] == 0
    assert SECRET.encode() in b"".join(segment.payload for segment in seen.segments)


def test_the_end_has_a_bound(wire: Wire, sides: tuple[Side, Side]) -> None:
    """What is open after that is reset; nobody takes it for an end of stream."""
    (a, b), port = sides, next(_ports)
    b.server(wire.b.ip4, port)
    with a.relay(limits={"drain_seconds": 0.2}) as relay, b.relay():
        client = a.program(CLIENT, wire.b.ip4, port)
        assert client.line() and client.say("before") == "BEFORE"
        assert relay.end() == 0
        assert relay.event("reset")["connections"] == 1
        client.stdin.write(b"after\n")
        status, _, error = client.finish()
        assert status == 1 and "ConnectionResetError" in error
        again = a.program(CLIENT, wire.b.ip4, port)  # nothing is in the way
        assert again.line() and again.say("x") == "X"
        assert again.finish()[0] == 0


def test_a_second_relay(sides: tuple[Side, Side]) -> None:
    """Of the same cgroup, or of the same name: refused, and the first one works on."""
    a, _ = sides
    with a.relay() as relay:
        for more, says in (
            ((), f"a relay named {relay.path.stem} runs already"),
            (("--name", f"{relay.path.stem}-2"), f"{a.cgroup} is redirected already"),
        ):
            with Service(a.namespace, relay.path, *more) as second:
                assert second.ended() == 1
                assert says in second.complaints[-1], second
        assert relay.status()["pid"] == relay.process.pid
        assert relay.end() == 0
    assert not Path("/run/pyeno", f"{relay.path.stem}.sock").exists()


def test_after_a_kill(wire: Wire, sides: tuple[Side, Side]) -> None:
    """Fail open, no stale socket in the way, and the next relay serves."""
    (a, b), port = sides, next(_ports)
    b.server(wire.b.ip4, port)
    with a.relay() as killed:
        killed.signal(signal.SIGKILL)
        killed.ended()
        client = a.program(CLIENT, wire.b.ip4, port)
        assert client.line() and client.say("x") == "X" and client.finish()[0] == 0
        assert Path("/run/pyeno", f"{killed.path.stem}.sock").exists()
    with a.relay() as relay:
        assert relay.status()["pid"] == relay.process.pid


def test_metrics(wire: Wire, sides: tuple[Side, Side]) -> None:
    """Scraped on loopback, and nowhere else; a port in use is told."""
    (a, b), port, scraped = sides, next(_ports), next(_ports)
    b.server(wire.b.ip4, port)
    address = {"address": f"127.0.0.1:{scraped}"}

    def scrape(host: str) -> str:
        with urllib.request.urlopen(f"http://{host}:{scraped}/metrics", timeout=8) as answer:
            text: str = answer.read().decode()
            return text

    with a.relay(metrics=address) as relay, b.relay():
        client = a.program(CLIENT, wire.b.ip4, port)
        assert client.line() and client.say("12345") == "12345"
        text = wire.a.inside(lambda: scrape("127.0.0.1"))
        kind = 'direction="outbound",reason="",tep="0x23"'
        for line in (
            f"pyeno_relay_connections_total{{{kind}}} 1.0",
            'pyeno_relay_active{state="open"} 1.0',
            'pyeno_relay_bytes_total{way="out"} 6.0',
            'pyeno_relay_bytes_total{way="in"} 6.0',
            "pyeno_relay_handshake_failures_total 0.0",
        ):
            assert line in text.splitlines(), text
        with pytest.raises(OSError, match="refused"):
            wire.b.inside(lambda: scrape(wire.a.ip4))
        path = a.config(metrics=address)
        with Service(wire.a, path, "--name", f"{path.stem}-2") as second:
            assert second.ended() == 1
            says = f"metrics.address: 127.0.0.1:{scraped}: Address already in use"
            assert says in second.complaints[-1]
        assert client.finish()[0] == 0
        relay.event("connection")
        text = wire.a.inside(lambda: scrape("127.0.0.1"))
        assert 'pyeno_relay_ends_total{end="fin"} 1.0' in text.splitlines()
        a.config()
        relay.signal(signal.SIGHUP)
        relay.event("reloaded")
        with pytest.raises(OSError, match="refused"):
            wire.a.inside(lambda: scrape("127.0.0.1"))


def test_one_command_too(wire: Wire, sides: tuple[Side, Side]) -> None:
    """`pyeno run`'s relay is known to `pyeno status` and `pyeno ss` as well."""
    (a, b), port = sides, next(_ports)
    b.server(wire.b.ip4, port)
    words = ["run", "--", sys.executable, "-I", "-c", CLIENT, wire.b.ip4, port]
    with b.relay(), Command(wire.a, *words, before=OUR_MOUNTS) as command:
        command.type(b"hello\n")
        command.wait(lambda: b"HELLO" in command.output, "answer")
        (one,) = shown(a, port)
        (relay,) = [who["pid"] for who in one["processes"]]
        (told,) = [t for t in control.ask("status") if t.name == f"run-{relay}"]
        assert one["tep"] == "0x23" and one["role"] == "A" and told.value["pid"] == relay
        assert [who["pid"] for who in one["serves"]] == [command.process.pid]
        assert told.value["counters"]["encrypted"] == 1
        command.type(b"", end=True)
        assert command.ended() == 0, command


def test_tells_its_manager(sides: tuple[Side, Side]) -> None:
    """sd_notify(3): ready, reloaded, stopping."""
    a, _ = sides
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(a.files / "notify"))
        manager.settimeout(8)
        environment = f"NOTIFY_SOCKET={a.files / 'notify'}"
        with Service(a.namespace, a.config(), before=["env", environment]) as relay:
            heard = manager.recv(999).decode()
            assert heard == f"READY=1\nSTATUS=Serving {a.cgroup}"
            relay.signal(signal.SIGHUP)
            assert manager.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert manager.recv(999).startswith(b"READY=1\n")
            assert relay.end() == 0
            assert manager.recv(999) == b"STOPPING=1"


@pytest.mark.parametrize("lack", ["bpf", "net_admin", "net_raw"])
def test_without_a_capability(sides: tuple[Side, Side], lack: str) -> None:
    """One line, and nothing half-attached: the next one, with all of them, begins."""
    a, _ = sides
    rest = "bpf,net_admin,net_raw".replace(lack, "dac_override").split(",")
    bounded = "-all," + ",".join(f"+{name}" for name in rest)
    before = ["setpriv", f"--bounding-set={bounded}", f"--inh-caps={bounded}"]
    with Service(a.namespace, a.config(), before=before) as relay:
        assert relay.ended() == 1
        (said,) = relay.complaints
        assert said.startswith("pyeno relay: ") and "root" in said, said
    with a.relay() as relay:
        assert relay.end() == 0


def test_a_bad_file(sides: tuple[Side, Side]) -> None:
    a, _ = sides
    path = a.config(skip={"prots": [1]})
    for more in ((), ("--check",)):
        with Service(a.namespace, path, *more) as relay:
            assert relay.ended() == 2
            says = f"pyeno relay: {path}:3: skip.prots: unknown key; did you mean skip.ports?"
            assert relay.complaints == [says]
    a.config()
    with Service(a.namespace, path, "--check") as relay:
        assert relay.ended() == 0 and not relay.reports


def test_fail_closed(wire: Wire, sides: tuple[Side, Side]) -> None:
    """Killed: nothing passes it by, until it runs again, and ends as it should."""
    (a, b), port = sides, next(_ports)
    b.server(wire.b.ip4, port)
    with a.relay(fail="closed") as killed:
        killed.signal(signal.SIGKILL)
        killed.ended()
        status, _, error = a.program(CLIENT, wire.b.ip4, port).finish()
        assert status == 1 and "ConnectionRefusedError" in error
    with a.relay(fail="closed") as relay:
        client = a.program(CLIENT, wire.b.ip4, port)
        assert client.line() and client.say("x") == "X" and client.finish()[0] == 0
        assert relay.event("connection")["end"] == "fin"
        assert relay.end() == 0
    assert a.program(CLIENT, wire.b.ip4, port).finish()[0] == 0
    pin = Path("/sys/fs/bpf", f"pyeno-service-{relay.path.stem}")
    assert not pin.exists()
