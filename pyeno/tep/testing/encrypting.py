"""Clauses on authenticated encryption (RFC 8547 section 5, first and third to fifth item)."""

from collections.abc import Callable

from pyeno.constants import Role
from pyeno.errors import ABORTING
from pyeno.tep.testing.base import Suite
from pyeno.tep.testing.clauses import data_of, demand, flipped, places, windows
from pyeno.tep.testing.ends import drained, feed, taken

RULE = "RFC 8547 section 5: TEPs MUST protect TCP data streams with authenticated encryption"
NULL = "RFC 8547 section 5: TEPs MUST NOT allow the negotiation of null cipher suites"

Tamper = Callable[[list[bytes]], bytes]


TAMPERINGS: dict[str, Tamper] = {
    "a frame is missing": lambda f: f[0] + f[2],
    "the first frame is missing": lambda f: f[1] + f[2],
    "a frame comes twice": lambda f: f[0] + f[0] + f[1] + f[2],
    "an old frame comes at the end": lambda f: b"".join(f) + f[0],
    "two frames are exchanged": lambda f: f[1] + f[0] + f[2],
    "bytes are inserted": lambda f: f[0] + bytes(64) + f[1] + f[2],
    "random bytes are inserted": lambda f: f[0] + data_of(64) + f[1] + f[2],
}


class Encrypting(Suite):
    """What passes unaltered, and what does not pass."""

    def test_data_arrive(self) -> None:
        """Whatever their size, both ways, in order, by both doors."""
        pair = self.met()
        most = pair[Role.A].frame_data
        for n, size in enumerate((1, 2, most - 1, most, most + 1, 3 * most + 7)):
            for role in Role:
                said = data_of(size, n)
                got = pair.say(role, said, by_room=bool(n % 2))
                demand(got == said, RULE, f"{size} bytes of host {role.value} arrive otherwise")

    def test_no_data(self) -> None:
        """Sending nothing gives nothing, and hinders nothing."""
        pair = self.met()
        demand(pair.say(Role.A, b"") == b"", RULE, "of no data something arrives")
        demand(pair.say(Role.A, b"x") == b"x", RULE, "after no data nothing arrives")

    def test_cut_anywhere(self) -> None:
        """TCP cuts its stream where it likes, in the key exchange too."""
        said = data_of(500)
        for size in (1, 2, 3, 5, 7, 64):
            pair = self.met(size)
            for role in Role:
                got = pair.say(role, said, size=size, by_room=size != 3)
                demand(got == said, RULE, f"cut after every {size} bytes it arrives otherwise")

    def test_key_exchange_and_data_together(self) -> None:
        """What a host sends at once may come at once."""
        for role in Role:
            pair = self.pair()
            other, said = pair[role.opposite], data_of(100)
            held = b""
            for _ in range(10):
                if other.established and pair[role].established:
                    break
                feed(pair[role], other.data_to_send())
                stream = pair[role].data_to_send()
                if pair[role].established:
                    held += stream + pair[role].send(said)
                    feed(other, held)
                    demand(
                        drained(other) == said, RULE, "data behind the key exchange are lost"
                    )
                    break
                feed(other, stream)

    def test_sealed_into_a_buffer(self) -> None:
        """seal_into() and send() make streams of the same meaning."""
        pair = self.met()
        said = data_of(2 * pair[Role.A].frame_data + 11)
        for size in (1 << 19, pair[Role.A].frame_data + 4096):
            got, left = b"", memoryview(said)
            out = bytearray(size)
            for _ in range(100):
                if not left:
                    break
                count, written = pair[Role.A].seal_into(out, left)
                demand(written <= size, RULE, "it writes beyond the buffer")
                feed(pair[Role.B], bytes(out[:written]))
                got += drained(pair[Role.B])
                left = left[count:]
            demand(
                got == said, RULE, f"sealed into {size} bytes at a time it arrives otherwise"
            )

    def test_nothing_legible(self) -> None:
        """No run of eight bytes of the data is on the wire."""
        pair = self.met()
        said = data_of(4096)
        for role in Role:
            pair.say(role, said)
            seen = windows(bytes(pair.sent[role]))
            demand(windows(said).isdisjoint(seen), NULL, f"host {role.value} sends plaintext")

    def test_never_the_same_bytes(self) -> None:
        """The same data give other bytes: later, in the other direction, and in another
        connection, which also shows that keys are not long-lived."""
        said, seen = bytes(4096), set[bytes]()
        streams = []
        for _ in range(2):
            pair = self.met()
            streams += [pair.sealed(role, said) for role in Role for _ in range(2)]
        for stream in streams:
            found = {stream[at : at + 16] for at in range(64, len(stream) - 64, 16)}
            demand(len(found) > 100 and seen.isdisjoint(found), RULE, "ciphertext is repeated")
            seen |= found

    def test_altered_bytes(self) -> None:
        """Any bit changed is found out, and nothing altered is delivered."""
        said = [data_of(40, n) for n in range(3)]
        size = len(self._frames(Role.A, said))
        for role in Role:
            for place in places(size, self.samples):
                pair = self.met()
                stream = flipped(b"".join(pair.sealed(role, part) for part in said), place)
                got, error = taken(pair[role.opposite], stream)
                whole = b"".join(said)
                demand(
                    error is not None and len(got) < len(whole) and whole.startswith(got),
                    RULE,
                    f"byte {place} of host {role.value}'s stream altered: {_told(got, error)}",
                )
                demand(
                    not pair[role.opposite].finished,
                    RULE,
                    "an altered stream passes for one that ended",
                )

    def _frames(self, role: Role, said: list[bytes]) -> bytes:
        pair = self.met()
        return b"".join(pair.sealed(role, part) for part in said)

    def test_tampered_stream(self) -> None:
        """Frames left out, repeated, exchanged, inserted."""
        said = [data_of(40, n) for n in range(3)]
        for role in Role:
            for what, tamper in TAMPERINGS.items():
                pair = self.met()
                frames = [pair.sealed(role, part) for part in said]
                end = pair.sealed(role, b"", fin=True)
                got, error = taken(pair[role.opposite], tamper(frames) + end)
                demand(
                    error is not None and b"".join(said).startswith(got),
                    RULE,
                    f"{what} in host {role.value}'s stream: {_told(got, error)}",
                )

    def test_reflected_stream(self) -> None:
        """A host does not take its own bytes for the peer's."""
        for role in Role:
            pair = self.met()
            got, error = taken(pair[role], pair.sealed(role, data_of(100), fin=True))
            demand(not got and error is not None, RULE, f"reflected: {_told(got, error)}")

    def test_stream_of_another_connection(self) -> None:
        """Nor those of another connection."""
        for role in Role:
            stream = self.met().sealed(role, data_of(100), fin=True)
            got, error = taken(self.met()[role.opposite], stream)
            demand(not got and error is not None, RULE, f"alien: {_told(got, error)}")

    def test_altered_key_exchange(self) -> None:
        """It fails, or comes to what it would have come to: never to different session IDs
        between which data pass."""
        for role in Role:
            size = len(self.met().sent[role])
            for place in places(size, self.samples):
                self._alter_key_exchange(role, place)

    def _alter_key_exchange(self, role: Role, place: int) -> None:
        pair = self.pair()
        done = 0

        def change(stream: bytes) -> bytes:
            nonlocal done
            at, done = place - done, done + len(stream)
            return flipped(stream, at) if 0 <= at < len(stream) else stream

        pair.changes[role] = change
        try:
            pair.settle()
        except ABORTING:
            return
        if not pair.established:
            return
        same = pair[Role.A].session_id == pair[Role.B].session_id
        for sender in Role:
            said = data_of(100)
            try:
                stream = pair.sealed(sender, said)
            except ABORTING:  # it has taken notice already
                continue
            got, _ = taken(pair[sender.opposite], stream, eof=False)
            demand(
                not got or (same and got == said),
                RULE,
                f"byte {place} of host {role.value}'s key exchange altered: data pass between "
                "hosts that do not agree",
            )


def _told(got: bytes, error: Exception | None) -> str:
    ends = "no error" if error is None else type(error).__name__
    return f"{len(got)} bytes delivered, {ends}"
