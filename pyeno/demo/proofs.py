"""The three proofs, each a function from facts to a verdict.

The facts are captured bytes and what the two ends said of themselves; a proof
about the wire counts only if the capture holds every byte of both streams.
"""

import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pyeno._values import Buffer
from pyeno.constants import Reason
from pyeno.streams import Conversation, GapError

Facts = dict[str, Any]


class Proof(NamedTuple):
    """A verdict, what was to be shown, and what it rests on."""

    name: str
    ok: bool
    claim: str
    facts: Facts
    """plain values for ``--json``"""
    because: tuple[str, ...]
    """the same in sentences"""


# -- looking for the marker ----------------------------------------------------


def occurrences(data: "Buffer | mmap.mmap", marker: bytes) -> int:
    """How often ``marker`` is in ``data``."""
    if isinstance(data, memoryview):
        return bytes(data).count(marker)
    if not isinstance(data, mmap.mmap):
        return data.count(marker)
    count, at = 0, data.find(marker)
    while at >= 0:
        count, at = count + 1, data.find(marker, at + len(marker))
    return count


def occurrences_in_file(path: Path, marker: bytes) -> int:
    """How often ``marker`` is in a file, headers and all."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return occurrences(view, marker)


def occurrences_in_stream(pieces: Iterable[Buffer], marker: bytes) -> tuple[int, int]:
    """(stream bytes, how often ``marker`` is among them), across segment borders too."""
    size, count, tail = 0, 0, b""
    for piece in pieces:
        data = tail + bytes(piece)
        size += len(piece)
        count += data.count(marker)
        # too short to hold a whole marker: nothing is counted twice
        tail = data[max(0, len(data) - len(marker) + 1) :]
    return size, count


class OnWire(NamedTuple):
    """What one capture shows of one connection and the marker."""

    file_bytes: int
    dropped: int
    """packets the kernel dropped before tcpdump saw them"""
    in_file: int
    streams: tuple[int, int]
    """captured bytes of A's and of B's stream"""
    in_streams: int
    gap: str
    """what the capture lacks; empty: nothing"""

    @property
    def found(self) -> int:
        """Sightings of the marker, by whichever look saw more."""
        return max(self.in_file, self.in_streams)


def look(path: Path, conversation: Conversation, marker: bytes, dropped: int) -> OnWire:
    """Search a capture twice: its raw bytes, and both reassembled streams."""
    sizes, count, gaps = [], 0, []
    for stream in (conversation.active, conversation.passive):
        try:
            size, seen = occurrences_in_stream(stream.pieces(), marker)
        except GapError as error:
            size, seen = 0, 0
            gaps.append(str(error))
        sizes.append(size)
        count += seen
    found = occurrences_in_file(path, marker)
    streams = (sizes[0], sizes[1])
    return OnWire(path.stat().st_size, dropped, found, streams, count, "; ".join(gaps))


# -- proofs --------------------------------------------------------------------


def ciphertext_only(
    marker: bytes, in_files: int, file_bytes: int, wire: OnWire, plain: OnWire
) -> Proof:
    """The marker is in the files, and nowhere in the capture of their transfer.

    The plain connection's capture is the control: there the same search must
    find it.
    """
    complete = not wire.gap and not plain.gap and min(wire.streams) >= file_bytes
    because = [
        f"the marker is {in_files:,} times in each file and {wire.found:,} times in the "
        f"{wire.file_bytes:,} bytes captured",
        wire.gap
        or f"the capture has every byte of both streams ({wire.streams[0]:,} and "
        f"{wire.streams[1]:,}); packets dropped: {wire.dropped}",
        f"control: the same search finds it {plain.found:,} times in the plain connection's "
        f"{plain.file_bytes:,} bytes",
    ]
    facts = {
        "marker": marker.decode(),
        "in_each_file": in_files,
        "in_capture": wire.found,
        "capture": wire._asdict(),
        "control": plain._asdict(),
    }
    ok = complete and in_files > 0 and wire.found == 0 and plain.found > 0
    claim = "the file's text is never on the wire"
    return Proof("ciphertext-only", ok, claim, facts, tuple(because))


def same_session(active: Facts, passive: Facts) -> Proof:
    """Two processes, each printing the session ID it has."""
    ids = active.get("session_id") or "none", passive.get("session_id") or "none"
    roles = active.get("role"), passive.get("role")
    # RFC 8547 section 5.1: at least 33 bytes; section 4.3: opposite roles
    ok = len(ids[0]) >= 66 and ids[0] == ids[1] and set(roles) == {"A", "B"}
    because = (
        f"A has {ids[0]}",
        f"B has {ids[1]}",
        f"roles {roles[0]} and {roles[1]}, TEP {active.get('tep')}, AEAD {active.get('aead')}",
    )
    facts = {"A": ids[0], "B": ids[1], "roles": list(roles)}
    return Proof("same-session-id", ok, "both ends have the same session ID", facts, because)


def fallback(end: Facts, sent: str, peer: Facts, returned: str) -> Proof:
    """A peer without ENO: plain TCP, told so, and every byte arrives."""
    expected = Reason.SYN_ACK_WITHOUT_ENO.slug
    arrived = peer.get("sha256") == sent and returned == sent
    ok = end.get("encrypted") is False and end.get("reason") == expected and arrived
    because = (
        f"this end says: encrypted {end.get('encrypted')}, reason {end.get('reason')}",
        f"{peer.get('bytes', 0):,} bytes reached the plain peer and came back, SHA-256 "
        + ("equal" if arrived else "DIFFERENT"),
    )
    facts = {
        "encrypted": end.get("encrypted"),
        "reason": end.get("reason"),
        "bytes": peer.get("bytes"),
        "sha256_equal": arrived,
    }
    return Proof("fallback", ok, "a peer without ENO gets plain TCP that works", facts, because)


def arrived(transfers: list[Facts]) -> Proof:
    """Both files, whole."""
    ok = bool(transfers) and all(t["sha256"] == t["sha256_received"] for t in transfers)
    because = tuple(
        f"{t['from']} to {t['to']}: {t['bytes']:,} bytes, SHA-256 {t['sha256'][:16]}… "
        + ("equal" if t["sha256"] == t["sha256_received"] else "DIFFERENT")
        for t in transfers
    )
    return Proof("arrived", ok, "both files arrived whole", {"transfers": transfers}, because)
