"""`pyeno bench` before and after measuring: arguments, needs, numbers, the document."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyeno import doctor
from pyeno._crypto import default_aeads
from pyeno.bench import held, needs, table
from pyeno.bench.kinds import eno_name, kinds
from pyeno.bench.report import document
from pyeno.bench.rounds import Cell, cells
from pyeno.bench.scenarios import QUICK, STAGES, names, scenarios
from pyeno.bench.stages import frame_case
from pyeno.bench.summary import percentile, ratio, summaries, summary
from pyeno.bench.yardsticks import yardsticks
from pyeno.cli import main

AEAD = default_aeads()[0]
PYENO = eno_name("sockets", AEAD)
MACHINE = {
    "pyeno": "0", "backend": "native", "python": "3", "openssl": "OpenSSL", "cpu": "a CPU",
    "cpus": 2, "kernel": "6", "aead": AEAD.name,
}  # fmt: skip
SETTINGS = {"place": "loopback", "cpus": {"near": 0, "far": 1}, "rounds": 3}

# -- numbers -------------------------------------------------------------------------


def test_summary() -> None:
    assert summary([3.0, 1.0, 2.0, 10.0]) == {"median": 2.5, "min": 1, "max": 10, "rounds": 4}
    rounds = [{"a": 1.0, "b": 5.0}, {"a": 3.0, "b": 5.0}]
    assert summaries(rounds)["a"] == {"median": 2, "min": 1, "max": 3, "rounds": 2}
    assert summaries([]) == {}
    with pytest.raises(ValueError, match="at least one"):
        summary([])


def test_ratio() -> None:
    assert ratio(6.0, 4.0) == 1.5
    assert ratio(6.0, 0.0) is None


@pytest.mark.parametrize(
    ("share", "value"), [(0, 1), (1, 1), (50, 50), (51, 51), (99, 99), (100, 100)]
)
def test_percentile(share: int, value: int) -> None:
    assert percentile(range(1, 101), share) == value
    assert percentile([7], share) == 7


def test_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least one"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.354, "0.35"), (3.214, "3.21"), (64.04, "64.0"), (14000.4, "14,000")],
)
def test_numbers_as_shown(value: float | None, text: str) -> None:
    assert table.number(value) == text


def test_one_unit_for_a_column() -> None:
    assert table.scaled("bytes/s", [3e9, 4e8]) == (1e9, "GB/s")
    assert table.scaled("bytes/s", [3e9, 1e8]) == (1e6, "MB/s")
    assert table.scaled("ns", [5e3]) == (1e3, "µs")
    assert table.scaled("µs", [5e3]) == (1.0, "µs")
    assert table.scaled("bytes/s", []) == (1.0, "bytes/s")


# -- the document --------------------------------------------------------------------


def measured(name: str, figures: dict[str, list[dict[str, float]]]) -> list[Cell]:
    """Cells of a scenario with these rounds, by transport."""
    (scenario,) = (s for s in scenarios() if s.name == name)
    by_name = {kind.name: kind for kind in kinds()}
    made = []
    for transport, rounds in figures.items():
        cell = Cell(scenario, by_name[transport])
        cell.rounds = [dict.fromkeys((p.name for p in scenario.parts), row) for row in rounds]
        made.append(cell)
    return made


def speeds(*values: float) -> list[dict[str, float]]:
    return [{"per_second": v, "cpu_ns": 1e9 / v, "seconds": 0.3} for v in values]


@pytest.fixture
def told() -> dict[str, Any]:
    """A benchmark of three transports, three rounds, and some stages."""
    bulk = measured(
        "bulk-1m",
        {"plain": speeds(4e9, 5e9, 6e9), "tls1.3": speeds(1e9, 1e9, 2e9),
         PYENO: speeds(4e9, 3e9, 5e9)},
    )  # fmt: skip
    idle = measured("idle", {"plain": [{"bytes": 100.0}], PYENO: [{"bytes": 8300.0}]})
    stages = {
        "option: parse": {"native": [100.0, 110.0, 90.0], "pure": [3100.0, 2900.0, 3000.0]},
        frame_case(AEAD, 64): {"pure": [1.0]},
    }
    return document(MACHINE, SETTINGS, [*bulk, *idle], stages, ["no dpkt"])


def test_document(told: dict[str, Any]) -> None:
    assert told == json.loads(json.dumps(told))
    assert list(told) == [
        "format", "machine", "settings", "notes", "compared", "scenarios", "stages",
        "yardsticks",
    ]  # fmt: skip
    assert told["compared"] == {"sockets": {"plain": "plain", "tls": "tls1.3", "pyeno": PYENO}}
    block = told["scenarios"]["bulk-1m"]
    row = block["transports"][PYENO]
    assert row["rounds"] == speeds(4e9, 3e9, 5e9)
    assert row["summary"][block["figure"]] == {
        "median": 4e9,
        "min": 3e9,
        "max": 5e9,
        "rounds": 3,
    }
    assert (row["family"], row["against_plain"], row["against_tls"]) == ("sockets", 0.8, 4.0)
    # TLS was not measured there
    assert told["scenarios"]["idle"]["transports"][PYENO]["against_tls"] is None
    assert told["stages"]["option: parse"]["pure"]["against_native"] == 30
    assert told["stages"][frame_case(AEAD, 64)]["pure"]["against_native"] is None


def test_yardsticks(told: dict[str, Any]) -> None:
    found = {(y.scenario, y.against): y for y in yardsticks(told)}
    assert found["bulk-1m", "tls1.3"].measured == 4.0
    assert found["bulk-1m", "tls1.3"].reached is True
    # exactly what is wanted is enough
    assert found["bulk-1m", "plain"].measured == found["bulk-1m", "plain"].wanted
    assert found["bulk-1m", "plain"].reached is True
    assert found["bulk-256k", "plain"].reached is None
    idle = found["idle", "above plain"]
    assert (idle.measured, idle.wanted, idle.reached) == (8200.0, 8192, False)
    assert found["option: parse", "pure"].reached is True
    assert found[frame_case(AEAD, 64), "pure"].measured is None
    # no loop was measured, so nothing is said of loops
    assert {family for y in found.values() for family in [y.transport] if "-" in family} <= {
        PYENO
    }


def test_growth_of_a_crowd() -> None:
    levels = [part.name for part in next(s for s in scenarios() if s.levels).parts]
    cells = measured("crowd", {"asyncio-plain": [{}], "asyncio-pyeno": [{}]})
    for cell, costs in zip(cells, ((2, 2, 2, 3), (2, 4, 5, 5)), strict=True):
        rows = ({"cpu_ns": float(c), "opened_cpu_us": float(c)} for c in costs)
        cell.rounds = [dict(zip(levels, rows, strict=True))]
    found = {y.against: y for y in yardsticks(document(MACHINE, SETTINGS, cells, {}, []))
             if y.scenario == "crowd"}  # fmt: skip
    byte, opening = found.values()
    assert (byte.measured, byte.plain, byte.reached) == (2.5, 1.5, False)
    # the single first connection is no measure for opening
    assert (opening.measured, opening.plain) == (1.25, 1.5)


def test_levels_that_were_too_much() -> None:
    crowd = measured("crowd", {"asyncio-plain": [{}], "asyncio-tls1.3": [{}]})
    for cell, levels in zip(crowd, ((1, 100), (1,)), strict=True):
        cell.rounds = [{f"crowd-{n}": {"cpu_ns": 1.0, "per_second": 1.0} for n in levels}]
    told = document(MACHINE, SETTINGS, crowd, {}, [])
    assert set(told["scenarios"]["crowd-100"]["transports"]) == {"asyncio-plain"}
    assert told["scenarios"]["crowd-10000"]["transports"] == {}
    assert "crowd-100 was too much for asyncio-tls1.3, in time or memory" in told["notes"]
    assert len(told["notes"]) == 5
    assert not any("10,000 connections" in line for line in table.lines(told))


def in_manual(heading: str, column: int = 0) -> set[str]:
    """The names in a column of the table that follows these words."""
    manual = (Path(__file__).parents[2] / "docs/benchmarks.md").read_text("utf-8")
    rest = manual.partition(heading)[2]
    lines = rest.partition("\n|")[2].partition("\n\n")[0].splitlines()[2:]
    return {
        name for line in lines for name in re.findall(r"`([^`]+)`", line.split("|")[column + 1])
    }


def test_the_document_is_described(told: dict[str, Any]) -> None:
    assert in_manual("`--json` prints it") == set(told)
    fields = set(told["yardsticks"][0])
    assert fields <= in_manual("`--json` prints it", 1)
    assert set(told["settings"]) <= in_manual("`--json` prints it", 1)


def test_table(told: dict[str, Any]) -> None:
    shown = list(table.lines(told))
    assert max(map(len, shown)) <= 130
    assert "note: no dpkt" in shown
    (line,) = (line for line in shown if line.strip().startswith(PYENO) and ".." in line
               and "0.80" in line)  # fmt: skip
    assert line.split()[1:] == ["4.00", "3.00", "..", "5.00", "0.80", "4.00", "0.25"]
    assert any(line.endswith("reached") for line in shown)
    assert any(line.endswith("missed") for line in shown)
    assert "yardsticks  (9 of 13 not measured)" in shown


def test_an_empty_document() -> None:
    told = document(MACHINE, SETTINGS, [], {}, [])
    assert told["scenarios"] == told["stages"] == {}
    assert list(table.lines(told))


# -- which scenarios ---------------------------------------------------------------


def test_names_are_of_scenarios() -> None:
    assert set(names()) == {scenario.name for scenario in scenarios()} | {STAGES}
    assert set(QUICK) <= set(names())
    manual = (Path(__file__).parents[2] / "docs/benchmarks.md").read_text("utf-8")
    assert all(f"`{name}`" in manual for name in [*names(), *(kind.name for kind in kinds())])


def test_every_family_is_compared() -> None:
    for scenario in scenarios():
        families = {cell.kind.family for cell in cells([scenario], kinds())}
        has = {"sockets": scenario.sockets, "asyncio": scenario.loops, "uvloop": scenario.loops}
        assert families == {family for family, pair in has.items() if pair}


def test_fewer_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "raise_limit", lambda wanted: 1500)
    notes: list[str] = []
    fitted = {scenario.name: scenario for scenario in held.fitting(scenarios(), notes)}
    assert fitted["crowd"].levels == (1, 100, 1000)
    assert [part.name for part in fitted["crowd"].parts] == [
        "crowd-1",
        "crowd-100",
        "crowd-1000",
    ]
    assert fitted["idle"].connections == 1500
    assert fitted["bulk-1m"].amount is None
    (note,) = notes
    assert "1,500 of 10,000" in note and "ulimit -n" in note


# -- the command -------------------------------------------------------------------


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """Nothing lacks, nothing is measured; what would have been."""
    asked: list[tuple[Any, ...]] = []

    def hold(*arguments: Any) -> dict[str, Any]:
        asked.append(arguments)
        return document(MACHINE, SETTINGS, [], {}, [])

    monkeypatch.setattr(needs, "lack", lambda veth: None)
    monkeypatch.setattr(held, "hold", hold)
    monkeypatch.setattr("pyeno.cli.bench.end_as_interrupted", lambda: None)
    return asked


def test_options(unmeasured: list[tuple[Any, ...]]) -> None:
    assert main(["bench"]) == 0
    words = ["--quick", "--veth", "--rounds", "7", "--scenario", "fresh,stages"]
    assert main(["bench", *words]) == 0
    assert unmeasured == [(None, None, False, False), (("fresh", "stages"), 7, True, True)]


def test_json_on_standard_output_and_in_a_file(
    unmeasured: list[tuple[Any, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    assert main(["bench", "--json", "--output", str(path)]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(path.read_text())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rounds", "0"], "1 to 1000"),
        (["--rounds", "1001"], "1 to 1000"),
        (["--rounds", "x"], "1 to 1000"),
        (["--scenario", "bulk"], "choose from bulk-1m"),
        (["--scenario", ""], "choose from"),
        (["--scenario", "fresh,,idle"], "choose from"),
        (["7000"], "unrecognized arguments: 7000"),
    ],
)
def test_arguments_that_cannot_be_meant(
    words: list[str], said: str, unmeasured: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bench", *words])
    assert said in capsys.readouterr().err
    assert unmeasured == []


def test_a_file_that_cannot_be_written(
    unmeasured: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Known before anything is measured."""
    path = tmp_path / "absent" / "result.json"
    assert main(["bench", "--output", str(path)]) == 1
    assert str(path) in capsys.readouterr().err
    assert unmeasured == []


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(names())
    assert main(["bench", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == names()


@pytest.mark.parametrize(
    ("root", "attached", "current", "veth", "tool", "mend"),
    [
        (False, False, False, False, True, "pyeno attach"),
        (True, False, False, False, True, None),
        (False, True, True, False, True, None),
        (True, True, False, False, True, "pyeno detach"),
        (False, True, True, True, True, "pyeno bench --veth"),
        (True, True, True, True, False, "apt install iproute2"),
        (True, False, False, True, True, None),
    ],
)
def test_what_it_needs(
    root: bool, attached: bool, current: bool, veth: bool, tool: bool, mend: str | None,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(needs, "eno_attached", lambda: attached)
    monkeypatch.setattr(doctor, "covered", lambda: current)
    monkeypatch.setattr(doctor, "command", lambda words: f"sudo pyeno {words}")
    monkeypatch.setattr(shutil, "which", lambda name: "/sbin/ip" if tool else None)
    lack = needs.lack(veth)
    assert (lack is None) == (mend is None)
    if lack is not None and mend is not None:
        assert mend in lack.remedy
        assert main(["bench", *(["--veth"] if veth else [])]) == 1
        said = capsys.readouterr().err
        assert said.startswith("pyeno bench: ") and lack.remedy in said


def test_kinds_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyeno.bench.kinds.installed", lambda package: None)
    families = {kind.family for kind in kinds()}
    assert families == {"sockets", "asyncio"}
