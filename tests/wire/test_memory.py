"""Forward secrecy: what a process no longer needs is not in its memory any more
(RFC 8547 section 5.1; RFC 8548 sections 3.3, 3.5, 3.8).

The peer, an oracle here, knows every secret of the connection; pyeno runs in a process
of its own, whose memory is looked through from outside.
"""

import contextlib
import itertools
import os
import secrets as randomness
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from oracle import keys
from oracle.scheme import SCHEMES
from wire import memory
from wire.peering import TIMEOUT, Field
from wire.programs import INHERITED
from wire.rfcpeer import EnoPeer

pytestmark = pytest.mark.wire

SUBJECT = Path(__file__).with_name("memory_subject.py")
TEP = 0x23
LARGE = 60_000  # a frame that `cryptography` computes
GENERATIONS = 4
_ports = itertools.count(12000)


class Subject:
    """The process, and what we gave it for a private key."""

    def __init__(self, field: Field, role: str, port: int, aead: int) -> None:
        self.role, self.port = role, port
        self.private = randomness.token_bytes(SCHEMES[TEP].private_len)
        reader, writer = os.pipe()
        os.write(writer, self.private)
        os.close(writer)
        address = field.theirs() if role == "A" else field.ours()
        words = ["ip", "netns", "exec", field.tun.namespace.name, sys.executable, str(SUBJECT)]
        words += [role, address, str(port), str(aead), str(reader)]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, bufsize=1, pass_fds=[reader],
            env={name: os.environ[name] for name in INHERITED if name in os.environ},
        )  # fmt: skip
        os.close(reader)

    def hear(self, what: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{what}\n"

    def tell(self, command: str, size: int = 0) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command} {size}\n")

    def found(self, names: dict[str, bytes]) -> dict[str, set[str]]:
        return memory.found(self.process.pid, names)

    def close(self) -> None:
        self.process.kill()
        sys.stderr.write(self.process.communicate()[1])


@contextlib.contextmanager
def facing(field: Field, role: str, aead: int) -> Iterator[tuple[Subject, EnoPeer]]:
    """The subject in `role`, its TCP connected to the oracle's peer."""
    port = next(_ports)
    peer = EnoPeer(field.host, source="" if role == "A" else field.theirs(), aeads=(aead,))
    if role == "A":
        peer.listen(port)
    subject = Subject(field, role, port, aead)
    try:
        if role == "A":
            peer.accept(TIMEOUT)
        else:
            subject.hear("listening")
            peer.connect((field.ours(), port), timeout=TIMEOUT)
        yield subject, peer
    finally:
        subject.close()
        peer.conn.abort()


def digits(private: bytes) -> bytes:
    """A Curve25519 scalar as signed digits to base 16: how the public key is computed."""
    scalar = int.from_bytes(private, "little")
    scalar = scalar & ((1 << 255) - 8) | 1 << 254
    out = []
    for _ in range(64):
        digit = (scalar + 8) % 16 - 8
        scalar = (scalar - digit) >> 4
        out.append(digit)
    return bytes(digit & 0xFF for digit in out)


def pads(name: str, key: bytes) -> dict[str, bytes]:
    """A key of HMAC-SHA256 as it is, and as it is hashed."""
    return {
        name: key,
        f"{name} in ipad": bytes(byte ^ 0x36 for byte in key),
        f"{name} in opad": bytes(byte ^ 0x5C for byte in key),
    }


class Known:
    """Every secret of a connection, by the RFC's name, and generation by generation.

    The next session's secret is the kernel's to keep, where it may be resumed.
    """

    def __init__(self, subject: Subject, peer: EnoPeer) -> None:
        assert peer.keys is not None
        agreed = peer.keys
        i = peer.session.i - 1
        self.exchange = {
            "private key": subject.private,
            "private key in digits": digits(subject.private),
            **pads(f"ss[{i}]", agreed.ss),
            **pads(f"ss[{i + 1}]", keys.next_secret(agreed.ss)),
        }
        if agreed.es:
            self.exchange["ES"] = agreed.es
        self.master: list[dict[str, bytes]] = []
        self.traffic: list[dict[str, bytes]] = []
        mk = keys.first_master_key(agreed.ss, agreed.sn)
        for j in range(GENERATIONS):
            self.master.append(pads(f"mk[{j}]", mk))
            key_len = keys.AEADS[agreed.aead][1]
            self.traffic.append({})
            for way, key in zip(("ab", "ba"), keys.traffic_keys(mk, agreed.aead), strict=True):
                self.traffic[j][f"k_{way}[{j}]"] = key[:key_len]
                self.traffic[j][f"nonce randomizer of k_{way}[{j}]"] = key[key_len:]
            mk = keys.next_master_key(mk)

    def needed(self, generation: int | None) -> dict[str, bytes]:
        """What seals and opens in that generation, and gives the next one."""
        if generation is None:
            return {}
        master = f"mk[{generation}]"
        keys_only = {k: v for k, v in self.traffic[generation].items() if k.startswith("k_")}
        return keys_only | {master: self.master[generation][master]}

    def but(self, generation: int | None) -> dict[str, bytes]:
        """All that must be gone, or not be there yet, in that generation."""
        gone = dict(self.exchange)
        for j in range(GENERATIONS):
            if j != generation:
                gone |= self.master[j] | self.traffic[j]
        return gone


def agree(subject: Subject, peer: EnoPeer) -> Known:
    peer.handshake()
    subject.hear("ready")
    return Known(subject, peer)


def rekey_and_close(subject: Subject, peer: EnoPeer, known: Known) -> None:
    """Looked through after each."""
    # the subject has sent as much as one key set may; the peer follows
    both_ways(subject, peer, LARGE)
    both_ways(subject, peer, LARGE)
    both_ways(subject, peer, 100)
    assert (peer.opener.generation, peer.sealer.generation) == (1, 1)
    look(subject, known, 1)
    both_ways(subject, peer, LARGE // 2)
    # the peer begins, the subject follows
    subject.tell("recv", 100)
    peer.rekey(bytes(100))
    subject.hear("done")
    assert peer.recv_frame().rekey
    both_ways(subject, peer, 100)
    assert (peer.opener.generation, peer.sealer.generation) == (2, 2)
    look(subject, known, 2)
    close(subject, peer)
    look(subject, known, None)


def close(subject: Subject, peer: EnoPeer) -> None:
    """Both ends, the peer first."""
    subject.tell("end")
    peer.close()
    subject.hear("done")
    subject.tell("close")
    assert peer.recv() == b""
    subject.hear("done")
    peer.conn.wait_closed(TIMEOUT)


def write(subject: Subject) -> None:
    """A byte into a file; had it written one before, it would not be alive."""
    subject.tell("write")
    assert subject.process.wait(TIMEOUT) == -signal.SIGXFSZ


def reopen(field: Field, subject: Subject, peer: EnoPeer) -> None:
    """Another connection of the same process, opened as the first one was."""
    if subject.role == "A":
        peer.listen(subject.port)
        subject.tell("open")
        peer.accept(TIMEOUT)
    else:
        subject.tell("open")
        peer.connect((field.ours(), subject.port), timeout=TIMEOUT)


def look(subject: Subject, known: Known, generation: int | None) -> None:
    """Nothing but what this generation needs; and that is found, or we would be blind."""
    gone, needed = known.but(generation), known.needed(generation)
    places = subject.found(gone | needed)
    left = {name: where for name, where in places.items() if name in gone}
    assert not left, "\n".join(f"{name} at {where}" for name, where in left.items())
    assert places.keys() == needed.keys()


def both_ways(subject: Subject, peer: EnoPeer, size: int) -> None:
    for part in 100, size:
        subject.tell("send", part)
        assert peer.recv_exactly(part) == bytes(part)
        subject.hear("done")
        subject.tell("recv", part)
        peer.send(bytes(part))
        subject.hear("done")


every_aead = pytest.mark.parametrize("aead", keys.AEADS, ids=lambda aead: keys.AEADS[aead][0])


@pytest.mark.rfc("8547:5-8", "8547:5-9", "8548:3.5-28", "8548:3.8-11")
@every_aead
@pytest.mark.parametrize("role", "AB")
def test_a_fresh_connection(field: Field, role: str, aead: int) -> None:
    with facing(field, role, aead) as (subject, peer):
        known = agree(subject, peer)
        look(subject, known, 0)
        both_ways(subject, peer, LARGE)
        look(subject, known, 0)
        rekey_and_close(subject, peer, known)
        write(subject)


@pytest.mark.rfc("8547:5-8", "8547:5-9", "8548:3.5-26", "8548:3.5-28", "8548:3.8-11")
@every_aead
@pytest.mark.parametrize("role", "AB")
def test_a_resumed_connection(field: Field, role: str, aead: int) -> None:
    """RFC 8548 section 3.5: "erase ss[i] from memory" once mk[0] is there, and write no
    secret "to non-volatile storage"."""
    with facing(field, role, aead) as (subject, peer):
        fresh = agree(subject, peer)
        close(subject, peer)
        again = EnoPeer(field.host, source=peer.source, aeads=(aead,), sessions=(peer.session,))
        reopen(field, subject, again)
        known = agree(subject, again)
        assert again.negotiated is not None and again.negotiated.mode == "resume"
        look(subject, known, 0)
        left = subject.found(fresh.but(None))
        assert not left, left
        rekey_and_close(subject, again, known)
        write(subject)


@every_aead
def test_an_aborted_connection(field: Field, aead: int) -> None:
    """RFC 8548 section 3.6: what does not authenticate ends it, with the socket still held."""
    with facing(field, "B", aead) as (subject, peer):
        known = agree(subject, peer)
        both_ways(subject, peer, LARGE)
        subject.tell("abort")
        peer.send_frame(bytes(LARGE), rekey=True, bad_tag=True)
        subject.hear("done")
        look(subject, known, None)


def test_a_private_key_while_it_is_needed(field: Field) -> None:
    """RFC 8548 section 3.3: host A's until Init2; what was never there proves nothing."""
    with facing(field, "A", 1) as (subject, peer):
        wanted = {"private key": subject.private}
        until = time.monotonic() + TIMEOUT
        while not subject.found(wanted):
            assert time.monotonic() < until, "not found"
        known = agree(subject, peer)
        look(subject, known, 0)
