"""The documents say what is built: every name, and that examples run.

What is listed in a table is compared with the code it describes, both ways, so
that neither can grow without the other.
"""

import argparse
import inspect
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import pyeno
from pyeno import Config, Reason, attach, doctor, errors, kernel
from pyeno.cli import COMMANDS, parser, relay, ss
from pyeno.cli.session import Session
from pyeno.relay import logs
from pyeno.relay.metrics import families
from pyeno.relay.records import Book
from pyeno.sockets import Info
from pyeno.ss import Connection
from pyeno.ss.holders import Holder
from pyeno.ss.table import Row

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))
OPTION = re.compile(r"--[a-z][a-z=-]*[a-z]")


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def rows(name: str, heading: str) -> Iterator[list[str]]:
    """The cells of the table rows of one section, without the table's head."""
    section = re.split(
        r"^#+ ", text(name).partition(f"# {heading}\n")[2], maxsplit=1, flags=re.M
    )
    lines = [line for line in section[0].splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def quoted(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", [ROOT / "README.md", *DOCUMENTS], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = path.parent / name if name else path
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text("utf-8"), re.M)
            assert anchor in map(slug, headings), target


def test_readme_lists_every_document() -> None:
    listed = set(re.findall(r"\]\((docs/[a-z-]+\.md)\)", text("README.md")))
    assert listed >= {f"docs/{path.name}" for path in DOCUMENTS}


def test_every_reason_is_explained() -> None:
    table = list(rows("docs/errors.md", "Reasons"))
    named = [(int(number), quoted(name).pop()) for number, name, _, _ in table]
    assert named == [(reason.value, reason.slug) for reason in Reason]
    assert all(re.match(r"4\.\d", section) and meaning for _, _, section, meaning in table)


def test_every_exception_is_explained() -> None:
    defined = {
        name: kind for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, pyeno.PyenoError) and kind is not pyeno.PyenoError
    }  # fmt: skip
    table = {
        quoted(row[0]).pop(): quoted(row[1]) for row in rows("docs/errors.md", "Exceptions")
    }
    assert table.keys() == defined.keys()
    for name, bases in table.items():
        assert bases <= {base.__name__ for base in defined[name].__mro__[1:]}


def options(command: str) -> set[str]:
    """Every long option of a command, from the parser itself."""
    top = parser(command)
    (choices,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    actions = choices.choices[command]._actions
    return {word for action in actions for word in action.option_strings if word[:2] == "--"}


def test_every_command_and_option_is_documented() -> None:
    manual = text("docs/cli.md")
    built = {"--help", "--version"} | {word for name in COMMANDS for word in options(name)}
    assert set(OPTION.findall(manual)) == built
    assert set(re.findall(r"^\| `pyeno ([a-z]+)", manual, re.M)) == set(COMMANDS)


def test_json_fields_of_connections() -> None:
    session = Session(pyeno.Socket(), ("192.0.2.1", 7000))
    session.info = Info(kernel.UNAVAILABLE, None)
    session.sock.close()
    session.error = "so that the field is there"
    table = {name for row in rows("docs/cli.md", "The JSON object") for name in quoted(row[0])}
    assert table == session.as_dict().keys()


def test_json_fields_of_ss() -> None:
    row = Row(socket.AF_INET, "ESTAB", ("192.0.2.1", 7000), ("192.0.2.2", 7001), 1)
    shown = ss.as_dict(Connection(row, kernel.UNAVAILABLE, None, (), (Holder(os.getpid(), 0),)))
    table = list(rows("docs/cli.md", "The JSON object of ss"))
    assert {name for row in table for name in quoted(row[0])} == shown.keys()
    assert quoted(table[-2][1]) == shown["processes"][0].keys()
    heading = next(line for line in text("docs/cli.md").splitlines() if "SESSION ID" in line)
    assert re.split("  +", heading) == list(ss.HEAD)


def test_the_relays_page() -> None:
    """The example is the packaged one; options, log, status and metrics are all there."""
    page = text("docs/relay.md")
    assert f"```toml\n{relay.packaged('relay.toml')}```" in page
    assert set(OPTION.findall(page.partition("## Configuration")[0])) >= options("relay") - {
        "--help"
    }
    described = {name for row in rows("docs/relay.md", "Log") for name in quoted(row[0])}
    source = text("pyeno/relay/service.py") + text("pyeno/relay/logs.py")
    events = set(re.findall(r'(?:say|_ready)\(\s*"([a-z-]+)"', source))
    assert events and described == events
    fields = next(r for r in rows("docs/relay.md", "Log") if r[0] == "`connection`")
    assert quoted(fields[1]) == {*logs.FIELDS, "seconds"}


def test_the_relays_counters() -> None:
    table = {quoted(row[0]).pop() if len(quoted(row[0])) == 1 else None: quoted(row[1])
             for row in rows("docs/relay.md", "Status")}  # fmt: skip
    counters = Book().counters()
    assert table["counters"] - {"direction", "tep", "reason"} == counters.keys()
    named = {name for row in rows("docs/relay.md", "Metrics") for name in quoted(row[0])}
    made = {f"{f.name}_total" if f.type == "counter" else f.name for f in families(counters)}
    assert named == made


def test_environment_variables() -> None:
    table = {n for row in rows("docs/cli.md", "Environment variables") for n in quoted(row[0])}
    sources = [*(ROOT / "pyeno").rglob("*.py"), *(ROOT / "tests").rglob("conftest.py")]
    used = {
        n for path in sources for n in re.findall(r"PYENO_[A-Z]\w+", path.read_text("utf-8"))
    }
    built_with = re.search(r"in \(([^)]*)\)\n\)", text("setup.py"))
    assert built_with
    assert table == used | {f"PYENO_{name}" for name in re.findall(r'"(\w+)"', built_with[1])}


def test_status_and_doctor() -> None:
    tables = list(rows("docs/install.md", "Is it attached? Is all well?"))
    named = {name for row in tables for name in quoted(row[0])}
    assert named >= set(attach.Status._fields)
    assert named >= {check.name for check in doctor.examine()}


def test_config_fields() -> None:
    table = {
        name for row in rows("docs/python.md", "`pyeno.Config`") for name in quoted(row[0])
    }
    assert table == {field.name for field in fields(Config) if field.init}


def test_socket_options_have_their_numbers() -> None:
    table = {
        quoted(row[1]).pop(): kernel.TCP_ENO_BASE + int(row[0])
        for row in rows("docs/socket-options.md", "TCP-ENO socket options")
    }
    assert table == {
        name: value for name, value in vars(kernel).items()
        if name.startswith("TCP_ENO_") and name != "TCP_ENO_BASE"
    }  # fmt: skip


def test_examples_without_sockets_run() -> None:
    for example in re.findall(r"```python\n(.*?)```", text("docs/option.md"), re.S):
        exec(compile(example, "docs/option.md", "exec"), {})  # noqa: S102


@pytest.mark.parametrize("path", [ROOT / "README.md", *DOCUMENTS], ids=lambda path: path.name)
def test_examples_compile(path: Path) -> None:
    for example in re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.S):
        compile(example, str(path), "exec")
