"""The C program of docs/socket-options.md, compiled as written, on the wire."""

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from wire.conftest import Attached

import pyeno

pytestmark = pytest.mark.wire
DOCUMENT = Path(__file__).parents[2] / "docs" / "socket-options.md"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = re.search(r"```c\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert found and compiler
    path = tmp_path_factory.mktemp("c") / "eno"
    path.with_suffix(".c").write_text(found[1])
    strict = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *strict, "-o", path, path.with_suffix(".c")], check=True)
    return path


def said(program: Path, port: int) -> str:
    done = subprocess.run(
        [program, "127.0.0.1", str(port)],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return done.stdout


def test_it_negotiates(attached: Attached, program: Path) -> None:
    with pyeno.create_server(("127.0.0.1", 0)) as listener:
        told = said(program, listener.getsockname()[1])
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.eno.encrypted
            size = len(accepted.eno.transcript)
    assert told == f"encrypted: TEP 0x23, role A, transcript of {size} bytes\n"


def test_it_falls_back(attached: Attached, program: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told = said(program, listener.getsockname()[1])
    reason = pyeno.Reason.SYN_ACK_WITHOUT_ENO
    assert told == f"plain TCP, reason {reason.value}\n"
