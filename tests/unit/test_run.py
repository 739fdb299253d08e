"""`pyeno run` without a kernel half: what its options mean, and how the program starts.

The relay's part is played: its process tells that it is ready, or fails.
"""

import argparse
import errno
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pyeno import Aead, Reason, Tep, cgroups, kernel
from pyeno.cli import main, parser
from pyeno.cli import run as command
from pyeno.constants import State
from pyeno.errors import ConfigError, EncryptionRequiredError, RemoteProtocolError
from pyeno.relay import SECURE_PORTS
from pyeno.relay.attendance import Attendance
from pyeno.relay.launch import Parent, account
from pyeno.relay.loop import Loop
from pyeno.relay.passage import why
from pyeno.relay.records import Book
from pyeno.sockets import Info

ROOT = Path(__file__).parents[2]
TIMEOUT = 20


def parsed(*words: str) -> argparse.Namespace:
    return parser("run").parse_args(["run", *words])


# -- options ----------------------------------------------------------------------------


def test_defaults() -> None:
    settings = command.settings_from(parsed("--", "curl", "--json", "-o", "x"))
    assert settings.outbound and settings.inbound and not settings.config.require
    assert settings.skip_ports == SECURE_PORTS and settings.fail == "open"
    assert not settings.config.app_aware


def test_what_follows_is_the_programs() -> None:
    for words in (["--"], []):
        options = parsed("--require", *words, "curl", "--json", "--", "-x")
        assert not options.json and options.require
        assert options.program[len(words) :] == ["curl", "--json", "--", "-x"]


def test_every_option() -> None:
    words = "--require --tep p256 --aead aes-128-gcm --inbound-only --fail closed"
    ports = "--skip-port 80,81 --skip-port 25 --no-skip-ports"
    settings = command.settings_from(parsed(*words.split(), *ports.split(), "x"))
    assert settings.config.require and settings.config.teps == (Tep.TCPCRYPT_ECDHE_P256,)
    assert settings.config.aeads == (Aead.AES_128_GCM,)
    assert settings.inbound and not settings.outbound
    assert settings.skip_ports == {80, 81, 25} and settings.fail == "closed"
    settings = command.settings_from(parsed("--outbound-only", "--skip-port", "80", "x"))
    assert settings.outbound and not settings.inbound
    assert settings.skip_ports == SECURE_PORTS | {80}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no program: write pyeno run [OPTIONS] -- PROGRAM"),
        (["--require", "--"], "no program"),
        (["--user", "no-such-user", "--", "true"], "--user: 'no-such-user'; allowed: a user"),
        (["--user", "4000000001", "--", "true"], "--user: '4000000001'"),
        (["--skip-port", "http", "--", "true"], "http"),
        (["--tep", "rot13", "--", "true"], "unknown 'rot13'"),
        (["--fail", "ajar", "--", "true"], "invalid choice: 'ajar'"),
        (["--outbound-only", "--inbound-only", "--", "true"], "not allowed with"),
    ],
)
def test_wrong_usage(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(["run", *words])
    except SystemExit as left:
        status = int(left.code or 0)
    assert status == 2 and says in capsys.readouterr().err


def test_account_by_name_and_number() -> None:
    nobody = pwd.getpwnam("nobody")
    assert account("nobody") == account(str(nobody.pw_uid)) == nobody


# -- starting the program -----------------------------------------------------------------

PLAYED = """
import os, sys, time
from pathlib import Path
from pyeno import cgroups
from pyeno.relay import launch

cgroup = Path(sys.argv[1])
cgroups.create = lambda purpose: cgroup
cgroups.enter = lambda path: (path / "entered").write_text(str(os.getpid()))
cgroups.remove = lambda path: (path / "removed").touch()


def serve(parent):
    {serve}


sys.exit(launch.launch(sys.argv[2:], serve))
"""
READY = (
    "ids = os.getpid(), os.getsid(0), os.getppid(); parent.ready(); "
    "(cgroup / 'served').write_text(' '.join(map(str, ids)))"
)


def launched(tmp_path: Path, serve: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PLAYED.format(serve=serve), tmp_path, *words],
        cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_the_process_becomes_the_program(tmp_path: Path) -> None:
    done = launched(tmp_path, READY, "sh", "-c", "echo $$; exit 7")
    assert done.returncode == 7
    assert (tmp_path / "entered").read_text() == done.stdout.strip()
    until = time.monotonic() + TIMEOUT
    while not (text := _read(tmp_path / "served")):
        assert time.monotonic() < until
        time.sleep(0.01)
    relay, session, parent = map(int, text.split())
    assert relay != int(done.stdout) and parent != int(done.stdout)
    assert session not in (os.getsid(0), relay)


def test_output_ends_with_the_program(tmp_path: Path) -> None:
    """Whatever the relay does meanwhile; only standard error is its own too."""
    serve = "parent.ready(); time.sleep(1.5); print('late', file=sys.stderr)"
    process = subprocess.Popen(
        [sys.executable, "-c", PLAYED.format(serve=serve), tmp_path, "echo", "early"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read() == "early\n"
        assert process.stderr.read() == "late\n"
        assert process.wait(TIMEOUT) == 0


def test_default_signals(tmp_path: Path) -> None:
    """Python ignores SIGPIPE; the program does not."""
    done = launched(tmp_path, READY, "sh", "-c", "kill -PIPE $$; echo survived")
    assert done.returncode == -signal.SIGPIPE


def test_a_relay_that_cannot_begin(tmp_path: Path) -> None:
    """Its error is raised here, and nothing was started."""
    serve = "raise PermissionError(1, 'not for you')"
    done = launched(tmp_path, serve, "echo", "started")
    assert "KernelError" in done.stderr and "not for you" in done.stderr
    assert not done.stdout and (tmp_path / "removed").exists()
    done = launched(tmp_path, "os._exit(9)", "echo", "started")
    assert "ended before it was ready" in done.stderr and not done.stdout


def test_a_relay_that_fails_later_says_so(tmp_path: Path) -> None:
    serve = "parent.ready(); time.sleep(0.5); raise OSError(5, 'broken')"
    done = launched(tmp_path, serve, "true")
    assert done.returncode == 0 and done.stderr == "pyeno run: the relay failed: broken\n"
    done = launched(tmp_path, "parent.ready(); time.sleep(0.5); 1 / 0", "true")
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(("word", "status"), [("/no/such", 127), ("/etc/passwd", 126)])
def test_no_such_program(tmp_path: Path, word: str, status: int) -> None:
    done = launched(tmp_path, READY, word)
    assert done.returncode == status
    assert done.stderr.startswith(f"pyeno run: {word}: ")


# -- how long the relay stays ----------------------------------------------------------------


class Attended:
    """An Attendance over a real process and a cgroup that is played by a pipe's file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **options: Any) -> None:
        (tmp_path / "cgroup.events").write_text("")
        self.lived_in, self.idle, self.stopped = True, False, 0
        monkeypatch.setattr(cgroups, "populated", lambda _: self.lived_in)
        self.process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        self.loop = Played()
        parent = Parent(self.process.pid, tmp_path, -1)
        self.attendance = Attendance(
            parent, self.loop, self._stop, idle=lambda: self.idle, **options
        )

    def _stop(self) -> None:
        self.stopped += 1

    def end(self) -> None:
        self.process.communicate(timeout=TIMEOUT)
        self.loop.calls[0](0)


class Played(Loop):
    """Calls back when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []

    def watch(self, descriptor: int, events: int, call: Any) -> None:
        if len(self._calls):  # not its own
            self.calls.append(call)
        else:
            super().watch(descriptor, events, call)


@pytest.fixture
def _quiet(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    left: list[int] = []
    monkeypatch.setattr("pyeno.relay.attendance.leave_stderr", lambda: left.append(1))
    return left


def test_until_the_last_process_has_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, _quiet: list[int]
) -> None:
    attended = Attended(monkeypatch, tmp_path)
    ended, changed = attended.loop.calls
    changed(0)
    assert not attended.stopped
    attended.end()  # a daemon is left
    assert not attended.stopped and _quiet == [1]
    attended.lived_in = False
    changed(0)  # but a connection of it still sends
    assert not attended.stopped
    attended.idle = True
    attended.attendance.look()
    assert attended.stopped == 1
    attended.attendance.close()
    attended.loop.close()
    assert ended is not changed


def test_what_others_have_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, _quiet: list[int]
) -> None:
    attended = Attended(monkeypatch, tmp_path, end_with_command=True)
    attended.end()
    assert attended.stopped == 1 and not _quiet
    attended.attendance.close()
    attended.loop.close()


def test_a_peer_has_a_minute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, _quiet: list[int]
) -> None:
    monkeypatch.setattr("pyeno.relay.attendance.DRAIN_SECONDS", 0.05)
    attended = Attended(monkeypatch, tmp_path, keep_stderr=True)
    attended.lived_in = False
    attended.end()
    last = time.monotonic() + TIMEOUT
    while not attended.stopped:
        assert time.monotonic() < last
        time.sleep(0.01)
    assert not _quiet
    attended.attendance.close()
    attended.loop.close()


# -- what is told ------------------------------------------------------------------------------


def refused() -> EncryptionRequiredError:
    return EncryptionRequiredError("encryption is required but …", Reason.SYN_ACK_WITHOUT_ENO)


def test_what_errors_count_as() -> None:
    assert why(refused()) == "syn-ack-without-eno"
    assert why(RemoteProtocolError("Init1: magic")) == "reset"
    assert why(OSError(errno.EHOSTUNREACH, "no")) == "EHOSTUNREACH"
    assert why(ValueError("?")) == "error"


@pytest.mark.parametrize("as_json", [False, True])
def test_teller(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    looked: list[int] = []
    teller = command.Teller(as_json)
    teller.look = lambda: looked.append(1)
    book = Book(teller)
    plain = kernel.UNAVAILABLE._replace(state=State.DISABLED, reason=Reason.SYN_ACK_WITHOUT_ENO)
    served = book.begin("outbound", ("192.0.2.1", 80), ("127.0.0.1", 4000))
    served.info = Info(plain, None)
    book.opened(served)
    book.ended(served, "fin", 0, 3, 4)
    forbidden = book.begin("outbound", ("2001:db8::1", 80), ("127.0.0.1", 4001))
    forbidden.info = Info(plain, None)
    book.refused(forbidden, "syn-ack-without-eno", 0, "encryption is required")
    unreachable = book.begin("outbound", ("192.0.2.9", 80), ("127.0.0.1", 4002))
    book.refused(unreachable, "EHOSTUNREACH", 113, "No route to host")
    said = capsys.readouterr().err.splitlines()
    assert looked == [1, 1, 1]
    if as_json:
        first, second, third = map(json.loads, said)
        assert (first["reason"], first["bytes_out"]) == ("syn-ack-without-eno", 3)
        assert second["peer"] == "[2001:db8::1]:80" and second["state"] == "refused"
        assert third["error"] == "No route to host" and third["encrypted"] is None
    else:
        assert said == ["pyeno run: [2001:db8::1]:80: encryption is required"]
    command.tell_sums(book.counters(), as_json)
    (sums,) = capsys.readouterr().err.splitlines()
    if as_json:
        assert json.loads(sums) == book.counters()
    else:
        assert sums == (
            "pyeno run: 0 encrypted (0 resumed), 1 plain (1 syn-ack-without-eno), "
            "2 failed (1 syn-ack-without-eno, 1 EHOSTUNREACH); 3 bytes out, 4 in"
        )


def test_a_user_nobody_has() -> None:
    with pytest.raises(ConfigError, match="allowed: a user of this host"):
        account("")
