"""The RFCs' statements, as docs/statements/*.toml has them."""

import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import rfc

FIELDS = {"id", "keyword", "nth", "of", "quote", "does-not-bind", "not-taken"}
OPTIONS = ("MAY", "OPTIONAL")


@dataclass(frozen=True)
class Statement:
    name: str  # "8547:4.2-3": as marks have it
    keyword: str  # the key word it is about; "" for a rule that has none
    nth: int  # of several of that key word in the quote
    of: str  # the statement that heads the list it stands in, or ""
    quote: str
    does_not_bind: str
    not_taken: str  # why an option (MAY) is left alone

    @property
    def section(self) -> str:
        return self.name.partition(":")[2].rpartition("-")[0]

    @property
    def optional(self) -> bool:
        return self.keyword in OPTIONS

    @property
    def binding(self) -> bool:
        return not (self.does_not_bind or self.not_taken)


@dataclass(frozen=True)
class Document:
    rfc: int
    title: str
    statements: tuple[Statement, ...]


def load(path: Path) -> Document:
    """One document; ValueError names what is wrong with it."""
    data = tomllib.loads(path.read_text("utf-8"))
    number, seen = data["rfc"], set[str]()
    statements = []
    for row in data["statement"]:
        name = f"{number}:{row['id']}"
        if unknown := row.keys() - FIELDS:
            raise ValueError(f"{path.name}: {name} has unknown fields {sorted(unknown)}")
        if row["id"] in seen:
            raise ValueError(f"{path.name}: {name} stands there twice")
        if row.get("of", row["id"]) not in seen | {row["id"]}:
            raise ValueError(f"{path.name}: {name} stands under {row['of']}, not above it")
        seen.add(row["id"])
        statement = Statement(
            name,
            row.get("keyword", ""),
            row.get("nth", 1),
            f"{number}:{row['of']}" if "of" in row else "",
            row["quote"],
            row.get("does-not-bind", ""),
            row.get("not-taken", ""),
        )
        if statement.not_taken and not statement.optional:
            raise ValueError(f"{path.name}: {name} is no option that could be left")
        statements.append(statement)
    return Document(number, data["title"], tuple(statements))


def load_all(folder: Path) -> list[Document]:
    return [load(path) for path in sorted(folder.glob("rfc*.toml"))]


def compare(statements: Sequence[Statement], text: str) -> Iterator[str]:
    """What the statements and the RFC's text have that the other lacks: every key
    word wants one statement, every quote its words in its section."""
    sections = rfc.sections(text)
    covered: Counter[tuple[str, int]] = Counter()
    for statement in statements:
        section = sections.get(statement.section, "")
        if section.count(statement.quote) != 1:
            yield f"{statement.name}: section {statement.section} has not this text once"
            continue
        places = [at for word, at in rfc.keywords(statement.quote) if word == statement.keyword]
        if statement.keyword and statement.nth > len(places):
            yield f"{statement.name}: the quote has no such {statement.keyword}"
        elif statement.keyword:
            at = section.index(statement.quote) + places[statement.nth - 1]
            covered[statement.section, at] += 1
    for number, section in sections.items():
        if number == rfc.BOILERPLATE:
            continue
        for word, at in rfc.keywords(section):
            if (times := covered[number, at]) != 1:
                near = section[max(0, at - 30) : at + 40]
                yield f"section {number}: {times} statements for {word} in “{near}”"
