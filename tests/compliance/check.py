"""One run of ci/compliance over a project."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from . import marks, report, statements

REPORT = Path("docs/conformance.md")


def run(
    root: Path, results: Mapping[str, bool] | None = None, rfcs: Path | None = None
) -> Iterator[str]:
    """Yield what is wrong.  Without results the report is written, with them compared."""
    documents = statements.load_all(root / "docs" / "statements")
    code, tests = marks.in_code(root), marks.in_tests(root)
    for document in documents if rfcs else []:
        text = (rfcs / f"rfc{document.rfc}.txt").read_text("utf-8")
        for difference in statements.compare(document.statements, text):
            yield f"RFC {document.rfc}: {difference}"
    yield from report.problems(documents, code, tests, results)
    text, path = report.render(documents, code, tests), root / REPORT
    if results is None:
        path.write_text(text, "utf-8")
    elif not path.exists() or path.read_text("utf-8") != text:
        yield f"{REPORT}: not what the marks make of it: run ci/compliance"
