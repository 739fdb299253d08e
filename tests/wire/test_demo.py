"""`pyeno demo` as a user runs it: what it shows, and that nothing stays behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyeno import mounts

pytestmark = pytest.mark.wire

COMMAND = [sys.executable, "-P", "-m", "pyeno", "demo"]
# as from a terminal: a shell without job control starts its background jobs, the
# test run perhaps, with SIGINT ignored, and that is inherited
UNIGNORED = ["env", "--default-signal"]
# out of the cgroup that other tests attach to: the demo makes its own
OUTSIDE = ["sh", "-c", 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"', "sh"]


@pytest.fixture
def scratch(cgroup: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with a TMPDIR of its own; fails if a demo left anything.

    ``cgroup`` also says whether this host can run such tests.
    """
    yield os.environ | {"TMPDIR": str(tmp_path), "COLUMNS": "80"}
    assert list(tmp_path.iterdir()) == []


def leftovers(pid: int) -> list[str]:
    """Namespaces, cgroups, pins and processes of the demo with this pid."""
    stem = f"pyeno-demo-{pid}"
    places = [Path("/run/netns"), Path("/sys/fs/bpf")]
    found = [str(path) for place in places for path in place.glob(f"{stem}*")]
    found += [str(path) for path in mounts.cgroup_root().rglob(f"{stem}*")]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if stem.encode() in words:
            found.append(words.decode())
    return found


def run(*arguments: str, env: dict[str, str], inside: bool = False) -> Any:
    prefix = [] if inside else [*OUTSIDE, str(mounts.cgroup_root())]
    process = subprocess.Popen(
        [*prefix, *COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=env,
    )  # fmt: skip
    out, err = process.communicate(timeout=60)
    assert leftovers(process.pid) == []
    return subprocess.CompletedProcess(COMMAND, process.returncode, out, err)


def test_everything_as_data(scratch: dict[str, str]) -> None:
    done = run("--json", env=scratch)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ok"] and told["seconds"] < 60
    assert [(p["name"], p["ok"]) for p in told["proofs"]] == [
        ("arrived", True),
        ("ciphertext-only", True),
        ("same-session-id", True),
        ("fallback", True),
    ]
    assert [way["bytes"] for way in told["transfers"]] == [64 << 20] * 2
    shown = [(step["from"], step["title"].split(",")[0]) for step in told["ladder"]]
    for step in (("A", "SYN"), ("B", "SYN-ACK"), ("A", "ACK"), ("A", "Init1"), ("B", "Init2")):
        assert step in shown
    options = [field for step in told["ladder"][:3] for field in step["fields"]]
    assert options == [
        {"bytes": "450323", "words": "ENO<tcpcrypt Curve25519>"},
        {"bytes": "45040123", "words": "ENO<b=1, tcpcrypt Curve25519>"},
        {"bytes": "4502", "words": "ENO<> (non-SYN form)"},
    ]
    plain = [field for step in told["plain_ladder"][:3] for field in step["fields"]]
    assert [field["bytes"] for field in plain] == ["450323", "", ""]
    ends = told["ends"]
    assert ends["A"]["session_id"] == ends["B"]["session_id"]
    assert ends["A"]["transcript"] == "45032345040123"
    assert ends["A_to_plain_peer"]["reason"] == "syn-ack-without-eno"


def test_as_text_where_eno_is_attached(
    attached: object, scratch: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    keep = tmp_path_factory.mktemp("kept")
    arguments = ("--size", "1", "--keep", str(keep))
    done = run(*arguments, env=scratch | {"PYTHONIOENCODING": "utf-8"}, inside=True)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "\033[" not in done.stdout and done.stderr == ""
    for shown in ("45 03 23", "45 04 01 23", "INIT1_MAGIC", "clen: ", "all of it holds"):
        assert shown in done.stdout
    assert sorted(path.name for path in keep.iterdir()) == ["eno.pcap", "plain.pcap"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.8])
def test_interrupted(scratch: dict[str, str], number: int, delay: float) -> None:
    prefix = [*UNIGNORED, *OUTSIDE, str(mounts.cgroup_root())]
    process = subprocess.Popen(
        [*prefix, *COMMAND], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=scratch
    )
    deadline = time.monotonic() + 20
    while not leftovers(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert leftovers(process.pid) == []


def test_ignored_signals_stay_ignored(scratch: dict[str, str]) -> None:
    """As under nohup: who closes the terminal does not end what was to outlive it."""
    prefix = ["env", "--ignore-signal=HUP,INT", *OUTSIDE, str(mounts.cgroup_root())]
    process = subprocess.Popen(
        [*prefix, *COMMAND, "--size", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=scratch,
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while not leftovers(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    for number in (signal.SIGHUP, signal.SIGINT):
        process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert leftovers(process.pid) == []


def test_a_tool_that_fails(scratch: dict[str, str], tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "tcpdump").write_text("#!/bin/sh\necho no device for you >&2\nexit 1\n")
    (tools / "tcpdump").chmod(0o755)
    done = run(env=scratch | {"PATH": f"{tools}:{os.environ['PATH']}"})
    assert done.returncode == 1
    assert "tcpdump did not start: no device for you" in done.stderr
    (tools / "tcpdump").unlink()
    tools.rmdir()
