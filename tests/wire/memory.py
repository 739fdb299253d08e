"""Another process's memory, looked through from outside.

What is looked for is never in the other process on our account: it stays here.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

WORD = 8
WHOLE = 1 << 26  # of a mapping, read at once
SHADOW = 1 << 34  # a mapping as large as this is a sanitizer's, terabytes of nothing


def writable(pid: int) -> Iterator[tuple[int, int, str]]:
    """(start, end, name) of every mapping the process can have written to."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, mode, *rest = line.split(maxsplit=5)
        if mode.startswith("rw"):
            start, end = (int(part, 16) for part in span.split("-"))
            if end - start < SHADOW:
                yield start, end, rest[3] if len(rest) > 3 else "anonymous"


def words(secret: bytes) -> set[int]:
    """Every eight bytes in a row: 15 bytes of it anywhere have one of them aligned."""
    return {
        int.from_bytes(secret[at : at + WORD], "little") for at in range(len(secret) - WORD + 1)
    }


def found(pid: int, secrets: Mapping[str, bytes]) -> dict[str, set[str]]:
    """Which of the secrets, 15 bytes of them at least, stand where in the process."""
    owners = {word: name for name, secret in secrets.items() for word in words(secret)}
    places: dict[str, set[str]] = {}
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for start, end, name in writable(pid):
            for at in range(start, end, WHOLE):
                memory.seek(at)
                part = memory.read(min(WHOLE, end - at))
                for word in owners.keys() & set(memoryview(part).cast("Q")):
                    offset = at + part.find(word.to_bytes(WORD, "little")) - start
                    places.setdefault(owners[word], set()).add(f"{name} + {offset:#x}")
    return places
