"""The tcpcrypt vectors of two independent readings, as sessions to be replayed.

A session is a fresh handshake or one resumed from it; its fields are named as
in tests/vectors/README.md.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

DIRECTORY = Path(__file__).parent / "vectors"
FILES = [*sorted(DIRECTORY.glob("tcpcrypt-*.json")), DIRECTORY / "sample.json"]


class Stream(NamedTuple):
    """One direction: traffic keys by generation, and the frames in order."""

    label: str
    aead: int
    keys: list[bytes]
    frames: list[dict[str, Any]]


def handshakes() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in FILES:
        for place, handshake in enumerate(json.loads(path.read_text())["handshakes"]):
            yield f"{path.stem}-{place}-{handshake['aead_name']}", handshake


HANDSHAKES = dict(handshakes())


def resumed() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for label, handshake in HANDSHAKES.items():
        for kind in ("resumed_roles_kept", "resumed_roles_swapped"):
            if kind in handshake:
                yield f"{label}-{kind}", handshake, handshake[kind]


RESUMED = {label: (handshake, session) for label, handshake, session in resumed()}


def _keys(session: dict[str, Any], which: str) -> list[bytes]:
    return [bytes.fromhex(key) for key in session[which]]


def streams() -> Iterator[Stream]:
    for label, handshake in HANDSHAKES.items():
        for way in ("ab", "ba"):
            keys = _keys(handshake, f"k_{way}")
            yield Stream(f"{label}-{way}", handshake["aead"], keys, handshake[f"frames_{way}"])
    for label, (handshake, session) in RESUMED.items():
        for host in ("a", "b"):
            keys = _keys(session, session[f"host_{host}_sends_with"])
            frames = session[f"frames_from_{host}"]
            yield Stream(f"{label}-{host}", handshake["aead"], keys, frames)


STREAMS = {stream.label: stream for stream in streams()}


def data_of(frame: dict[str, Any]) -> bytes:
    data = frame["data"]
    if isinstance(data, str):
        return bytes.fromhex(data)
    return hashlib.shake_256(b"oracle data").digest(data["pattern"])


def matches(stream: bytes, expected: str | dict[str, Any]) -> bool:
    """Whether bytes are what a vector says, in full or by length, hash and ends."""
    if isinstance(expected, str):
        return stream.hex() == expected
    return (
        len(stream) == expected["length"]
        and hashlib.sha256(stream).hexdigest() == expected["sha256"]
        and stream[:32].hex() == expected["first"]
        and stream[-32:].hex() == expected["last"]
    )
