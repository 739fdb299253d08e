"""How a clause is told as broken, and what several clauses need."""

import random
from collections.abc import Iterator

DATA_SEED = 8547


class Broken(AssertionError):
    """A TEP does not keep a clause; the message quotes the rule."""


def demand(holds: object, rule: str, fault: str) -> None:
    """Raise :class:`Broken` unless it holds."""
    if not holds:
        raise Broken(f"{fault} ({rule})")


def data_of(size: int, seed: int = DATA_SEED) -> bytes:
    """Application data without any pattern, the same every time."""
    return random.Random(seed).randbytes(size)  # noqa: S311


def places(size: int, samples: int) -> Iterator[int]:
    """Every place of ``size``, or ``samples`` of them, first and last included."""
    if size <= samples:
        yield from range(size)
        return
    for n in range(samples):
        yield n * (size - 1) // (samples - 1)


def flipped(stream: bytes, place: int) -> bytes:
    """One bit of it changed."""
    changed = bytearray(stream)
    changed[place] ^= 1 << place % 8
    return bytes(changed)


def windows(data: bytes, size: int = 8) -> set[bytes]:
    """Every run of ``size`` bytes."""
    return {data[at : at + size] for at in range(len(data) - size + 1)}
