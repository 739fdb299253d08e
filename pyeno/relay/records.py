"""What is known of each relayed connection, and what all of them add up to."""

import time
from collections import Counter
from functools import cache
from typing import Any, Literal, NamedTuple, Protocol

from pyeno.addresses import peer_name
from pyeno.constants import Reason
from pyeno.kernel import NOT_CONFIGURED
from pyeno.sockets import Info

Address = tuple[str, int]
Direction = Literal["outbound", "inbound"]


class Kind(NamedTuple):
    """What connections are counted by."""

    direction: Direction
    tep: str | None
    """None: plain, and ``reason`` says why"""
    reason: str | None


def address_text(address: Address | None) -> str | None:
    """``HOST:PORT``, or ``[HOST]:PORT`` for IPv6."""
    return None if address is None else peer_name(address)


class Record:
    """One connection, from the program's SYN, or the peer's, to its end."""

    __slots__ = (
        "bytes_in", "bytes_out", "direction", "end", "errno", "error", "info", "local", "near",
        "peer", "program", "since", "state", "token",
    )  # fmt: skip

    def __init__(
        self, token: int, direction: Direction, peer: Address, program: Address | None
    ) -> None:
        self.token = token
        self.direction = direction
        self.peer = peer
        """the other host's end"""
        self.program = program
        """the program's end of its own connection; None until the relay has reached it"""
        self.near: Address | None = None
        """inbound: the relay's end of the program's connection"""
        self.local: Address | None = None
        """this host's end, towards the other host"""
        self.info: Info | None = None
        self.state = "opening"
        """then ``open``, and at last ``ended`` or ``refused``"""
        self.since = time.time()
        self.bytes_out = self.bytes_in = 0
        """application bytes towards the peer, and from it"""
        self.end: str | None = None
        """as :class:`pyeno.relay.engine.End` has them, or ``refused``"""
        self.errno = 0
        self.error = ""
        """what was wrong, for people"""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        eno = _NO_INFO if self.info is None else self.info.as_dict()
        fields = {
            "direction": self.direction,
            "peer": address_text(self.peer),
            "local": address_text(self.local),
            "program": address_text(self.program),
            "state": self.state,
            **eno,
            "since": self.since,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "end": self.end,
        }
        return fields | {"error": self.error} if self.error else fields


_NO_INFO: dict[str, Any] = dict.fromkeys(Info(NOT_CONFIGURED, None).as_dict())


class Observer(Protocol):
    """Who wants to hear of connections, in the relay's thread: be quick."""

    def opened(self, record: Record) -> None:
        """Both ends are joined."""

    def ended(self, record: Record) -> None:
        """Also of one that was refused, or failed before it was open."""


class Book:
    """The connections there are, and the sums of those there were."""

    def __init__(self, observer: Observer | None = None) -> None:
        self.records: dict[int, Record] = {}
        self._observer = observer
        self._tokens = 0
        self._opened: Counter[Kind] = Counter()
        self._refused: Counter[str] = Counter()
        self._ends: Counter[str] = Counter()
        self._resumed = self._handshake_failures = 0
        self._bytes_out = self._bytes_in = 0

    def begin(self, direction: Direction, peer: Address, program: Address | None) -> Record:
        """A connection that somebody wants to have."""
        self._tokens = token = self._tokens + 1
        self.records[token] = record = Record(token, direction, peer, program)
        return record

    def opened(self, record: Record) -> None:
        """Both ends are joined; ``info`` and ``local`` are there."""
        record.state = "open"
        info = record.info
        assert info is not None
        self._opened[_kind(record.direction, info.tep, info.reason)] += 1
        self._resumed += info.resumed
        if self._observer is not None:
            self._observer.opened(record)

    def ended(
        self, record: Record, end: str, errno: int = 0, bytes_out: int = 0, bytes_in: int = 0
    ) -> None:
        """Of a connection that was open."""
        record.bytes_out, record.bytes_in = bytes_out, bytes_in
        self._bytes_out += bytes_out
        self._bytes_in += bytes_in
        self._close(record, "ended", end, errno)

    def refused(self, record: Record, why: str, errno: int = 0, error: str = "") -> None:
        """Of one that never was; ``why`` is what it counts as."""
        record.error = error
        self._refused[why] += 1
        self._handshake_failures += record.info is not None and record.info.encrypted
        self._close(record, "refused", "refused", errno)

    def _close(self, record: Record, state: str, end: str, errno: int) -> None:
        record.state, record.end, record.errno = state, end, errno
        self._ends[end] += 1
        del self.records[record.token]
        if self._observer is not None:
            self._observer.ended(record)

    def counters(self) -> dict[str, Any]:
        """Sums since the relay began; those of bytes are of connections that ended."""
        states = Counter(record.state for record in list(self.records.values()))
        opened = list(self._opened.items())
        plain = [(kind, count) for kind, count in opened if kind.tep is None]
        reasons: Counter[str] = Counter()
        for kind, count in plain:
            reasons[kind.reason or ""] += count
        return {
            "opening": states["opening"],
            "open": states["open"],
            "outbound": sum(n for kind, n in opened if kind.direction == "outbound"),
            "inbound": sum(n for kind, n in opened if kind.direction == "inbound"),
            "encrypted": sum(n for kind, n in opened if kind.tep is not None),
            "resumed": self._resumed,
            "plain": sum(n for _, n in plain),
            "connections": [kind._asdict() | {"count": count} for kind, count in opened],
            "handshake_failures": self._handshake_failures,
            "reasons": dict(reasons),
            "refused": dict(self._refused),
            "ends": dict(self._ends),
            "bytes_out": self._bytes_out,
            "bytes_in": self._bytes_in,
        }


@cache
def _kind(direction: Direction, tep: int | None, reason: Reason | None) -> Kind:
    if tep is not None:
        return Kind(direction, f"0x{tep:02x}", None)
    return Kind(direction, None, "unknown" if reason is None else reason.slug)
