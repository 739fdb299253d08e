"""One captured connection as a ladder: what each side sent, byte by byte in words.

:func:`steps` finds the telling moments (data for ``--json``); :func:`render`
draws them.  Only captured bytes go in, never what the ends say.
"""

import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

from pyeno import explain, negotiation, option
from pyeno.constants import ENO_GLT, Reason
from pyeno.explain import Field
from pyeno.pcap import Flags, Segment
from pyeno.streams import Conversation, GapError, Stream

HEAD = 4096
"""Stream bytes looked at: an Init message and the beginning of a frame."""
SHOWN = 8
"""Bytes of a field that are drawn."""


class Step(NamedTuple):
    """One arrow of the ladder, or a remark between two."""

    time: float
    """seconds since the first SYN"""
    sender: str
    """``A`` (active opener), ``B``, or empty for a remark"""
    title: str
    fields: tuple[Field, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values; bytes in hexadecimal."""
        return {
            "time": round(self.time, 6),
            "from": self.sender or None,
            "title": self.title,
            "fields": [{"bytes": f.octets.hex(), "words": f.words} for f in self.fields],
        }


# -- finding -----------------------------------------------------------------


def steps(conversation: Conversation) -> list[Step]:
    """SYN, SYN-ACK, ACK, Init1, Init2, first frames, ends."""
    opening = list(_opening(conversation))
    tep = negotiated_tep(conversation)
    begun = opening[0][1].time
    told = [Step(s.time - begun, who, title, eno_fields(s)) for who, s, title in opening]
    ended: list[Step] = []
    for who, stream in (("A", conversation.active), ("B", conversation.passive)):
        told += _stream_steps(who, stream, tep, begun)
        ended += _fin_steps(who, stream, conversation, begun)
    told.sort(key=lambda step: step.time)
    remark = Step(told[-1].time, "", _between(conversation, tep))
    return [*told, remark, *sorted(ended, key=lambda step: step.time)]


def _opening(conversation: Conversation) -> Iterator[tuple[str, Segment, str]]:
    """The three segments of the three-way handshake."""
    wanted = [
        ("A", Flags.SYN, "SYN"),
        ("B", Flags.SYN | Flags.ACK, "SYN-ACK"),
        ("A", Flags.ACK, "ACK"),
    ]
    for segment in conversation.segments:
        if not wanted:
            return
        who, flags, title = wanted[0]
        sent_by_a = segment.source == conversation.active.source
        if sent_by_a is (who == "A") and segment.flags & (Flags.SYN | Flags.ACK) == flags:
            yield who, segment, title
            wanted.pop(0)


def eno_fields(segment: Segment) -> tuple[Field, ...]:
    """The ENO options of one segment in words."""
    found = option.find(segment.options)
    syn = bool(segment.flags & Flags.SYN)
    if not found:
        return (Field(b"", "no ENO option"),)
    return tuple(Field(raw, explain.eno(raw, syn=syn)) for raw in found)


def negotiated_tep(conversation: Conversation) -> int | None:
    """What an onlooker sees negotiated (RFC 8547 sections 4.5, 4.6); None: nothing.

    Both SYNs and the first ACK must carry ENO.
    """
    carried = [option.find(segment.options) for _, segment, _ in _opening(conversation)]
    if [len(found) for found in carried] != [1, 1, 1]:
        return None
    outcome = negotiation.negotiate(carried[0][0], carried[1][0])
    return outcome.tep_byte & ENO_GLT if outcome.reason is Reason.NEGOTIATED else None


def init_length(stream: Stream, tep: int) -> int:
    """Where the first frame begins: after the Init message, if there is one."""
    said = explain.init(stream.head(HEAD), tep)
    return said.message_len if said else 0


def _stream_steps(who: str, stream: Stream, tep: int | None, begun: float) -> Iterator[Step]:
    head = stream.head(HEAD)
    if not head:
        return
    if tep is None:
        title = "first data: plain TCP"
        yield _at(who, stream, 0, begun, title, (Field(head[:SHOWN], _printable(head)),))
        return
    at = 0
    said = explain.init(head, tep)
    if said is not None:
        at = said.message_len
        yield _at(who, stream, 0, begun, f"{said.name}, {at} bytes", said.fields)
    if fields := explain.frame(head[at:]):
        title = f"first frame, stream offset {at}"
        yield _at(who, stream, at, begun, title, fields)


def _at(
    who: str, stream: Stream, offset: int, begun: float, title: str, fields: tuple[Field, ...]
) -> Step:
    segment = stream.carrier(offset)
    if segment is None:
        return Step(0.0, who, f"{title} (not captured)", fields)
    if offset == 0 and (found := option.find(segment.options)):
        fields = tuple(Field(raw, explain.eno(raw, syn=False)) for raw in found) + fields
    return Step(segment.time - begun, who, title, fields)


def _printable(head: bytes) -> str:
    text = head[:40].decode("ascii", "replace")
    return '"' + "".join(c if " " <= c <= "~" else "." for c in text) + '"'


def _between(conversation: Conversation, tep: int | None) -> str:
    """How much passes between the first frames and the ends."""
    parts = []
    for who, stream in (("A", conversation.active), ("B", conversation.passive)):
        try:
            size = sum(len(piece) for piece in stream.pieces())
            said = f"{who} sends {size:,} bytes in {len(stream.parts):,} segments"
            if tep is not None:
                count = explain.count_frames(stream.pieces(), init_length(stream, tep))
                said += f", {count.frames:,} frames"
        except GapError as error:
            said = f"{who}: {error}"
        parts.append(said)
    return "; ".join(parts)


def _fin_steps(
    who: str, stream: Stream, conversation: Conversation, begun: float
) -> Iterator[Step]:
    for flag, title in ((Flags.FIN, "FIN"), (Flags.RST, "RST")):
        for segment in conversation.segments:
            if segment.flags & flag and segment.source == stream.source:
                yield Step(segment.time - begun, who, title)
                break


# -- drawing -----------------------------------------------------------------


class Style(NamedTuple):
    """How a terminal can be written to."""

    colour: bool = False
    unicode: bool = True
    width: int = 96
    """columns, at most 100"""

    def paint(self, text: str, code: str) -> str:
        """``text`` in an ANSI colour, where colours are wanted."""
        return f"\033[{code}m{text}\033[0m" if self.colour and text else text


BOLD, DIM, CYAN, GREEN, RED = "1", "2", "36", "32", "31"
_GLYPHS = {True: ("│", "─", "▶", "◀", "…"), False: ("|", "-", ">", "<", "...")}
_TIME = 11


def render(conversation: Conversation, told: list[Step], style: Style) -> list[str]:
    """The ladder as lines of text."""
    bar = _GLYPHS[style.unicode][0]
    left = f"A  {conversation.active.source}"
    right = f"{conversation.passive.source}  B"
    inner = style.width - _TIME - 2
    lines = [" " * _TIME + left + right.rjust(inner + 2 - len(left))]
    for step in told:
        lines += _step_lines(step, style, inner)
    return [*lines, " " * _TIME + bar + " " * inner + bar]


def _step_lines(step: Step, style: Style, inner: int) -> list[str]:
    bar, dash, right, left, _ = _GLYPHS[style.unicode]
    if not step.sender:
        remark = _wrapped(step.title, inner - 4)
        return [_boxed(f"  {line}", style, inner, DIM) for line in remark]
    label = f" {step.title} "
    run = dash * (inner - len(label) - 3)
    title = style.paint(label, BOLD)
    forth, back = f"{dash * 2}{title}{run}{right}", f"{left}{run}{title}{dash * 2}"
    arrow = forth if step.sender == "A" else back
    time = style.paint(f"{step.time * 1000:8.3f} ms".ljust(_TIME), DIM)
    indent = 3 if step.sender == "A" else 17
    lines = [f"{time}{bar}{arrow}{bar}"]
    for field in step.fields:
        drawn = _field_lines(field, style, indent, inner)
        lines += [_boxed(line, style, inner, CYAN) for line in drawn]
    return lines


def _field_lines(field: Field, style: Style, indent: int, inner: int) -> list[str]:
    more = " " + _GLYPHS[style.unicode][4] if len(field.octets) > SHOWN else ""
    octets = field.octets[:SHOWN].hex(" ") + more
    room = SHOWN * 3 + 4
    words = _wrapped(field.words, inner - indent - room - 1)
    return [
        " " * indent + (octets if not at else "").ljust(room) + line
        for at, line in enumerate(words)
    ]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width) or [""]


def _boxed(text: str, style: Style, inner: int, code: str) -> str:
    bar = _GLYPHS[style.unicode][0]
    return " " * _TIME + bar + style.paint(text.ljust(inner), code) + bar
