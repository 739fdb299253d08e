"""The text of an RFC, as its statements are looked for in it."""

import re
from collections.abc import Iterator

KEYWORD = re.compile(
    r"\b(?:MUST NOT|SHALL NOT|SHOULD NOT|NOT RECOMMENDED|MUST|REQUIRED|SHALL|SHOULD"
    r"|RECOMMENDED|MAY|OPTIONAL)\b"
)
# the boilerplate of BCP 14 quotes each key word without using it
BOILERPLATE = "2"

_FOOT = re.compile(r"^.*\[Page \d+\]\n\f?\n?(?:RFC \d+ .*\n)?", re.M)
_HEAD = re.compile(r"^(\d+(?:\.\d+)*)\.  \S.*$", re.M)


def sections(text: str) -> dict[str, str]:
    """Number to text, in one line: no page breaks, no indents, no broken words."""
    text = _FOOT.sub("", text)
    heads = list(_HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {
        head[1]: flat(text[head.end() : end]) for head, end in zip(heads, ends, strict=True)
    }


def flat(text: str) -> str:
    return " ".join(re.sub(r"(?<=\w)-\n *(?=\w)", "-", text).split())


def keywords(text: str) -> Iterator[tuple[str, int]]:
    """Each key word in capitals, and where it stands."""
    for found in KEYWORD.finditer(text):
        yield found[0], found.start()
