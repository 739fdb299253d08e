"""tests/vectors/check.py: pyeno passes on both backends, and it finds what is wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parents[1] / "vectors"
CHECK = VECTORS / "check.py"
HEAD = "".join(f"{word:>13}" for word in ("", "same", "differ", "unsupported", "not given"))[1:]
PYENO = [sys.executable, str(VECTORS / "pyeno_adapter.py")]


def checked(*arguments: str, backend: str = "native") -> "subprocess.CompletedProcess[str]":
    """By itself it needs nothing but the standard library."""
    return subprocess.run(
        [sys.executable, str(CHECK), *arguments], capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYENO_BACKEND": backend},
    )  # fmt: skip


def table(out: str) -> dict[str, list[int]]:
    """By operation: same, differ, unsupported, values not given."""
    lines = out.splitlines()
    rows = [line.split() for line in lines[lines.index(HEAD) + 1 :]]
    return {row[0]: list(map(int, row[1:])) for row in rows}


@pytest.mark.parametrize("backend", ["native", "pure"])
def test_pyeno(backend: str) -> None:
    done = checked(*PYENO, backend=backend)
    assert done.returncode == 0, done.stdout + done.stderr
    told = table(done.stdout)
    for op in (
        "parse",
        "parse-syn",
        "negotiate",
        "encode-init",
        "schedule",
        "resume",
        "key-log",
        "open",
    ):
        assert told[op][0] and told[op][1:3] == [0, 0], op
    for op in "exchange", "public-key", "take-init", "dialogue":
        assert told[op][0] and told[op][1:] == [0, 0, 0], op
    # urgent indices beyond their frame
    assert told["seal"][0] > 400 and told["seal"][2] == 24


def test_list() -> None:
    listed = checked("--list").stdout.splitlines()
    assert len(listed) > 1000 and len(set(listed)) == len(listed)
    only = checked("--list", "--op", "dialogue").stdout.splitlines()
    assert only == [line for line in listed if line.startswith("dialogue ")]


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "public-key": lambda a: a.update(public=a["public"] + "00"),
    "schedule": lambda a: a["k_ba"].__setitem__(2, a["k_ba"][1]),
    "resume": lambda a: a.update(session_id="a3" + "00" * 32),
    "seal": lambda a: a.update(frame=a["frame"] + "00"),
    "open": lambda a: a.update(ok=not a["ok"]),
    "take-init": lambda a: a.update(ok=None),
    "dialogue": lambda a: a["steps"][1].update(sends=""),
    "key-log": lambda a: a.pop("line"),
}


@pytest.mark.parametrize("op", WRONG)
def test_what_is_wrong_is_found(op: str, tmp_path: Path) -> None:
    """An implementation that gets one kind of answer wrong."""
    script = tmp_path / "wrong.py"
    script.write_text(
        f"import json, sys\nsys.path.insert(0, {str(VECTORS)!r})\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from pyeno_adapter import OPERATIONS, Unsupported\n"
        "from unit.test_check_vectors import WRONG\n"
        "for line in sys.stdin:\n"
        "    question = json.loads(line)\n"
        "    try:\n"
        "        answer = OPERATIONS[question['op']](question)\n"
        "        WRONG[question['op']](answer)\n"
        "    except Unsupported:\n"
        "        answer = {'unsupported': 'it'}\n"
        "    print(json.dumps(answer | {'id': question['id']}), flush=True)\n"
    )
    done = checked("--op", op, sys.executable, str(script), str(VECTORS.parent))
    assert done.returncode == 1, done.stderr
    same, differ, *_ = table(done.stdout)[op]
    assert differ and (op == "dialogue" or not same)
    assert done.stdout.startswith(f"DIFFERS  {op}  ")


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["true"], "the command ended"),
        (["cat"], "nothing was answered"),
        (["sh", "-c", "while read line; do echo nonsense; done"], "check.py: "),
        (["sh", "-c", "while read line; do echo []; done"], "no answer to"),
        (["/nowhere"], "No such file"),
    ],
)
def test_a_command_that_fails(command: list[str], complaint: str) -> None:
    done = checked("--op", "parse", *command)
    assert done.returncode == 1
    assert complaint in done.stdout + done.stderr and "Traceback" not in done.stderr


def test_usage() -> None:
    assert checked().returncode == checked("--op", "nothing", "cat").returncode == 2


def test_nothing_supported_is_no_success() -> None:
    command = "import json, sys\nfor q in sys.stdin: print(json.dumps({'id': "
    command += "json.loads(q)['id'], 'unsupported': 'all'}), flush=True)"
    assert checked("--op", "parse", sys.executable, "-c", command).returncode == 1


def test_every_file_is_read() -> None:
    listed = checked("--list").stdout
    for path in VECTORS.glob("*.json"):
        assert path.name == "sample.json" or f" {path.name}: " in listed
        assert json.loads(path.read_text())
