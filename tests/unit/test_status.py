"""`pyeno status`: what is attached, and which relays run."""

import json
from typing import Any

import pytest

from pyeno import attach
from pyeno.cli import main
from pyeno.relay import control
from pyeno.relay.control import Answer
from pyeno.relay.records import Book

VALUE: dict[str, Any] = {
    "pid": 7, "cgroups": ["/a", "/b"], "fail": "open", "since": 1.5,
    "counters": Book().counters() | {"open": 2, "encrypted": 5, "refused": {"ECONNREFUSED": 3}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _asked(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [Answer("web", VALUE), Answer("x", None, "Permission denied")]
    monkeypatch.setattr(control, "ask", lambda question: answers)
    found = attach.Status(attached=True, detail="attached to /x", pin=attach.PIN, cgroup="/x")
    monkeypatch.setattr(attach, "status", lambda _: found)


def test_relays_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["attached"] is True
    web = json.loads(json.dumps({"name": "web"} | VALUE))
    assert told["relays"] == [web, {"name": "x", "error": "Permission denied"}]


def test_relays_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "relay        web: 2 open; so far 5 encrypted, 0 plain, 3 failed; for /a, /b (pid 7)",
        "relay        x: not known: Permission denied",
    ]
