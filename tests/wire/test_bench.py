"""`pyeno bench` as a user runs it: every transport, every figure, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from wire.conftest import Attached

from pyeno import mounts
from pyeno.bench.kinds import kinds

pytestmark = pytest.mark.wire

COMMAND = [sys.executable, "-P", "-m", "pyeno", "bench"]
# as from a terminal, and out of the cgroup that other tests attach to
OUTSIDE = ["env", "--default-signal", "sh", "-c",
           'echo 0 >"$1/cgroup.procs" && shift && exec "$@"', "sh"]  # fmt: skip
FEW = ("--quick", "--rounds", "1", "--scenario")


def leftovers(pid: int) -> list[str]:
    """Namespaces, cgroups and pins of the benchmark with this pid, and its children."""
    stem = f"pyeno-bench-{pid}"
    places = [Path("/run/netns"), Path("/sys/fs/bpf")]
    found = [str(path) for place in places for path in place.glob(f"{stem}*")]
    found += [str(path) for path in mounts.cgroup_root().rglob(f"{stem}*")]
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if path.read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def start(*words: str, inside: bool = False) -> "subprocess.Popen[str]":
    prefix = [] if inside else [*OUTSIDE, str(mounts.cgroup_root())]
    return subprocess.Popen(
        [*prefix, *COMMAND, *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def measured(*words: str, inside: bool = False) -> dict[str, Any]:
    """The document of a run that must succeed."""
    process = start(*FEW, *words, "--json", inside=inside)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err == "" and leftovers(process.pid) == []
    document: dict[str, Any] = json.loads(out)
    return document


def names(*families: str) -> set[str]:
    return {kind.name for kind in kinds() if kind.family in families}


def test_an_attachment_of_its_own(cgroup: Path) -> None:
    """ENO is attached for this run, and every transport has its figures."""
    document = measured("fresh,resumed,pipelined,crowd,idle")
    assert document["settings"]["own_attachment"] is True
    everything = names("sockets", "asyncio", "uvloop")
    for part, block in document["scenarios"].items():
        wanted = everything
        if part == "resumed":
            wanted = names("sockets")
        elif part.startswith("crowd"):
            wanted = names("asyncio", "uvloop")
        assert set(block["transports"]) == wanted, part
        for row in block["transports"].values():
            assert len(row["rounds"]) == row["summary"][block["figure"]]["rounds"] == 1
    reached = {y["scenario"]: y for y in document["yardsticks"] if y["measured"] is not None}
    assert {"fresh", "resumed", "pipelined", "crowd", "idle"} <= set(reached)


def test_the_attachment_there_is(attached: Attached) -> None:
    document = measured("ping-pong-1cpu", inside=True)
    assert document["settings"]["own_attachment"] is False
    (block,) = document["scenarios"].values()
    assert set(block["transports"]) == names("sockets", "asyncio", "uvloop")


def test_between_namespaces(cgroup: Path) -> None:
    document = measured("fresh", "--veth")
    assert document["settings"]["place"] == "veth"
    (block,) = document["scenarios"].values()
    assert set(block["transports"]) == names("sockets", "asyncio", "uvloop")


def test_as_a_table(cgroup: Path, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    process = start(*FEW, "bulk-256k,stages", "--output", str(path))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err == ""  # no progress bar where nobody looks
    for name in names("sockets", "asyncio", "uvloop"):
        assert f"\n  {name} " in out
    assert "bulk, 256 KiB writes" in out and "frame: seal and open 64 bytes" in out
    document = json.loads(path.read_text())
    assert {"native", "pure"} <= set(document["stages"]["option: parse"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.0, 0.7])
def test_interrupted(cgroup: Path, number: int, delay: float) -> None:
    """Namespaces, cgroup, pin and both ends go."""
    process = start("--veth", "--scenario", "bulk-1m,crowd")
    deadline = time.monotonic() + 20
    while not leftovers(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, ""), err
    assert leftovers(process.pid) == []


def test_a_killed_one_leaves_no_ends(cgroup: Path) -> None:
    """Not even time to clean up: its processes end with it, and the next run works."""
    process = start("--scenario", "bulk-1m")
    deadline = time.monotonic() + 20
    ends: set[str] = set()
    while not ends and time.monotonic() < deadline:
        ends = {word for word in leftovers(process.pid) if word.isdigit()}
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 5
    while any(Path("/proc", pid).exists() for pid in ends) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ends and not any(Path("/proc", pid).exists() for pid in ends)
    _remove_what_a_killed_one_left(process.pid)


def _remove_what_a_killed_one_left(pid: int) -> None:
    from pyeno.demo.hosts import detach, remove_cgroup

    detach(Path(f"/sys/fs/bpf/pyeno-bench-{pid}"))
    for path in mounts.cgroup_root().rglob(f"pyeno-bench-{pid}"):
        remove_cgroup(path)
    assert leftovers(pid) == []


def test_without_privilege(cgroup: Path) -> None:
    """One line says what mends it."""
    process = subprocess.run(
        [*OUTSIDE, str(mounts.cgroup_root()), "setpriv", "--reuid=65534", "--regid=65534",
         "--clear-groups", *COMMAND, "--quick"],
        capture_output=True, text=True, timeout=30, cwd="/",
    )  # fmt: skip
    assert process.returncode == 1 and process.stdout == ""
    assert len(process.stderr.splitlines()) == 1
    assert "pyeno attach'" in process.stderr and os.geteuid() == 0
