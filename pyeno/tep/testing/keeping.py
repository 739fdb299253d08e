"""Clauses on secrets, on rekeying, and on what sockets count on."""

import pickle
import re

from pyeno.constants import Role
from pyeno.errors import LocalProtocolError
from pyeno.events import DataReceived, EncryptionEnabled, EndOfStream
from pyeno.tep.interface import TepConnection
from pyeno.tep.testing.base import Suite
from pyeno.tep.testing.clauses import data_of, demand, flipped
from pyeno.tep.testing.ends import drained, feed, taken

ERASE = (
    "RFC 8547 section 5: bound the delay between closing a connection and erasing any relevant "
    "cryptographic secrets"
)
SECRET = re.compile(r"[0-9a-fA-F]{24}|(\\x[0-9a-f]{2}){4}")
"""Key material as a repr would show it."""


class Keeping(Suite):
    """Secrets are forgotten, and told to nobody; the rest of the interface."""

    def test_wipe(self) -> None:
        """Forward secrecy: nothing can be sent or read any more; twice, and at any time."""
        fresh = self.pair()
        for end in fresh.ends.values():
            end.wipe()
            end.wipe()
        pair = self.met()
        feed(pair[Role.B], pair.sealed(Role.A, data_of(100)))
        more = pair.sealed(Role.A, data_of(100))
        for end in pair.ends.values():
            end.wipe()
            end.wipe()
            for use in (
                lambda end=end: end.send(b"x"),
                lambda end=end: end.read(10),
                lambda end=end: feed(end, more),
                lambda end=end: end.data_to_send() and end.send(b""),
            ):
                self._demand_refused(use)

    def _demand_refused(self, use: object) -> None:
        try:
            left = use()  # type: ignore[operator]
        except LocalProtocolError:
            return
        demand(not left, ERASE, "after wipe() the connection still works")

    def test_not_shown(self) -> None:
        """Neither by repr() nor by pickling, which would copy them."""
        pair = self.met()
        pair.say(Role.A, data_of(100))
        for end in pair.ends.values():
            shown = f"{end!r} {end}"
            demand(not SECRET.search(shown), ERASE, "repr() shows what may be a secret")
            try:
                pickle.dumps(end)
            except Exception:  # noqa: S112 - of whatever kind: nothing was copied
                continue
            demand(False, ERASE, "it can be pickled, secrets and all")

    def test_errors_tell_no_data(self) -> None:
        """What an error says of a frame that fails is about its place and length."""
        pair = self.met()
        said = b"attack at dawn, attack at dawn, "
        stream = pair.sealed(Role.A, said)
        _, error = taken(pair[Role.B], flipped(stream, len(stream) - 1))
        demand(
            not SECRET.search(f"{error!r}") and "attack" not in f"{error!r}",
            "errors tell no secrets",
            f"an error shows data: {error!r}",
        )

    def test_rekeying(self) -> None:
        """As the definition says; Config.keepalive rests on the peer's answer."""
        pair = self.met()
        if not self.definition.rekeys:
            try:
                pair[Role.A].rekey()
            except LocalProtocolError:
                return
            demand(False, "Definition.rekeys", "it rekeys although the definition says no")
        for role in Role:
            one, other = pair[role], pair[role.opposite]
            before = one.generation
            one.rekey()
            demand(one.generation > before and one.unanswered, "rekeying", "no new generation")
            pair.settle()
            drained(other)
            pair.settle()
            drained(one)
            demand(not one.unanswered, "RFC 8548 section 3.9", "the peer does not answer")
            for sender in Role:
                said = data_of(100)
                demand(pair.say(sender, said) == said, "rekeying", "data are lost by it")

    def test_counts(self) -> None:
        """Stream offsets, by which sockets know what the kernel took."""
        pair = self.met()
        demand(not pair[Role.A].owes, "counts", "it owes bytes after the key exchange")
        stream = pair.sealed(Role.A, data_of(1000))
        a, b = pair[Role.A], pair[Role.B]
        demand(a.sealed == len(pair.sent[Role.A]), "counts", "sealed is not what was made")
        feed(b, stream[:-1])
        b.open_ahead()
        demand(
            b.opened + b.buffered == len(pair.sent[Role.A]) - 1,
            "counts",
            "opened and buffered are not what was received",
        )
        feed(b, stream[-1:])
        b.open_ahead()
        demand(b.awaited == 1000, "counts", f"{b.awaited} of 1000 bytes are awaited")
        demand(b.peek(10) == data_of(1000)[:10], "peek", "peek() gives other bytes")
        out = bytearray(400)
        demand(b.read_into(out) == 400, "read_into", "it does not fill its buffer")
        demand(bytes(out) + drained(b) == data_of(1000), "read_into", "it gives other bytes")

    def test_events(self) -> None:
        """What users without sockets are told."""
        pair = self.met()
        feed(pair[Role.B], pair.sealed(Role.A, data_of(300), fin=True))
        told = list(_events(pair[Role.B]))
        demand(
            told
            and isinstance(told[0], EncryptionEnabled)
            and isinstance(told[-1], EndOfStream),
            "events",
            f"told: {', '.join(type(event).__name__ for event in told)}",
        )
        data = b"".join(event.data for event in told if isinstance(event, DataReceived))
        demand(data == data_of(300), "events", "other data are told")


def _events(end: TepConnection) -> list[object]:
    told: list[object] = []
    while len(told) < 100 and (event := end.next_event()) is not None:
        told.append(event)
    return told
