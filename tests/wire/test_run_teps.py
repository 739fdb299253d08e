"""`pyeno run` and `pyeno relay` where another TEP than tcpcrypt was negotiated."""

import contextlib
import hashlib
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from wire.netns import Wire
from wire.plugin import having, pip_install
from wire.programs import listening
from wire.relayed import (
    MARKER,
    Run,
    Served,
    cgroups_left,
    fetch,
    kill,
    until,
)
from wire.relays import CLIENT, Side
from wire.test_relay_service import shown
from wire.test_run_ends import RECEIVE, SEND

import pyeno
from pyeno import Config
from pyeno.relay.attachment import sweep

pytestmark = pytest.mark.wire
PORT = 7330
SIZE = 6 << 20

PULL = """
import hashlib, json, socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 8)
seen, size, digest = {"end": "fin"}, 0, hashlib.sha256()
try:
    sock.sendall(b"go")
    sock.shutdown(socket.SHUT_WR)
    while data := sock.recv(1 << 16):
        size += len(data)
        digest.update(data)
except OSError as error:
    seen["end"] = type(error).__name__
print(json.dumps(seen | {"size": size, "digest": digest.hexdigest()}), flush=True)
"""
"""Asks, ends its own stream, and reads on to whatever end there is."""

PUSH = f"""
import json, random, socket, struct, sys
listener = socket.create_server(
    (sys.argv[1], int(sys.argv[2])),
    family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET,
)
sock, peer = listener.accept()
asked = b""
while part := sock.recv(100):
    asked += part
sock.sendall(random.Random(1).randbytes({SIZE}))
print(json.dumps({{"asked": asked.decode()}}), flush=True)
if sys.argv[3] == "reset":
    sys.stdin.read(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
sock.close()
"""
"""Answers when the other direction has ended; resets afterwards, if it is told so."""


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    until(lambda: sweep() or not cgroups_left(), "cgroups of runs are left")


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    where = tmp_path_factory.mktemp("site")
    pip_install(where, tmp_path_factory.mktemp("build"))
    with having(where):
        yield


@pytest.fixture(params=["ip4", "ip6"])
def host(request: pytest.FixtureRequest, wire: Wire) -> str:
    """b's address."""
    address: str = getattr(wire.b, request.param)
    return address


teps = pytest.mark.parametrize("name", ["tls", "example"])
# (what host A's relay offers, what host B's accepts, most preferred first; what comes of it)
SETS = [
    ("tls", "curve25519,tls", "tls"),
    ("tls,curve25519", "curve25519", "curve25519"),
    ("curve25519,tls", "tls,curve25519", "tls"),
    ("example,tls", "tls,0x20", "tls"),
    ("tls", "curve25519", None),
]
FORGED = {"tls": b"\x17\x03\x03\0\x20" + bytes(32), "example": b"\0\x40" + bytes(64)}
"""a record, or frame, that does not authenticate"""
REASONS = {"outbound": "syn-ack-without-eno", "inbound": "no-valid-tep"}


# -- both ends -------------------------------------------------------------------------


@pytest.mark.usefixtures("plugged")
@teps
def test_both_ends(wire: Wire, host: str, name: str) -> None:
    options = "--require", "--tep", name
    with wire.capture() as seen, Served(wire.b, host, PORT, *options) as server:
        client = fetch(wire.a, (host, PORT), *options)
        assert client.said[0]["answer"] == MARKER.swapcase()
        assert server.says(2)[1] == {"end": "fin"}
        (out,), into = client.reports, server.next_report()
    for report in out, into:
        assert report["encrypted"] and report["tep_name"] == name and report["end"] == "fin"
        assert report["bytes_out"] == report["bytes_in"] == len(MARKER)
    assert out["session_id"] == into["session_id"]
    assert (out["role"], into["role"]) == ("A", "B")
    payload = b"".join(segment.payload for segment in seen.segments)
    assert MARKER.encode() not in payload and MARKER.swapcase().encode() not in payload


@pytest.mark.usefixtures("plugged")
@pytest.mark.parametrize(("offered", "accepted", "chosen"), SETS)
def test_different_sets(wire: Wire, offered: str, accepted: str, chosen: str | None) -> None:
    """Programs meet whatever their relays have in common, encrypted or not."""
    with Served(wire.b, wire.b.ip4, PORT, "--tep", accepted) as server:
        client = fetch(wire.a, (wire.b.ip4, PORT), "--tep", offered)
        assert client.said[0]["answer"] == MARKER.swapcase()
        for report in client.reports[0], server.next_report():
            assert report["tep_name"] == chosen and report["end"] == "fin"
            if chosen is None:
                assert report["reason"] == REASONS[report["direction"]]


@pytest.mark.parametrize("which", ["offered", "accepted"])
def test_required_and_nothing_in_common(wire: Wire, which: str) -> None:
    options = {"offered": ["--tep", "tls"], "accepted": ["--tep", "curve25519"]}
    options[which].append("--require")
    with Served(wire.b, wire.b.ip4, PORT, *options["accepted"]) as server:
        client = fetch(wire.a, (wire.b.ip4, PORT), *options["offered"])
        if which == "offered":
            assert client.said[0]["error"] == "ConnectionRefusedError"
        else:  # the program never hears of it
            assert client.said[0]["error"] == "ConnectionResetError" and not server.said


# -- data and ends -----------------------------------------------------------------------


@pytest.mark.usefixtures("plugged")
@teps
def test_megabytes_after_a_half_close(wire: Wire, host: str, name: str) -> None:
    data = random.Random(1).randbytes(SIZE)
    options = ["--json", "--tep", name]
    with Run(wire.b, host, PORT, "fin", options=options, script=PUSH) as server:
        until(lambda: PORT in listening(wire.b), server)
        with Run(wire.a, host, PORT, options=options, script=PULL) as client:
            assert client.ended() == 0
        assert server.says() == [{"asked": "go"}]
        digest = hashlib.sha256(data).hexdigest()
        assert client.said == [{"end": "fin", "size": SIZE, "digest": digest}]
        assert client.reports[0]["end"] == server.next_report()["end"] == "fin"
        assert client.reports[0]["bytes_in"] == SIZE


@pytest.mark.usefixtures("plugged")
@teps
def test_resets_pass_through(wire: Wire, name: str) -> None:
    """One program's reset is the other's, behind what was sent before it."""
    options = ["--json", "--tep", name]
    with Run(wire.b, wire.b.ip4, PORT, "reset", options=options, script=PUSH) as server:
        until(lambda: PORT in listening(wire.b), server)
        with Run(wire.a, wire.b.ip4, PORT, options=options, script=PULL) as client:
            server.says()
            client.wait(lambda: True)
            server.type(b"\n", end=True)
            assert client.ended() == 0
        assert client.said[0]["end"] == "ConnectionResetError"
        assert client.reports[0]["end"] == "reset"
        assert server.next_report()["end"] == "near-reset"


@pytest.mark.usefixtures("plugged")
@teps
@pytest.mark.parametrize("how", ["truncated", "auth-failed"])
def test_a_stream_that_was_cut_short_or_altered(wire: Wire, name: str, how: str) -> None:
    """The program gets what was authenticated, and then a reset; never a clean end."""
    config = Config(teps=name)
    listener = wire.b.inside(lambda: pyeno.create_server((wire.b.ip4, PORT), config=config))
    options = ["--json", "--tep", name]
    with listener, Run(wire.a, wire.b.ip4, PORT, options=options, script=PULL) as client:
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(8)
            peer.sendall(bytes(1 << 20))
            with socket.socket(fileno=os.dup(peer.fileno())) as raw:
                if how == "auth-failed":
                    raw.sendall(FORGED[name])
                raw.shutdown(socket.SHUT_WR)
            assert client.ended() == 0
    (seen,) = client.said
    assert (seen["end"], seen["size"]) == ("ConnectionResetError", 1 << 20)
    assert client.reports[0]["end"] == how
    assert client.reports[0]["bytes_in"] == 1 << 20


ACCEPT = RECEIVE.replace("seen =", "print('{}', flush=True)\nseen =", 1)


@pytest.mark.parametrize("which", ["sender's", "receiver's"])
def test_a_relay_killed_in_the_middle(wire: Wire, which: str) -> None:
    options = ["--json", "--tep", "tls"]
    with Run(wire.b, wire.b.ip4, PORT, options=options, script=ACCEPT) as receiver:
        until(lambda: PORT in listening(wire.b), receiver)
        with Run(wire.a, wire.b.ip4, PORT, options=options, script=SEND) as sender:
            sender.says()
            receiver.says()
            kill((sender if which == "sender's" else receiver).relay())
            assert sender.says(2)[1]["error"] in ("ConnectionResetError", "BrokenPipeError")
            assert receiver.says(2)[1]["end"] == "ConnectionResetError"


# -- the service, and its list of connections ----------------------------------------------


def test_service(wire: Wire, tmp_path: Path) -> None:
    """`[encryption] teps = ["tls"]`: programs on both sides, half-close included."""
    with contextlib.ExitStack() as stack:
        services = []
        sides = []
        for namespace in (wire.a, wire.b):
            side = stack.enter_context(Side(namespace, tmp_path))
            relay = side.relay(encryption={"teps": ["tls"], "require": True})
            services.append(stack.enter_context(relay))
            sides.append(side)
        server = sides[1].server(wire.b.ip4, PORT)
        client = sides[0].program(CLIENT, wire.b.ip4, PORT)
        programs = {"A": client, "B": server}
        client.line()
        assert client.say("plain words") == "PLAIN WORDS"
        for side, service, role in zip(sides, services, "AB", strict=True):
            (one,) = shown(side, PORT)
            assert (one["tep"], one["role"]) == ("0x30", role)
            assert one["processes"][0]["pid"] == service.process.pid
            assert [who["pid"] for who in one["serves"]] == [programs[role].process.pid]
        status, _, complaints = client.finish()
        assert status == 0, complaints
        out, into = (service.event("connection") for service in services)
        for event in out, into:
            assert (event["tep"], event["end"]) == ("0x30", "fin")
        (counted,) = services[0].status()["counters"]["connections"]
        assert (counted["tep"], counted["count"]) == ("0x30", 1)
