"""In which definition a line of source stands, as far as this project's style tells.

C is laid out by clang-format: what begins in the first column is a definition, a
line that begins with ``}`` ends it.  Python and Cython go by indentation.
"""

import re
from collections.abc import Sequence

_MACRO_CALL = re.compile(r"\b(?:SEC|__attribute__|_Static_assert)\s*\(+[^)]*\)+")
_DEFINED = re.compile(
    r"#define (\w+)|(?:struct|union|enum) (\w+) \{|(\w+)(?:\[[^\]]*\])* = |\b(\w+)\("
)
_PYTHON = re.compile(r" *(?:async def|def|class|cdef class|cp?def(?! class)[^=(]*?) (\w+)[(:]")
_CONSTANT = re.compile(r"(\w+)(?:: [^=]+)? = ")


def of(path: str, lines: Sequence[str], number: int) -> str:
    """The definition that line ``number`` (from 0) stands in or heads; "" if none."""
    return (_in_c if path.endswith((".c", ".h")) else _in_python)(lines, number)


def _in_c(lines: Sequence[str], number: int) -> str:
    start = max((i + 1 for i in range(number) if lines[i].startswith("}")), default=0)
    for i in range(start, number):
        if _opens(lines[i]):
            return _name(_head(lines, start, i)) or _tail(lines, number)
    return _name(_following(lines, number))


def _opens(line: str) -> bool:
    return line.startswith("{") or bool(re.match(r"[A-Za-z_].*\{$", line))


def _head(lines: Sequence[str], start: int, end: int) -> str:
    """The code that leads up to an opening brace, from after the last empty line."""
    for i in range(end, start, -1):
        if not lines[i - 1] or lines[i - 1].rstrip().endswith(("*/", ";")):
            start = i
            break
    return " ".join(lines[start : end + 1])


def _following(lines: Sequence[str], number: int) -> str:
    """A line of its own and what follows it, up to an empty line, without comments."""
    block = []
    for line in lines[number:]:
        if not line.strip():
            break
        block.append(line)
    code = " ".join(block)
    if code.lstrip().startswith(("/*", "*")):
        code = code.partition("*/")[2].lstrip()
    # a file's own comment, before its guard and includes, heads nothing
    return "" if code.startswith(("#ifndef", "#include")) else re.sub(r"/\*.*?\*/", "", code)


def _tail(lines: Sequence[str], number: int) -> str:
    """``} name SEC(".maps");``: structures without a tag are named where they end."""
    for line in lines[number:]:
        if line.startswith("}"):
            found = re.match(r"\} (\w+)", line)
            return found[1] if found else ""
    return ""


def _name(code: str) -> str:
    found = _DEFINED.search(_MACRO_CALL.sub("", code))
    return next(filter(None, found.groups())) if found else ""


def _in_python(lines: Sequence[str], number: int) -> str:
    here = lines[number]
    if found := _CONSTANT.match(here):
        return found[1]
    names: list[str] = []
    indent = len(here) - len(here.lstrip()) + bool(_PYTHON.match(here))
    for line in reversed(lines[: number + 1]):
        found = _PYTHON.match(line)
        if found and len(line) - len(line.lstrip()) < indent:
            indent = len(line) - len(line.lstrip())
            names.insert(0, found[1])
    return ".".join(names)
