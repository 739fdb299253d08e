"""ci/compliance: each way in which the report can be wrong is told."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from compliance import check, marks, rfc, statements, symbols

ROOT = Path(__file__).parents[2]

STATEMENTS = """
rfc = 8547
title = "An option"

[[statement]]
id = "4.2-1"
keyword = "MUST"
quote = "It MUST be so, and MUST stay so."

[[statement]]
id = "4.2-2"
keyword = "MUST"
nth = 2
quote = "It MUST be so, and MUST stay so."

[[statement]]
id = "4.2-3"
keyword = "SHOULD"
quote = "Authors SHOULD write."
does-not-bind = "binds authors"
"""
TEXT = """
Table of Contents

   4.2.  Words . . . . . 3

2.  Requirements Language

   The key words "MUST" and "MAY" are boilerplate.

4.2.  Words

   It MUST be so,
   and MUST

Author                    Experimental                      [Page 2]
\f
RFC 8547                     An option                      May 2019

   stay so.

   Authors SHOULD write.
"""
CODE = "static int so(void)\n{\n\treturn 1; /* stays [8547:4.2-1, 4.2-2] */\n}\n"
TESTS = """import pytest

@pytest.mark.rfc("8547:4.2-1", "8547:4.2-2")
@pytest.mark.parametrize("so", [1, 2])
def test_so(so): assert so
"""
PASSED = {"tests/test_so.py::test_so": True}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one source, one test and three statements, in order."""
    for name, text in {
        "docs/statements/rfc8547.toml": STATEMENTS,
        "ext/so.c": CODE,
        "tests/test_so.py": TESTS,
        "rfcs/rfc8547.txt": TEXT,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert not list(check.run(tmp_path))
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def wrong(project: Path, results: dict[str, bool] | None = None) -> list[str]:
    return list(check.run(project, PASSED if results is None else results))


def test_all_in_order(project: Path) -> None:
    assert not wrong(project)
    report = (project / check.REPORT).read_text()
    assert (
        "| 4.2-2 | It MUST be so, and **MUST** stay so. | [ext/so.c](../ext/so.c) `so` |"
        in report
    )
    assert "[tests/test_so.py](../tests/test_so.py) `test_so` |" in report
    assert "does not bind: binds authors" in report
    assert "| both | 3 | 1 | 0 | 2 | 2 |" in report


def test_statement_without_code(project: Path) -> None:
    edit(project / "ext/so.c", ", 4.2-2", "")
    assert "8547:4.2-2: no mark in the code" in wrong(project)


def test_statement_without_test(project: Path) -> None:
    edit(project / "tests/test_so.py", ', "8547:4.2-2"', "")
    assert "8547:4.2-2: no test" in wrong(project)


@pytest.mark.parametrize(
    ("results", "says"),
    [({"tests/test_so.py::test_so": False}, "failed"), ({}, "did not run")],
)
def test_test_that_did_not_pass(project: Path, results: dict[str, bool], says: str) -> None:
    assert wrong(project, results) == [
        f"8547:4.2-{n}: tests/test_so.py::test_so {says}" for n in (1, 2)
    ]


@pytest.mark.parametrize("name", ["ext/so.c", "tests/test_so.py"])
@pytest.mark.parametrize(
    ("mark", "says"),
    [
        ("4.2-9", "no statement"),
        ("4.2", "no statement"),
        ("", "no statement"),
        ("4.2-3", "not to bind"),
    ],
)
def test_mark_that_names_no_statement(project: Path, name: str, mark: str, says: str) -> None:
    edit(project / name, "8547:4.2-1", f"8547:{mark}")
    assert [line for line in wrong(project) if line.startswith(f"{name}:3:") and says in line]


def test_report_that_is_not_what_comes_out(project: Path) -> None:
    edit(project / check.REPORT, "An option", "An opinion")
    assert wrong(project) == [
        f"{check.REPORT}: not what the marks make of it: run ci/compliance"
    ]
    (project / check.REPORT).unlink()
    assert wrong(project)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("nth = 2\n", "", "2 statements for MUST"),
        ('keyword = "SHOULD"\n', "", "0 statements for SHOULD"),
        ("stay so.", "be so.", "has not this text once"),
        ("nth = 2", "nth = 3", "has no such MUST"),
    ],
)
def test_statements_are_the_texts(project: Path, old: str, new: str, says: str) -> None:
    assert not list(check.run(project, PASSED, project / "rfcs"))
    edit(project / "docs/statements/rfc8547.toml", old, new)
    assert any(says in line for line in check.run(project, PASSED, project / "rfcs"))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('id = "4.2-2"', 'id = "4.2-1"', "twice"),
        ("nth = 2", 'of = "4.2-3"', "not above it"),
        ("nth = 2", "not-taken = 'no'", "no option"),
        ("nth = 2", "number = 2", "unknown fields"),
    ],
)
def test_ill_formed_statements(project: Path, old: str, new: str, says: str) -> None:
    path = project / "docs/statements/rfc8547.toml"
    edit(path, old, new)
    with pytest.raises(ValueError, match=says):
        statements.load(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('import pytest\npytestmark = pytest.mark.rfc("8547:4.2-1")', "no test's decorator"),
        ("import pytest\n@pytest.mark.rfc(N)\ndef test_x(): ...", "strings only"),
    ],
)
def test_marks_on_tests_only(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        list(marks.in_test("test_x.py", text))


def test_sections_of_a_text() -> None:
    assert rfc.sections(TEXT)["4.2"] == "It MUST be so, and MUST stay so. Authors SHOULD write."
    assert rfc.flat("non-\n   SYN-form b =\n 1 -- so") == "non-SYN-form b = 1 -- so"


def test_definitions_in_c() -> None:
    text = (
        "/* m */\n#ifndef FILE_H\n#define FILE_H\n\n#define WIDTH 3 /* m */\n\n"
        '/* heads it\n * m */\nSEC("sockops")\nint eno(struct x *ctx)\n'
        "{\n\tif (m()) {\n\t}\n}\n\n"
        'struct pair {\n\tint m;\n};\n\nstruct {\n\tint m;\n} eno_map SEC(".maps");\n\n'
        "static const int table[3] = {\n\t1, /* m */\n};\n\nint declared(int m);\n\n/* m */\n"
    )
    lines = text.splitlines()
    found = [
        symbols.of("x.c", lines, i)
        for i, line in enumerate(lines)
        if " m" in line or "m(" in line
    ]
    assert found == ["", "WIDTH", "eno", "eno", "pair", "eno_map", "table", "declared", ""]


def test_definitions_in_python() -> None:
    text = (
        "m = 1\n\nclass A(B):\n    def f(self):\n        m\n    m\n\n"
        "cdef class C:\n    cpdef bytes g(self):\n        m\n"
    )
    lines = text.splitlines()
    found = [
        symbols.of("x.pyx", lines, i) for i, line in enumerate(lines) if line.strip()[:1] == "m"
    ]
    assert found == ["m", "A.f", "A", "C.g"]


OUTCOMES = """
import pytest

@pytest.mark.rfc("8547:1-1")
@pytest.mark.parametrize("n", [1, 2])
def test_all(n): pass

@pytest.mark.rfc("8547:1-1")
@pytest.mark.parametrize("n", [1, 0, 2])
def test_some(n): assert n

@pytest.mark.rfc("8547:1-1")
def test_skipped(): pytest.skip("no")

def test_unmarked(): pass
"""


def test_results_of_marked_tests(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests/conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = rfc: x\n")
    (tmp_path / "test_it.py").write_text(OUTCOMES)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rfc-results", "build/rfc.json"],
        env=os.environ | {"PYENO_WIRE": ""},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert json.loads((tmp_path / "build/rfc.json").read_text()) == {
        "test_it.py::test_all": True,
        "test_it.py::test_some": False,
        "test_it.py::test_skipped": False,
    }


def test_command(project: Path) -> None:
    results = project / "results.json"
    results.write_text(json.dumps(PASSED))
    command = [sys.executable, str(ROOT / "ci/compliance"), "--root", str(project)]
    checked = [*command, "--check", str(results), "--rfc", str(project / "rfcs")]
    assert subprocess.run(checked, capture_output=True).returncode == 0
    edit(project / "ext/so.c", "8547:4.2-1", "8547:4.2-7")
    done = subprocess.run(checked, capture_output=True, text=True)
    assert done.returncode == 1
    assert "ext/so.c:3: 8547:4.2-7 is no statement" in done.stdout
