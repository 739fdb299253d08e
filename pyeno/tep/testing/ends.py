"""Two ends of one connection and the byte pipe between them, which a test may tamper with."""

from collections.abc import Callable, Iterator

from pyeno._values import Outcome, Suboption
from pyeno.config import Config
from pyeno.constants import ENO_V, Reason, Role
from pyeno.errors import ABORTING
from pyeno.option import encode
from pyeno.tep.definition import Definition
from pyeno.tep.interface import TepConnection
from pyeno.tep.offer import table_entry

ROUNDS_MAX = 40
"""flights of a key exchange, at most"""
READ = 1 << 20

Change = Callable[[bytes], bytes]
"""What becomes of the bytes of one direction"""


def outcome_of(
    definition: Definition, config: Config, role: Role, mark: bytes = b""
) -> Outcome:
    """As the negotiation gives it; ``mark``, at most 8 bytes, changes the transcript by an
    alien suboption of host A's."""
    entry = table_entry(definition, config)
    a, b = (None, None) if entry is None else (entry.a, entry.b)
    tep = definition.identifier
    alien = [Suboption(0x6F, True, mark)] if mark else []
    sent = [
        encode([*alien, Suboption(tep, a is not None, a or b"")]),
        encode([Suboption(tep, b is not None, b or b"")], global_suboption=1),
    ]
    byte = tep | (ENO_V if b is not None else 0)
    return Outcome(Reason.NEGOTIATED, role, tep_byte=byte, transcript=b"".join(sent))


def pieces(data: bytes, size: int | None) -> Iterator[bytes]:
    """Cut after every ``size`` bytes; None: nowhere."""
    size = size or max(len(data), 1)
    for at in range(0, len(data), size):
        yield data[at : at + size]


def feed(
    end: TepConnection, data: bytes, size: int | None = None, *, by_room: bool = False
) -> None:
    """Stream bytes into one end, by either of the two doors."""
    for piece in pieces(data, size):
        if not (by_room and end.established):
            end.receive_data(piece)
            continue
        while piece:
            room = end.room(len(piece))
            count = min(len(room), len(piece))
            room[:count] = piece[:count]
            end.received(count)
            piece = piece[count:]


def drained(end: TepConnection) -> bytes:
    """All that can be read; raises what ended it if nothing can."""
    data = bytearray()
    while part := end.read(READ):
        data += part
    return bytes(data)


def taken(
    end: TepConnection, stream: bytes, *, eof: bool = True
) -> tuple[bytes, Exception | None]:
    """What an end makes of these stream bytes, and of TCP's FIN after them: the data it
    gives, and the error that follows if any."""
    data = bytearray()
    try:
        feed(end, stream)
        while end.established and (part := end.read(READ)):
            data += part
        if eof:
            end.receive_eof()
    except ABORTING as error:
        return bytes(data), error
    return bytes(data), None


class Pair:
    """Host A's end and host B's; ``sent`` keeps the stream of each."""

    def __init__(
        self, definition: Definition, config: Config, marks: tuple[bytes, bytes] = (b"", b"")
    ) -> None:
        self.definition = definition
        self.ends = {
            role: definition.create(outcome_of(definition, config, role, mark), config)
            for role, mark in zip(Role, marks, strict=True)
        }
        self.sent = {role: bytearray() for role in Role}
        self.changes: dict[Role, Change] = {}

    def __getitem__(self, role: Role) -> TepConnection:
        return self.ends[role]

    @property
    def established(self) -> bool:
        return all(end.established for end in self.ends.values())

    def settle(self, size: int | None = None) -> None:
        """Carry what both ends owe, until neither owes anything."""
        for _ in range(ROUNDS_MAX):
            carried = [self._carry(role, size) for role in Role]
            if not any(carried):
                return
        raise AssertionError(f"the ends still owe bytes after {ROUNDS_MAX} rounds")

    def _carry(self, role: Role, size: int | None) -> bool:
        stream = self[role].data_to_send()
        self.sent[role] += stream
        feed(self[role.opposite], self.changes.get(role, bytes)(stream), size)
        return bool(stream)

    def sealed(self, role: Role, data: bytes, *, fin: bool = False) -> bytes:
        """Stream bytes that are not delivered yet."""
        stream = self[role].send(data, fin=fin)
        self.sent[role] += stream
        return stream

    def say(
        self, role: Role, data: bytes, *, fin: bool = False, size: int | None = None,
        by_room: bool = False,
    ) -> bytes:  # fmt: skip
        """Send from one end; what the other reads."""
        feed(self[role.opposite], self.sealed(role, data, fin=fin), size, by_room=by_room)
        return drained(self[role.opposite])
