"""Asking a running relay: its socket, one relay a name; telling its manager."""

import errno
import json
import os
import socket
import stat
from pathlib import Path

import pytest

from pyeno.errors import KernelError
from pyeno.relay import control
from pyeno.relay.control import Answer, answering, ask
from pyeno.relay.service_notify import notify, reloading

ANSWERS = {"status": lambda: {"pid": 7}, "connections": lambda: ["x" * 70_000] * 9}


def test_questions_and_answers(tmp_path: Path) -> None:
    with answering("one", ANSWERS, tmp_path) as path, answering("two", ANSWERS, tmp_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert ask("status", tmp_path) == [Answer("one", {"pid": 7}), Answer("two", {"pid": 7})]
        assert ask("connections", tmp_path)[1].value == ANSWERS["connections"]()
        (one, _) = ask("nonsense", tmp_path)
        assert (one.value, one.error) == (None, "'nonsense'; allowed: connections, status")
    assert list(tmp_path.iterdir()) == [] == ask("status", tmp_path)


def test_no_directory(tmp_path: Path) -> None:
    assert ask("status", tmp_path / "missing") == []
    with answering("one", ANSWERS, tmp_path / "missing"):
        assert len(ask("status", tmp_path / "missing")) == 1
    (tmp_path / "file").touch()
    with (
        pytest.raises(KernelError, match="Not a directory; run it as root"),
        answering("one", ANSWERS, tmp_path / "file" / "below"),
    ):
        pass


def test_a_name_is_one_relays(tmp_path: Path) -> None:
    with answering("one", ANSWERS, tmp_path):
        with (
            pytest.raises(KernelError, match="a relay named one runs already") as caught,
            answering("one", ANSWERS, tmp_path),
        ):
            pass
        assert caught.value.errno == errno.EADDRINUSE
        assert len(ask("status", tmp_path)) == 1  # the first one is none the worse for it


def stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.fspath(path))
        sock.listen()


def test_what_a_killed_relay_left(tmp_path: Path) -> None:
    """Removed by whoever asks, and by the next relay of that name."""
    stale(tmp_path / "one.sock")
    assert ask("status", tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    stale(tmp_path / "one.sock")
    with answering("one", ANSWERS, tmp_path):
        assert len(ask("status", tmp_path)) == 1


def test_who_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.fspath(tmp_path / "slow.sock"))
        sock.listen()
        assert ask("status", tmp_path) == [Answer("slow", None, "timed out")]


@pytest.mark.parametrize("question", [b"status\n", b"[]\n", b'"' + b"x" * 9999, b'"st', b"\n"])
def test_bad_questions(tmp_path: Path, question: bytes) -> None:
    """No answer that helps, and no harm."""
    with answering("one", ANSWERS, tmp_path) as path:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(os.fspath(path))
            sock.sendall(question)
            sock.shutdown(socket.SHUT_WR)
            said = sock.makefile("rb").read()
        assert not said or "error" in json.loads(said)
        assert len(ask("status", tmp_path)) == 1


# -- the service manager -------------------------------------------------------------


def test_notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    for name, address in (
        (str(tmp_path / "n"), str(tmp_path / "n")),
        ("@pyeno-t", "\0pyeno-t"),
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(address)
            monkeypatch.setenv("NOTIFY_SOCKET", name)
            assert notify("READY=1", "STATUS=well") and reloading()
            assert manager.recv(999) == b"READY=1\nSTATUS=well"
            assert manager.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert not notify("READY=1")  # gone


def test_a_manager_that_does_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        assert any(not notify("READY=1") for _ in range(10_000))
