"""Marks: ``[8547:4.2-3]`` in a comment or docstring of the code, and
``@pytest.mark.rfc("8547:4.2-3")`` on the test that shows it."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from . import symbols

SOURCES = (
    "ext/**/*.[ch]",
    "ext/**/*.pyx",
    "ext/**/*.px[di]",
    "pyeno/**/*.py",
    "pyeno/**/*.pyi",
)
GENERATED = ("ext/cython/*.c", "ext/bpf/*_insns.h")

_TOKEN = re.compile(r"\[(85\d\d):([^\]]*)")


class Mark(NamedTuple):
    statement: str
    path: str  # from the root of the project
    symbol: str  # the function, type or test it stands in; "" at the top of a file
    line: int


def in_code(root: Path) -> list[Mark]:
    """Every mark of the sources, in the order of files and lines."""
    paths = {path for pattern in SOURCES for path in root.glob(pattern)}
    paths -= {path for pattern in GENERATED for path in root.glob(pattern)}
    return [
        mark
        for path in sorted(paths)
        for mark in in_text(path.relative_to(root).as_posix(), path.read_text("utf-8"))
    ]


def in_text(path: str, text: str) -> Iterator[Mark]:
    """The marks of one source file."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        for found in _TOKEN.finditer(line):
            for part in found[2].split(","):
                name = f"{found[1]}:{part.strip()}"
                yield Mark(name, path, symbols.of(path, lines, number), number + 1)


def in_tests(root: Path) -> list[Mark]:
    """Every mark of the tests; ValueError for one that is not on a test."""
    return [
        mark
        for path in sorted((root / "tests").rglob("test_*.py"))
        for mark in in_test(path.relative_to(root).as_posix(), path.read_text("utf-8"))
    ]


def in_test(path: str, text: str) -> Iterator[Mark]:
    """The marks of one test file."""
    tree = ast.parse(text)
    known: set[int] = set()
    for function in _tests(tree):
        for decorator in function.decorator_list:
            if _is_mark(decorator):
                known.add(id(decorator))
                for name in _names(path, decorator):
                    yield Mark(name, path, function.name, decorator.lineno)
    for node in ast.walk(tree):
        if _is_mark(node) and id(node) not in known:
            raise ValueError(f"{path}:{node.lineno}: mark.rfc that is no test's decorator")


def _tests(tree: ast.Module) -> Iterable[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in tree.body:
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if function and node.name.startswith("test_"):
            yield node


def _is_mark(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.rfc"


def _names(path: str, call: ast.AST) -> Iterator[str]:
    assert isinstance(call, ast.Call)
    for argument in call.args:
        if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
            raise ValueError(f"{path}:{argument.lineno}: mark.rfc takes strings only")
        yield argument.value
