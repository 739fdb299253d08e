"""docs/run.md says what is built."""

import re
from dataclasses import fields

from unit.test_docs import OPTION, options, quoted, rows, text

from pyeno.relay import SECURE_PORTS, Record, Settings
from pyeno.relay.engine import ENDS
from pyeno.relay.records import Book

NAME = "docs/run.md"


def table(heading: str) -> set[str]:
    """The quoted names in the first column of the table under a heading."""
    return {name for row in rows(NAME, heading) for name in quoted(row[0])}


def test_options() -> None:
    named = {words.split()[0] for words in table("Options")}
    assert named == options("run") - {"--help"}
    assert set(OPTION.findall(text(NAME))) >= named


def test_json_fields() -> None:
    """What is not told here is told of pyeno connect."""
    elsewhere = {n for row in rows("docs/cli.md", "The JSON object") for n in quoted(row[0])}
    record = Record(1, "inbound", ("192.0.2.1", 80), None)
    record.error = "so that the field is there"
    assert (
        table("The JSON objects") | (elsewhere - {"authenticated"}) == record.as_dict().keys()
    )


def test_sums() -> None:
    assert table("The sums") == Book().counters().keys()


def test_ends() -> None:
    named = quoted(re.findall(r"`end` may also be (.*?)\.\n", text(NAME), re.S)[0])
    assert named >= set(ENDS[1:]) - {"fin", "reset", "truncated", "auth-failed"}


def test_settings() -> None:
    assert table("In Python") == {field.name for field in fields(Settings)}


def test_secure_ports() -> None:
    listed = re.findall(r"protocols that encrypt themselves: ([\d, ]+)", text(NAME))[0]
    assert {int(port) for port in listed.split(",")} == SECURE_PORTS
