"""`pyeno demo` before anything runs: what is missing, and the exit status."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pyeno.cli import main
from pyeno.demo import needs, story
from pyeno.demo.ladder import Style
from pyeno.demo.report import lines, style_for


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine that lacks nothing."""
    for name in ("_privilege", "_host", "_loader"):
        monkeypatch.setattr(needs, name, lambda: iter(()))
    monkeypatch.setattr(needs, "_room", lambda size: iter(()))
    return monkeypatch


def test_not_root(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["demo"]) == 1
    assert "not root" in (said := capsys.readouterr().err) and "mend: sudo" in said


def test_missing_tools(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    assert main(["demo", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    remedies = {lack["name"]: lack["remedy"] for lack in told["missing"]}
    assert remedies["demo tools"] == "apt install iproute2 tcpdump"


def test_no_room() -> None:
    (lack,) = needs._room(1 << 60)
    assert lack.remedy.startswith("TMPDIR=")


@pytest.mark.parametrize("size", ["0", "2000", "-1", "x", "1.5"])
def test_sizes_that_cannot_be_meant(size: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["demo", "--size", size])


class Told:
    """What a demonstration would report."""

    def __init__(self, ok: bool) -> None:
        self.ok = ok

    def as_dict(self) -> dict[str, Any]:
        return {"ok": self.ok}


@pytest.mark.parametrize(("ok", "status"), [(True, 0), (False, 1)])
def test_exit_status(able: pytest.MonkeyPatch, ok: bool, status: int) -> None:
    able.setattr(story, "tell", lambda *_: Told(ok))
    assert main(["demo", "--json"]) == status


def test_a_file_full_of_markers(tmp_path: Path) -> None:
    marker = b"m" * 40
    path = story.make_file(tmp_path / "f", 10 * story.BLOCK, marker)
    assert path.stat().st_size == 10 * story.BLOCK
    assert path.read_bytes().count(marker) == 10


class Stream:
    """A terminal, or not."""

    def __init__(self, tty: bool, encoding: str) -> None:
        self.encoding = encoding
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


def test_colours_and_glyphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    looks = [style_for(Stream(tty, code)) for tty, code in ((True, "utf-8"), (False, "ascii"))]  # type: ignore[arg-type]
    assert looks == [Style(True, True, 96), Style(False, False, 96)]
    monkeypatch.setenv("NO_COLOR", "1")
    assert not style_for(Stream(True, "utf-8")).colour  # type: ignore[arg-type]


def test_ascii_report_is_ascii() -> None:
    from unit.test_ladder import capture, conversation

    from pyeno.demo.ladder import steps
    from pyeno.demo.proofs import OnWire, arrived

    found = conversation(capture())
    wire = OnWire(1, 0, 0, (1, 1), 0, "")
    took = story.Took(found, steps(found), wire, ({}, {}), ("", ""))
    way = {"from": "A", "to": "B", "bytes": 9, "sha256": "a" * 64, "sha256_received": "a" * 64}
    way["megabytes_per_second_under_capture"] = 1.0
    for ways, verdict in (([way], "all of it holds"), ([], "NOT everything holds")):
        report = story.Report(took, took, ways, [arrived(ways)], 1.0)
        text = "\n".join(lines(report, Style(unicode=False)))
        assert text.isascii() and verdict in text
