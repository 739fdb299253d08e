"""`pyeno run`: unmodified programs, both ways, with ENO at both ends, at one, or stripped."""

import errno
import os
import signal
from collections.abc import Iterator

import pytest
from wire.netns import Namespace, Wire
from wire.programs import listening
from wire.relayed import (
    ECHO,
    FETCH,
    MARKER,
    Plain,
    Run,
    Served,
    cgroups_left,
    fetch,
    plain_fetch,
    until,
)

pytestmark = pytest.mark.wire
PORT = 7300
STRIP = "reset tcp option 69"


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    until(lambda: not cgroups_left(), "cgroups of runs are left")


@pytest.fixture(params=["ip4", "ip6"])
def host(request: pytest.FixtureRequest, wire: Wire) -> str:
    """b's address."""
    address: str = getattr(wire.b, request.param)
    return address


def own(namespace: Namespace, like: str) -> str:
    return namespace.ip6 if ":" in like else namespace.ip4


def assert_served(wire: Wire, server: Run, client: Run, host: str) -> None:
    """Each program saw the other's real address, and all the data."""
    (seen,) = client.said
    assert seen["answer"] == MARKER.swapcase(), seen
    assert seen["peer"] == [host, PORT]
    assert seen["name"][0] == own(wire.a, host)
    accepted = server.says(2)[0]
    assert accepted["accepted"] == accepted["peer"] == seen["name"]
    assert accepted["name"] == [host, PORT]
    assert server.said[1] == {"end": "fin"}


# -- who has ENO -----------------------------------------------------------------------


def test_both_ends(wire: Wire, host: str) -> None:
    with wire.capture() as seen, Served(wire.b, host, PORT) as server:
        client = fetch(wire.a, (host, PORT))
        assert_served(wire, server, client, host)
        (out,), into = client.reports, server.next_report()
    assert out["encrypted"] and into["encrypted"]
    assert out["session_id"] == into["session_id"]
    assert (out["direction"], into["direction"]) == ("outbound", "inbound")
    assert out["end"] == into["end"] == "fin"
    assert out["bytes_out"] == out["bytes_in"] == into["bytes_in"] == len(MARKER)
    assert out["local"] == into["peer"] and out["peer"] == into["local"]
    payload = b"".join(segment.payload for segment in seen.segments)
    assert MARKER.encode() not in payload and MARKER.swapcase().encode() not in payload


def test_resumed(wire: Wire) -> None:
    with Served(wire.b, wire.b.ip4, PORT):
        fetch(wire.a, (wire.b.ip4, PORT))
        (out,) = fetch(wire.a, (wire.b.ip4, PORT)).reports
        assert out["encrypted"] and out["resumed"]


def test_peer_without_eno(wire: Wire, host: str) -> None:
    """Outbound: plain, and the program does not notice."""
    with Plain(wire.b, host, PORT) as server:
        client = fetch(wire.a, (host, PORT), "--stats")
        assert client.said[0]["answer"] == MARKER.swapcase()
        record, sums = client.reports
        assert server.says()[0]["accepted"] == client.said[0]["name"]
    assert not record["encrypted"] and record["reason"] == "syn-ack-without-eno"
    assert sums["reasons"] == {"syn-ack-without-eno": 1} and sums["plain"] == 1


def test_client_without_eno(wire: Wire, host: str) -> None:
    """Inbound: the same."""
    with Served(wire.b, host, PORT) as server:
        seen = plain_fetch(wire.a, (host, PORT))
        assert seen["answer"] == MARKER.swapcase()
        assert server.says(2)[0]["accepted"] == seen["name"]
        record = server.next_report()
    assert not record["encrypted"] and record["reason"] == "syn-without-eno"


def test_stripped_on_the_path(wire: Wire, host: str) -> None:
    with wire.b.rules(f"tcp flags & syn == syn {STRIP}"), Served(wire.b, host, PORT) as server:
        client = fetch(wire.a, (host, PORT))
        assert_served(wire, server, client, host)
        assert client.reports[0]["reason"] == "syn-ack-without-eno"
        assert server.next_report()["reason"] == "syn-without-eno"


# -- --require ---------------------------------------------------------------------------


def test_require_outbound(wire: Wire, host: str) -> None:
    """connect() fails, and standard error says why."""
    with (
        Plain(wire.b, host, PORT),
        Run(wire.a, host, PORT, "x", options=("--require", "--stats"), script=FETCH) as run,
    ):
        run.ended()
    assert run.said == [{"errno": errno.ECONNREFUSED, "error": "ConnectionRefusedError"}]
    told, sums = run.complaints
    assert f"{host}" in told and "syn-ack-without-eno" in told
    assert "1 failed (1 syn-ack-without-eno)" in sums


def test_require_inbound(wire: Wire, host: str) -> None:
    """The peer is reset; the program never hears of it."""
    with Served(wire.b, host, PORT, "--require") as server:
        assert plain_fetch(wire.a, (host, PORT))["error"] == "ConnectionResetError"
        assert server.next_report()["error"].startswith("encryption is required")
        client = fetch(wire.a, (host, PORT), "--require")
        assert_served(wire, server, client, host)


# -- failures keep their errno --------------------------------------------------------------


def test_nobody_listens(wire: Wire, host: str) -> None:
    (seen,) = fetch(wire.a, (host, PORT)).said
    assert seen["errno"] == errno.ECONNREFUSED


def test_no_such_host(wire: Wire) -> None:
    (seen,) = fetch(wire.a, ("10.69.0.77", PORT)).said
    assert seen["errno"] == errno.EHOSTUNREACH


def test_no_route(wire: Wire) -> None:
    (seen,) = fetch(wire.a, ("192.0.2.1", PORT)).said
    assert seen["errno"] == errno.ENETUNREACH


def test_silence_ends_by_the_programs_own_timeout(wire: Wire) -> None:
    with wire.b.rules(f"tcp dport {PORT} drop"):
        (seen,) = fetch(wire.a, (wire.b.ip4, PORT)).said
    assert seen["error"] == "TimeoutError"


def test_the_program_stopped_listening(wire: Wire) -> None:
    """Behind the relay: the peer is refused, as without it."""
    once = ECHO.replace("while True:", "for _ in range(1):")
    once += "\nlistener.close()\nsys.stdin.read()\n"
    with Run(wire.b, wire.b.ip4, PORT, options=["--json"], script=once) as server:
        until(lambda: PORT in listening(wire.b), server)
        assert fetch(wire.a, (wire.b.ip4, PORT)).said[0]["answer"]
        server.says(2)
        (seen,) = fetch(wire.a, (wire.b.ip4, PORT)).said
        assert seen["error"] in ("ConnectionRefusedError", "ConnectionResetError")
        server.type(b"", end=True)
        assert server.ended() == 0


# -- what is left alone ------------------------------------------------------------------


def test_skipped_ports_and_loopback(wire: Wire) -> None:
    with Plain(wire.b, wire.b.ip4, 443), Plain(wire.b, wire.b.ip4, PORT):
        for port, options in (443, ()), (PORT, ("--skip-port", f"1,{PORT}")):
            run = fetch(wire.a, (wire.b.ip4, port), *options)
            assert run.said[0]["answer"] and not run.reports
        assert fetch(wire.a, (wire.b.ip4, 443), "--no-skip-ports").reports
    with Plain(wire.a, "127.0.0.1", PORT):
        run = fetch(wire.a, ("127.0.0.1", PORT))
        assert run.said[0]["answer"] and not run.reports


def test_one_way_only(wire: Wire) -> None:
    with Served(wire.b, wire.b.ip4, PORT, "--outbound-only") as server:
        run = fetch(wire.a, (wire.b.ip4, PORT))
        assert run.reports[0]["reason"] == "syn-ack-without-eno"
        assert not fetch(wire.a, (wire.b.ip4, PORT), "--inbound-only").reports
        assert not server.reports


def test_the_address_that_the_program_chose(wire: Wire) -> None:
    wire.a.run("ip", "addr", "add", "10.69.0.9/24", "dev", "eth")
    try:
        with Served(wire.b, wire.b.ip4, PORT) as server:
            words = wire.b.ip4, PORT, MARKER, "10.69.0.9"
            with Run(wire.a, *words, options=["--json"], script=FETCH) as client:
                client.ended()
            assert client.said[0]["name"][0] == "10.69.0.9"
            assert server.says()[0]["peer"] == client.said[0]["name"]
            assert client.reports[0]["encrypted"]
    finally:
        wire.a.run("ip", "addr", "del", "10.69.0.9/24", "dev", "eth")


# -- the program's process is its own --------------------------------------------------------


@pytest.mark.parametrize("status", [0, 3, 255])
def test_exit_status(wire: Wire, status: int) -> None:
    with Run(wire.a, script=f"raise SystemExit({status})") as run:
        assert run.ended() == status


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1]
)
def test_signals_are_the_programs(wire: Wire, number: signal.Signals) -> None:
    waits = "import signal; print(1, flush=True); signal.pause()"
    with Run(wire.a, script=f"import signal; signal.signal({number:d}, 0); {waits}") as run:
        run.received(2)
        run.process.send_signal(number)
        assert run.ended() == -number


def test_standard_streams(wire: Wire) -> None:
    with Run(wire.a, "cat") as run:
        run.type(b"through and through", end=True)
        assert run.ended() == 0 and bytes(run.output) == b"through and through"
    with Run(wire.a, script="import os, sys; print(os.getppid(), file=sys.stderr)") as run:
        run.ended()
        assert run.complaints == [str(os.getpid())]


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["/no/such"], 127, "pyeno run: /no/such: No such file or directory"),
        (["/"], 126, "pyeno run: /: Permission denied"),
    ],
)
def test_no_such_program(wire: Wire, words: list[str], status: int, says: str) -> None:
    with Run(wire.a, *words) as run:
        assert run.ended() == status and run.complaints == [says]


def test_another_user(wire: Wire) -> None:
    asks = "sh", "-c", "id -u; id -g; id -G; echo $USER"
    with Run(wire.a, *asks, options=["--user", "nobody"]) as run:
        assert run.ended() == 0
    assert bytes(run.output).split() == [b"65534", b"65534", b"65534", b"nobody"]
