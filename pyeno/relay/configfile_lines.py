"""Where the keys of a TOML text stand: tomllib tells values, not lines.

For texts that tomllib has accepted; anything else gives some lines, or none.
"""

import re
from collections.abc import Iterator
from typing import Final

Path = tuple[str, ...]
"""a dotted key, its tables first"""

_TOKENS: Final = re.compile(
    r'''
    (?P<skip>    [ \t\r]+ | \#[^\n]* )
  | (?P<text>    """(?:[^\\]|\\.)*?"{3,5} | \'{3}.*?\'{3,5} )
  | (?P<quoted>  "(?:[^"\\\n]|\\.)*" | '[^'\n]*' )
  | (?P<newline> \n )
  | (?P<bare>    [^\s"'\[\]{}=,.\#]+ )
  | (?P<sign>    . )
    ''',
    re.VERBOSE | re.DOTALL,
)


def find(text: str) -> dict[Path, int]:
    """The line, from 1, of every key and of every table's first heading."""
    lines: dict[Path, int] = {}
    table: Path = ()
    for number, words in _statements(text):
        heading = words[0] == "["
        key = tuple(_unquoted(word) for word in _key(words) if word != ".")
        if heading:
            table = key
        path = key if heading else table + key
        for size in range(1, len(path) + 1):
            lines.setdefault(path[:size], number)
    return lines


def line_of(lines: dict[Path, int], path: Path) -> int:
    """Of this key, or of the innermost one around it that is written out; else 1."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line, words) of every heading and every assignment: newlines in brackets,
    and in strings, end nothing."""
    number = begins = 1
    depth = 0
    words: list[str] = []
    for match in _TOKENS.finditer(text + "\n"):
        word, kind = match[0], match.lastgroup
        if kind == "newline" and depth == 0 and words:
            yield begins, words
            words = []
        elif kind not in ("newline", "skip"):
            begins = number if not words else begins
            words.append(word)
            depth += (word in "[{") - (word in "]}") if kind == "sign" else 0
        number += word.count("\n")


def _key(words: list[str]) -> list[str]:
    """What stands before the ``=``, or in the brackets of a heading."""
    key: list[str] = []
    for word in words:
        if word == "=" or (key and word == "]"):
            break
        if word != "[":
            key.append(word)
    return key


def _unquoted(word: str) -> str:
    return word[1:-1] if word[0] in "\"'" else word
