"""What else such software does: much data, half-closed connections, benchmarks, ssh."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from legacy import software
from legacy.hosts import Done, Running, Side
from legacy.software import BODY, MARK, Server
from wire.netns import Wire

ENO, REQUIRE, PLAIN = Side(eno=True), Side(eno=True, require=True), Side()
GIB = 1 << 30
families = pytest.mark.parametrize("family", ["IPv4", "IPv6"])
both_or_plain = pytest.mark.parametrize("side", [REQUIRE, PLAIN], ids=["encrypted", "plain"])


def all_encrypted(records: list[dict[str, Any]]) -> bool:
    return all(record["encrypted"] and record["end"] == "fin" for record in records)


@families
@pytest.mark.parametrize("far", [REQUIRE, PLAIN], ids=["both", "near-only"])
def test_a_gibibyte(
    serve: Any, ask: Callable[..., Done], tmp_path: Path, address: str, far: Side
) -> None:
    server = software.nginx(tmp_path)
    digest = hashlib.sha256()
    block = os.urandom(1 << 24)
    with (tmp_path / "body").open("wb") as file:
        for number in range(GIB // len(block)):
            part = number.to_bytes(8, "big") + block[8:]
            digest.update(part)
            file.write(part)
    url = f"http://{software.quoted(address)}:{software.WEB}/body"
    with serve(server, far):
        command = f"set -e; curl -sS '{url}' >{tmp_path}/got; sha256sum <{tmp_path}/got"
        done = ask(ENO, ["sh", "-c", command]).well()
    (tmp_path / "got").unlink()
    (tmp_path / "body").unlink()
    assert done.output.split()[0].decode() == digest.hexdigest()
    (record,) = done.records
    assert record["bytes_in"] > GIB and record["encrypted"] == far.eno


# answers when it has read all there is
LATE = f"""
import socket, sys
with socket.create_server(("", {software.PIPE}), family=socket.AF_INET6,
                          dualstack_ipv6=True) as listener:
    sock, _ = listener.accept()
    asked = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    sock.sendall(b"%d bytes; " % len(asked) + asked)
    sock.close()
"""


@families
@both_or_plain
def test_netcat_closes_one_half(
    wire: Wire, serve: Any, ask: Callable[..., Done], address: str, side: Side
) -> None:
    """One direction has ended, and then the answer is made."""
    server = Server(software.PIPE, [sys.executable, "-c", LATE])
    with serve(server, side) as far, wire.capture() as capture:
        done = ask(side, ["nc.openbsd", "-N", address, software.PIPE], BODY).well()
        if side.eno:
            assert all_encrypted(done.records + far.records())
    assert done.output == b"%d bytes; " % len(BODY) + BODY
    assert any(MARK in segment.payload for segment in capture.segments) != side.eno


@families
@both_or_plain
@pytest.mark.parametrize("options", [(), ("-R",), ("-P", "4")], ids=["out", "in", "parallel"])
def test_iperf3(
    serve: Any, ask: Callable[..., Done], tmp_path: Path, address: str, side: Side,
    options: tuple[str, ...],
) -> None:  # fmt: skip
    with serve(software.iperf3(tmp_path), side):
        done = ask(side, software.iperf3_client(*options)(address)).well()
    received = json.loads(done.output)["end"]["sum_received"]["bytes"]
    assert received >= 25 << 20  # it counts until it has sent all
    assert all(record["encrypted"] for record in done.records)


@families
@both_or_plain
def test_redis_benchmark(
    serve: Any, ask: Callable[..., Done], tmp_path: Path, address: str, side: Side
) -> None:
    words = ["redis-benchmark", "-h", address, "-p", software.CACHE, "-t", "set,get,lrange_100"]
    with serve(software.redis(tmp_path), side):
        done = ask(side, [*words, "-n", 5000, "-c", 20, "-d", 2000, "--csv"]).well()
    assert done.output.count(b"\n") >= 4 and b"Error" not in done.output
    assert all(record["encrypted"] for record in done.records)


@families
@both_or_plain
def test_pgbench(
    serve: Any, ask: Callable[..., Done], tmp_path: Path, address: str, side: Side
) -> None:
    words = [software.postgres_program("pgbench"), "-h", address, "-U", software.USER]
    with serve(software.postgres(tmp_path), side):
        ask(side, [*words, "-q", "-i", "postgres"]).well()
        done = ask(side, [*words, "-c", 4, "-t", 100, "postgres"]).well()
    assert b"transactions actually processed: 400/400" in done.output
    assert done.records == [] or all_encrypted(done.records)


@families
@pytest.mark.parametrize(("tep", "shown"), [("curve25519", "0x23"), ("tls", "0x30")])
def test_ss(wire: Wire, serve: Any, tmp_path: Path, address: str, tep: str, shown: str) -> None:
    """Of a connection that is open it tells both relays, and the programs that they serve."""
    side = REQUIRE._replace(options=("--tep", tep))
    words = ["redis-cli", "-h", address, "-p", software.CACHE, "subscribe", "mark"]
    with (
        serve(software.redis(tmp_path), side) as server,
        Running(side, wire.a, words, tmp_path) as client,
    ):
        assert client.process.stdout is not None
        assert client.process.stdout.readline() == b"subscribe\n"
        ids = set()
        for host, role, running, program in (
            (wire.a, "A", client, "redis-cli"), (wire.b, "B", server, "redis-server"),
        ):  # fmt: skip
            ss = PLAIN.words(host, [sys.executable, "-m", "pyeno", "ss", "--json"])
            told = subprocess.run(ss, check=True, capture_output=True, cwd="/").stdout
            (one,) = json.loads(told)["connections"]
            assert (one["tep"], one["role"], one["encrypted"]) == (shown, role, True)
            assert one["serves"] == [{"pid": running.process.pid, "program": program}]
            ids.add(one["session_id"])
    assert len(ids) == 1 and None not in ids


# -- ssh encrypts by itself ------------------------------------------------------------

SSHD = """
HostKey {home}/host
AuthorizedKeysFile {home}/user.pub
PidFile {home}/pid
StrictModes no
UsePAM no
PermitRootLogin yes
"""
RUN_SSHD = Path("/run/sshd")
"""where sshd insists to be"""


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Server]:
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True
        )
    (tmp_path / "sshd_config").write_text(SSHD.format(home=tmp_path))
    made = not RUN_SSHD.exists()
    RUN_SSHD.mkdir(mode=0o755, exist_ok=True)
    yield Server(software.SHELL, ["/usr/sbin/sshd", "-D", "-e", "-f", tmp_path / "sshd_config"])
    if made:
        RUN_SSHD.rmdir()


@families
def test_ssh_is_left_alone(
    wire: Wire, serve: Any, ask: Callable[..., Done], tmp_path: Path, sshd: Server, address: str
) -> None:
    """Even where encryption is required: its own is better."""
    words = ["ssh", "-F", "none", "-i", tmp_path / "user", "-o", "BatchMode=yes"]
    words += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    with serve(sshd, REQUIRE) as server, wire.capture() as capture:
        with Running(
            REQUIRE, wire.a, [*words, f"root@{address}", "echo $SSH_CONNECTION"], tmp_path
        ) as ssh:
            done = ssh.done(relayed=False).well()
        assert server.records(lambda _: True) == []
    near = wire.a.ip6 if ":" in address else wire.a.ip4
    assert done.output.split()[0].decode() == near
    assert not any(segment.eno for segment in capture.segments)
