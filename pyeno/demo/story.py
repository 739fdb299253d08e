"""The sequence: files, hosts, one connection with ENO, one to a plain peer.

Everything is measured and captured first; ladder and proofs come after, from
the two capture files and what the ends printed.
"""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from pyeno import pcap, streams
from pyeno.demo import ends, proofs
from pyeno.demo.capture import Capture
from pyeno.demo.hosts import DemoError, Hosts
from pyeno.demo.ladder import Step, steps
from pyeno.demo.proofs import OnWire, Proof
from pyeno.streams import Conversation, GapError, Stream

PORT, PLAIN_PORT = 7000, 7001
BLOCK = 4096
"""The marker comes once per block: no segment border can hide all of them."""
PLAIN_SIZE = 1 << 20
TRIES = 3
"""A transfer whose capture lost packets proves nothing; it is made again."""
SECONDS = 45.0

Say = Callable[[str], None]


class Took(NamedTuple):
    """One connection: what its capture shows and what its ends printed."""

    conversation: Conversation
    steps: list[Step]
    wire: OnWire
    ends: tuple[dict[str, Any], dict[str, Any]]
    """active opener's account, passive opener's"""
    sha256: tuple[str, str]
    """of what each of them received"""


class Report(NamedTuple):
    """Everything there is to show."""

    eno: Took
    plain: Took
    transfers: list[dict[str, Any]]
    proofs: list[Proof]
    seconds: float

    @property
    def ok(self) -> bool:
        """Every proof holds."""
        return all(proof.ok for proof in self.proofs)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for ``--json``."""
        return {
            "ok": self.ok,
            "seconds": round(self.seconds, 2),
            "ladder": [step.as_dict() for step in self.eno.steps],
            "plain_ladder": [step.as_dict() for step in self.plain.steps],
            "ends": {
                "A": self.eno.ends[0],
                "B": self.eno.ends[1],
                "A_to_plain_peer": self.plain.ends[0],
                "plain_peer": self.plain.ends[1],
            },
            "transfers": self.transfers,
            "proofs": [proof._asdict() for proof in self.proofs],
        }


def tell(size: int, keep: Path | None, say: Say) -> Report:
    """Hold the demonstration with files of ``size`` bytes.

    ``keep``: a directory to leave the two captures in.  Raises DemoError,
    KernelError, OSError; nothing is left behind in any case.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pyeno-demo-") as name, Hosts() as hosts:
        scratch = Path(name)
        marker = f"pyeno-demo-{secrets.token_hex(16)}".encode()
        say(f"making two files of {size >> 20} MiB and two network namespaces")
        files = [make_file(scratch / letter, size, marker) for letter in "ab"]
        short = make_file(scratch / "short", min(PLAIN_SIZE, size), marker)
        say("sending one file each way, under tcpdump")
        eno = _complete(lambda: _with_eno(hosts, files, marker), say)
        say("connecting to a peer without ENO")
        plain = _complete(lambda: _with_plain_peer(hosts, short, marker), say)
        transfers = _transfers(files, eno)
        shown = [
            proofs.arrived(transfers),
            _ciphertext_only(marker, files, eno.wire, plain.wire),
            proofs.same_session(*eno.ends),
            proofs.fallback(plain.ends[0], digest(short), plain.ends[1], plain.sha256[0]),
        ]
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            for path in scratch.glob("*.pcap"):
                shutil.copy(path, keep)
        return Report(eno, plain, transfers, shown, time.monotonic() - begun)


def make_file(path: Path, size: int, marker: bytes) -> Path:
    """Random bytes, every block of which begins with the marker."""
    with path.open("wb") as file:
        for _ in range(size // BLOCK):
            file.write(marker + os.urandom(BLOCK - len(marker)))
    return path


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    total = sha256()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            total.update(data)
    return total.hexdigest()


# -- the two connections ---------------------------------------------------------


def _with_eno(hosts: Hosts, files: list[Path], marker: bytes) -> Took:
    capture = Capture(hosts, hosts.a, files[0].with_name("eno.pcap"))
    passive = ends.listen(hosts, PORT, files[1])
    active = ends.connect(hosts, PORT, files[0])
    return _take(capture, PORT, marker, active, passive)


def _with_plain_peer(hosts: Hosts, source: Path, marker: bytes) -> Took:
    capture = Capture(hosts, hosts.a, source.with_name("plain.pcap"))
    passive = ends.listen_plainly(hosts, PLAIN_PORT)
    active = ends.connect(hosts, PLAIN_PORT, source)
    return _take(capture, PLAIN_PORT, marker, active, passive)


def _complete(make: Callable[[], Took], say: Say) -> Took:
    """What ``make`` gives, made again while its capture has holes."""
    took = make()
    for _ in range(TRIES - 1):
        if not took.wire.gap:
            break
        say(f"the capture is not complete ({took.wire.gap}), once more")
        took = make()
    return took


def _take(
    capture: Capture, port: int, marker: bytes, active: ends.End, passive: ends.End
) -> Took:
    said_a, received_a = active.finish(SECONDS)
    said_b, received_b = passive.finish(SECONDS)
    dropped = capture.stop()
    segments = pcap.segments(capture.path.read_bytes())
    found = [c for c in streams.conversations(segments) if c.passive.source.port == port]
    if len(found) != 1:
        raise DemoError(f"{len(found)} connections to port {port} were captured, expected 1")
    wire = proofs.look(capture.path, found[0], marker, dropped)
    told = steps(found[0])
    return Took(found[0], told, wire, (said_a, said_b), (received_a, received_b))


# -- the account -----------------------------------------------------------------


def _ciphertext_only(marker: bytes, files: list[Path], wire: OnWire, plain: OnWire) -> Proof:
    counts = [proofs.occurrences_in_file(path, marker) for path in files]
    size = min(path.stat().st_size for path in files)
    return proofs.ciphertext_only(marker, min(counts), size, wire, plain)


def _transfers(files: list[Path], took: Took) -> list[dict[str, Any]]:
    """Each file's way, with its rate: taken while tcpdump ran on the same
    machine, and both directions at once."""
    ways = (
        ("A", "B", files[0], took.sha256[1], took.conversation.active),
        ("B", "A", files[1], took.sha256[0], took.conversation.passive),
    )
    return [
        {
            "from": sender,
            "to": receiver,
            "bytes": path.stat().st_size,
            "sha256": digest(path),
            "sha256_received": received,
            "megabytes_per_second_under_capture": _rate(stream),
        }
        for sender, receiver, path, received, stream in ways
    ]


def _rate(stream: Stream) -> float | None:
    """10^6 stream bytes a second, from the first to the last segment captured."""
    times = [segment.time for _, segment in stream.parts]
    try:
        size = sum(len(piece) for piece in stream.pieces())
    except GapError:
        return None
    span = max(times) - min(times) if times else 0.0
    return round(size / span / 1e6, 1) if span > 0 else None
