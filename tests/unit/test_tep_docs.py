"""docs/teps.md says what is built: its tables, its numbers, its examples."""

import inspect
import re
import tomllib

from unit.example_tep import EXAMPLE, EXAMPLES
from unit.test_docs import quoted, rows, text

from pyeno._tepdata import SENT_MAX
from pyeno.tep import BaseConnection, Definition
from pyeno.tep.guard import REMEMBERED
from pyeno.tep.plugins import GROUP
from pyeno.tep.testing import check, clauses

PAGE = text("docs/teps.md")


def table(heading: str, head: str) -> set[str]:
    """The names in the first column of the table that has this head."""
    section = PAGE.partition(f"# {heading}\n")[2]
    lines = section.partition(f"\n{head}\n")[2].splitlines()
    taken = lines[: next(n for n, line in enumerate(lines) if not line.startswith("|"))]
    return {
        name.partition("(")[0]
        for line in taken[1:]
        for name in quoted(line.strip("|").split("|")[0])
    }


def test_what_a_tep_writes() -> None:
    assert table("The connection", "| you write | |") == BaseConnection.__abstractmethods__


def test_what_it_calls_and_has() -> None:
    listed = table("The connection", "| and call | |") | table(
        "The connection", "| at hand | |"
    )
    methods = {"owe", "establish", "deliver", "end", "suboption_data"}
    assert listed == methods | {"role", "outcome", "config", "frame_data", "overhead", "aead"}
    for name in listed - {"outcome", "config"}:
        assert hasattr(BaseConnection, name)
    assert {"outcome", "config"} <= set(inspect.signature(BaseConnection).parameters)


def test_the_definition() -> None:
    built = set(Definition.__annotations__) | {
        name for name, value in vars(Definition).items() if inspect.isfunction(value)
    }
    told = {name for name in built if not name.startswith("_")} - {"provider"}
    listed = {
        name.partition("(")[0]
        for row in rows("docs/teps.md", "The definition")
        for name in quoted(row[0])
    }
    assert listed == told


def test_numbers() -> None:
    assert f"the last {REMEMBERED} connections" in PAGE
    assert f"1 to {SENT_MAX} bytes that this host sends" in PAGE


def test_examples_run() -> None:
    for example in re.findall(r"```python\n(.*?)```", PAGE, re.S):
        exec(compile(example, "docs/teps.md", "exec"), {"__name__": "docs"})  # noqa: S102


def test_the_example_is_what_its_files_say() -> None:
    project = tomllib.loads((EXAMPLES / "pyproject.toml").read_text())
    assert project["project"]["entry-points"][GROUP] == {"example": "eno_tep_example:EXAMPLE"}
    assert project["tool"]["setuptools"]["py-modules"] == ["eno_tep_example"]
    assert "`eno_tep_example.py`" in PAGE and (EXAMPLE.identifier, EXAMPLE.name) == (
        0x20, "example",
    )  # fmt: skip
    assert check(EXAMPLE, samples=4) == {} and len(clauses()) > 30
