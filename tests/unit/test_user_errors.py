"""Mistakes of people who type commands: one line that helps, and the exit status.

A traceback would be a line that begins with spaces, or more lines than asked for.
"""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyeno import attach, doctor, kernel, mounts
from pyeno.cli import COMMANDS, main
from pyeno.errors import KernelError


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit status and the last line on standard error."""
    try:
        status = main(words)
    except SystemExit as left:
        status = int(left.code or 0)
    said = capsys.readouterr().err.splitlines()
    assert not any("Traceback" in line or "Errno" in line for line in said)
    return status, said[-1] if said else ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["status", "--nonsense"], "pyeno status: error: unrecognized arguments: --nonsense"),
        (["listen", "here"], r"'here': write \[ADDR:\]PORT"),
        (["listen", "65536"], "a port of 0 to 65535"),
        (["listen", "--echo", "--sink", "7000"], "not allowed with"),
        (["connect", "7000"], "write HOST:PORT"),
        (["connect", "--timeout", "-1", "localhost:1"], "write seconds, above 0"),
        (["connect", "--timeout", "0", "localhost:1"], "write seconds, above 0"),
        (["connect", "--timeout", "nan", "localhost:1"], "write seconds, above 0"),
        (["connect", "--handshake-timeout", "soon", "localhost:1"], "write seconds, above 0"),
        (["connect", "--keepalive", "soon", "localhost:1"], "write seconds, above 0"),
        (["connect", "--keepalive", "9,", "localhost:1"], "'': write seconds, above 0"),
        (["listen", "--keepalive", "9,0", "7000"], "'0': write seconds, above 0"),
        (["connect", "--resumption-nonce-len", "9", "localhost:1"], "nonce_len: 9; allowed: "),
        (["connect", "--resumption-nonce-len", "x", "localhost:1"], "invalid int value: 'x'"),
        (["connect", "--identity", "id", "localhost:1"], "--known-hosts: missing; --id"),
        (["listen", "--known-hosts", "kh", "7000"], "--identity: missing; --id"),
        (["connect", "--psk-file", "k", "--identity", "i", "localhost:1"], "not allowed with"),
        (["connect", "--trust-on-first-use", "localhost:1"], "--known-hosts: missing; --trust"),
        (["listen", "--psk-file", "/dev/null", "7000"], "/dev/null: others may use this file"),
        (["flush", "--tep", "0x7f"], "pyeno flush: teps: unknown '0x7f'"),
        (["connect", "--tep", "0x7f", "localhost:1"], "teps: unknown '0x7f'; allowed: "),
        (["connect", "--aead", "rot13", "localhost:1"], "aeads: unknown 'rot13'; allowed: "),
        (["ss", "http"], "'http': write a port, 1 to 65535"),
        (["ss", "--json", "65536"], "'65536': write a port, 1 to 65535"),
        (["attach", "--teps", "rot13"], "teps: 'rot13'; allowed: 'all', or .*curve25519"),
        (["attach", "--teps", "0x80"], "numbers from 0x20 to 0x7f"),
        (["attach", "--teps", ""], "to forbid all: --no-connect --no-listen"),
        (["attach", "--syns", "256"], r"syns: '256'; allowed: 0 \(all\) to 255"),
        (["attach", "--skip-port", "22,http"], "skip-port: 'http'; allowed: ports from 1 to"),
        (["attach", "--skip-port", "22", "--skip-port", "65536"], "skip-port: '65536'"),
        (["attach", "--skip-port", "22", "--no-skip-ports"], "not allowed with"),
    ],
)  # fmt: skip
def test_wrong_usage(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    status, said = run(capsys, *words)
    assert status == 2
    assert re.search(says, said), said


@pytest.mark.parametrize("command", COMMANDS)
def test_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert run(capsys, command, "--help") == (0, "")


def test_port_in_use(capsys: pytest.CaptureFixture[str], taken: int) -> None:
    status, said = run(capsys, "listen", "--once", f"127.0.0.1:{taken}")
    assert status == 1
    assert said.startswith(f"pyeno listen: 127.0.0.1:{taken}: Address already in use; choose")


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        status, said = run(capsys, "connect", f"127.0.0.1:{port}")
    assert status == 1
    assert said == (
        f"pyeno connect: 127.0.0.1:{port}: Connection refused; no program listens there"
    )


def test_no_such_address(capsys: pytest.CaptureFixture[str]) -> None:
    status, said = run(capsys, "listen", "192.0.2.77:0")
    assert status == 1
    assert "192.0.2.77:0: Cannot assign requested address; choose an address" in said


def test_unknown_host(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    status, said = run(capsys, "connect", "no.such.host:7000")
    assert status == 1
    assert "no.such.host:7000: Name or service not known; check the name" in said


@pytest.mark.parametrize("start", [["-m", "pyeno"], ["-c", "import pyeno"]])
def test_unknown_backend(start: list[str]) -> None:
    """The command says so in one line; a program gets an exception it can see through."""
    done = subprocess.run(
        [sys.executable, *start], capture_output=True, text=True, check=False,
        env=os.environ | {"PYENO_BACKEND": "nonsense", "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "PYENO_BACKEND='nonsense': set it to 'native', 'pure' or 'auto'" in done.stderr
    assert ("Traceback" in done.stderr) == (start[0] == "-c")


def test_unknown_provider(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYENO_BACKEND", "native")
    monkeypatch.setenv("PYENO_AES128", "rot13")
    monkeypatch.setattr("pyeno._backend.backend", "native")
    status, said = run(capsys, "connect", "localhost:1")
    assert status == 1
    assert "PYENO_AES128='rot13': AES_128_GCM can be had here from" in said
    (check,) = (check for check in doctor.examine() if check.name == "aeads")
    assert check.remedy == "unset PYENO_AES128"


# -- attach, detach ------------------------------------------------------------


@pytest.mark.skipif(not mounts.find("cgroup2"), reason="no cgroup2 is mounted")
@pytest.mark.parametrize("there", [True, False])
def test_attach_to_no_cgroup(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, there: bool
) -> None:
    path = tmp_path if there else tmp_path / "missing"
    status, said = run(capsys, "attach", "--cgroup", str(path))
    assert status == 1
    assert said.startswith(f"pyeno attach: {path} is no cgroup2 directory: choose one below /")


def test_detach_outside_bpffs_removes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Root's ``--pin`` of a wrong directory must not cost its files."""
    precious = tmp_path / "maps" / "precious"
    precious.parent.mkdir()
    precious.touch()
    status, said = run(capsys, "detach", "--pin", str(tmp_path))
    assert status == 1
    assert "is not in a bpffs" in said
    assert precious.exists()


def test_detach_of_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(capsys, "detach", "--pin", str(tmp_path / "missing")) == (0, "")


def test_pin_that_leads_out_of_bpffs() -> None:
    assert not mounts.in_bpffs(Path("/sys/fs/bpf/../../../tmp/pin"))
    with pytest.raises(KernelError, match="is not in a bpffs"):
        mounts.ensure_bpffs(Path("/tmp/pin"))  # noqa: S108


def test_advice_names_the_pin_it_is_about(tmp_path: Path) -> None:
    pin = str(tmp_path / "pin")
    assert f"run 'pyeno attach --pin {pin}'" in attach.status(pin).detail


def test_remedies_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """sudo does not look into a virtual environment."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(doctor, "_SECURE_PATH", (str(tmp_path / "elsewhere"),))
    assert doctor.command("attach") == "sudo pyeno attach"
    (tmp_path / "pyeno").touch()
    assert doctor.command("attach") == f"sudo {tmp_path}/pyeno attach"


@pytest.mark.parametrize("attached", [True, False])
def test_flush_where_nothing_is_attached(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, attached: bool
) -> None:
    monkeypatch.setattr(kernel, "configure", lambda *_, **__: attached)
    said = "" if attached else "pyeno flush: nothing is attached for this process"
    status, told = run(capsys, "flush", "--everything")
    assert (status, told.partition(",")[0]) == (0 if attached else 1, said)
