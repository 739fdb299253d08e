"""docs/conformance.md, and whether what it says is so."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from . import rfc
from .marks import Mark
from .statements import Document, Statement

HEAD = """\
# Conformance

Every normative statement of RFC 8547 and RFC 8548: where pyeno obeys it and which
tests show it. Written by `ci/compliance`; `ci/test` fails when this file is not what
comes out, when a statement has no code or no test, when one of its tests did not pass,
and when a mark names no statement.

## How to read it

* One row for each upper-case key word of BCP 14, the one in **bold**: a sentence with
  two has two rows. The number is the section and the count within it; marks have the
  RFC's number before it.
* An item of a list whose key word stands above the list is a row of its own, with the
  row of that key word: “under 4.6-3”.
* Rules that bind without a key word (formulas, encodings, constants, the meaning of a
  field) are rows without bold.
* MAY and OPTIONAL are at the end of each RFC: taken, with code and tests, or not, and
  why.
* Code and tests are named by file and definition. In the sources the mark is
  `[8547:4.2-3]` beside the line, in the tests `@pytest.mark.rfc("8547:4.2-3")`.
* A statement that does not bind pyeno says whom it binds instead.

The statements are [docs/statements](statements), compared with the RFCs' own texts by
`ci/compliance --rfc DIRECTORY`, the directory having `rfc8547.txt` and `rfc8548.txt`:
no key word is without a row, every quote stands in its section.
"""

Marks = Mapping[str, Sequence[Mark]]


def grouped(marks: Iterable[Mark]) -> Marks:
    """By statement."""
    by_name: dict[str, list[Mark]] = defaultdict(list)
    for mark in marks:
        by_name[mark.statement].append(mark)
    return by_name


def problems(
    documents: Sequence[Document],
    code: Sequence[Mark],
    tests: Sequence[Mark],
    results: Mapping[str, bool] | None,
) -> Iterator[str]:
    """What is missing or wrong, but for the file itself.  Without results a test
    counts by its mark."""
    known = {s.name: s for document in documents for s in document.statements}
    for mark in [*code, *tests]:
        place = f"{mark.path}:{mark.line}"
        if mark.statement not in known:
            yield f"{place}: {mark.statement} is no statement"
        elif not known[mark.statement].binding:
            yield f"{place}: {mark.statement} is said not to bind, or not to be taken"
    obeyed, shown = grouped(code), grouped(tests)
    for statement in known.values():
        if statement.binding:
            if statement.name not in obeyed:
                yield f"{statement.name}: no mark in the code"
            if statement.name not in shown:
                yield f"{statement.name}: no test"
    if results is not None:
        for mark in tests:
            test = f"{mark.path}::{mark.symbol}"
            if not results.get(test):
                what = "failed" if test in results else "did not run"
                yield f"{mark.statement}: {test} {what}"


def render(documents: Sequence[Document], code: Sequence[Mark], tests: Sequence[Mark]) -> str:
    """The whole file."""
    obeyed, shown = grouped(code), grouped(tests)
    parts = [HEAD, *_counts(documents, obeyed, shown)]
    for document in documents:
        parts.append(f"\n## RFC {document.rfc}: {document.title}")
        required = [s for s in document.statements if not s.optional]
        parts.extend(_sections(document, required, obeyed, shown, ""))
        options = [s for s in document.statements if s.optional]
        parts.extend(_sections(document, options, obeyed, shown, ": options"))
    return "\n".join(parts) + "\n"


def _counts(documents: Sequence[Document], obeyed: Marks, shown: Marks) -> Iterator[str]:
    yield "## In numbers\n"
    yield "| | statements | do not bind | not taken | bind | obeyed and shown |"
    yield "|---|---|---|---|---|---|"
    every = []
    for document in documents:
        kinds = {
            "key words": [s for s in document.statements if s.keyword and not s.optional],
            "list items and rules without": [s for s in document.statements if not s.keyword],
            "MAY, OPTIONAL": [s for s in document.statements if s.optional],
        }
        for kind, chosen in kinds.items():
            yield _count(f"RFC {document.rfc}, {kind}", chosen, obeyed, shown)
        every.extend(document.statements)
    yield _count("both", every, obeyed, shown)


def _count(title: str, chosen: Sequence[Statement], obeyed: Marks, shown: Marks) -> str:
    binding = [s for s in chosen if s.binding]
    done = [s for s in binding if s.name in obeyed and s.name in shown]
    numbers = (
        len(chosen),
        sum(bool(s.does_not_bind) for s in chosen),
        sum(bool(s.not_taken) for s in chosen),
        len(binding),
        len(done),
    )
    return f"| {title} | {' | '.join(map(str, numbers))} |"


def _sections(
    document: Document, chosen: Sequence[Statement], obeyed: Marks, shown: Marks, suffix: str
) -> Iterator[str]:
    section = None
    for statement in chosen:
        if statement.section != section:
            section = statement.section
            yield f"\n### RFC {document.rfc}, section {section}{suffix}\n"
            yield "| | statement | code | tests |"
            yield "|---|---|---|---|"
        cells = (
            statement.name.partition(":")[2],
            _quote(statement),
            *_proof(statement, obeyed, shown),
        )
        yield f"| {' | '.join(cells)} |"


def _quote(statement: Statement) -> str:
    quote, places = statement.quote, list(rfc.keywords(statement.quote))
    at = [at for word, at in places if word == statement.keyword]
    if at:
        start = at[statement.nth - 1]
        end = start + len(statement.keyword)
        before, word, after = quote[:start], quote[start:end], quote[end:]
        quote = f"{_escaped(before)}**{word}**{_escaped(after)}"
    else:
        quote = _escaped(quote)
    under = f" (under {statement.of.partition(':')[2]})" if statement.of else ""
    return quote + under


def _escaped(text: str) -> str:
    return re.sub(r"([\\|*_<>\[\]`])", r"\\\1", text)


def _proof(statement: Statement, obeyed: Marks, shown: Marks) -> tuple[str, str]:
    if statement.does_not_bind:
        return f"does not bind: {statement.does_not_bind}", ""
    if statement.not_taken:
        return f"not taken: {statement.not_taken}", ""
    return _places(obeyed, statement), _places(shown, statement)


def _places(marks: Marks, statement: Statement) -> str:
    by_path: dict[str, list[str]] = defaultdict(list)
    for mark in marks.get(statement.name, ()):
        symbols = by_path[mark.path]
        if mark.symbol and mark.symbol not in symbols:
            symbols.append(mark.symbol)
    return "<br>".join(
        f"[{path}](../{path})" + "".join(f" `{symbol}`" for symbol in symbols)
        for path, symbols in by_path.items()
    ) or "**open**"  # fmt: skip
