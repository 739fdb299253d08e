"""Captured segments → connections and their two byte streams.

A stream here is what the receiver's TCP makes of the segments: offset 0 is the
byte after the SYN, bytes sent twice count once.  What the capture lacks is
never glossed over: :class:`GapError` says which bytes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pyeno.pcap import CaptureError, Endpoint, Flags, Segment

_WRAP = 1 << 32


class GapError(CaptureError):
    """Bytes of a stream are not in the capture."""


@dataclass
class Stream:
    """One direction of one connection."""

    source: Endpoint
    isn: int
    """the SYN's sequence number"""
    fin_at: int | None = None
    """the stream's length, once a FIN has been seen"""
    parts: list[tuple[int, Segment]] = field(default_factory=list)
    """(offset of the payload, segment), for segments with payload"""
    _highest: int = 0

    def offset(self, seq: int) -> int:
        """The stream offset of a sequence number, which may have wrapped."""
        low = (seq - self.isn - 1) % _WRAP
        near = self._highest - self._highest % _WRAP + low
        return min((near - _WRAP, near, near + _WRAP), key=lambda at: abs(at - self._highest))

    def add(self, segment: Segment) -> None:
        """Take one more segment of this direction."""
        at = self.offset(segment.seq)
        if segment.length and not segment.flags & Flags.SYN:
            self.parts.append((at, segment))
            self._highest = max(self._highest, at + segment.length)
        if segment.flags & Flags.FIN:
            self.fin_at = at + segment.length

    def pieces(self) -> Iterator[memoryview]:
        """The stream from offset 0, in order and without repetition.

        Raises GapError where captured bytes are missing, at its end too if no
        FIN was captured.
        """
        at = 0
        for start, segment in sorted(self.parts, key=lambda part: part[0]):
            if start > at:
                raise GapError(f"{self.source}: stream bytes {at} to {start} are missing")
            if start + len(segment.payload) > at:
                yield segment.payload[at - start :]
                at = start + len(segment.payload)
        if at != self.fin_at:
            wanted = "no FIN" if self.fin_at is None else f"its FIN is at {self.fin_at}"
            raise GapError(f"{self.source}: the captured stream ends at byte {at}, {wanted}")

    def head(self, size: int) -> bytes:
        """The first bytes: ``size`` of them, or what is there before a gap."""
        taken = bytearray()
        try:
            for piece in self.pieces():
                taken += piece[: size - len(taken)]
                if len(taken) >= size:
                    break
        except GapError:
            pass
        return bytes(taken)

    def carrier(self, offset: int) -> Segment | None:
        """The first segment captured that holds this byte."""
        for at, segment in self.parts:
            if at <= offset < at + segment.length:
                return segment
        return None


@dataclass
class Conversation:
    """One connection that the capture shows from its first SYN."""

    active: Stream
    """what the active opener sent"""
    passive: Stream
    segments: list[Segment] = field(default_factory=list)

    def stream_of(self, segment: Segment) -> Stream:
        """The direction a segment of this connection belongs to."""
        return self.active if segment.source == self.active.source else self.passive


def conversations(segments: Iterable[Segment]) -> list[Conversation]:
    """The connections of a capture, in the order of their first SYNs.

    Segments of connections that began before the capture are left out.
    """
    found: list[Conversation] = []
    current: dict[frozenset[Endpoint], Conversation] = {}
    for segment in segments:
        ends = frozenset((segment.source, segment.target))
        known = current.get(ends)
        if segment.flags & Flags.SYN and not segment.flags & Flags.ACK:
            if known is None or known.stream_of(segment).isn != segment.seq:
                forward = Stream(segment.source, segment.seq)
                known = Conversation(forward, Stream(segment.target, -1))
                current[ends] = known
                found.append(known)
        elif known is None:
            continue
        elif segment.flags & Flags.SYN:
            known.stream_of(segment).isn = segment.seq
        known.segments.append(segment)
        known.stream_of(segment).add(segment)
    return found
