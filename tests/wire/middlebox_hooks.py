"""What middleboxes do, ready-made; see `middlebox.Middlebox` for what a hook is.

A `when` argument is a predicate of the decoded segment and the direction; `kind` builds the
usual ones.  Packets that are not TCP always pass.
"""

from collections.abc import Callable
from dataclasses import replace

from oracle import eno

from .middlebox import Hook, Later
from .rfcpeer_packet import ACK, RST, SYN, Segment, decode

When = Callable[[Segment, str], bool]


def kind(name: str) -> When:
    """ "syn", "syn-ack", "ack" (any segment without SYN), "data", or "all"."""
    tests: dict[str, When] = {
        "syn": lambda s, _: s.flags & (SYN | ACK) == SYN,
        "syn-ack": lambda s, _: s.flags & (SYN | ACK) == SYN | ACK,
        "ack": lambda s, _: not s.flags & SYN,
        "data": lambda s, _: bool(s.payload),
        "all": lambda s, _: True,
    }
    return tests[name]


def moving(direction: str, when: When = lambda s, d: True) -> When:
    """Only what moves "right" or "left"."""
    return lambda segment, d: d == direction and when(segment, d)


def edit(when: When, change: Callable[[Segment], Segment]) -> Hook:
    """Change the segments that match; lengths and checksums are made right again."""

    def hook(packet: bytes, direction: str) -> list[bytes]:
        segment = decode(packet)
        if segment is None or not when(segment, direction):
            return [packet]
        changed = change(segment)
        return [packet] if changed is segment else [changed.encode()]

    return hook


def chain(*hooks: Hook) -> Hook:
    """Each hook sees what the one before it lets through at once; a Later passes the rest."""

    def hook(packet: bytes, direction: str) -> list[bytes]:
        packets = [packet]
        for each in hooks:
            out: list[bytes] = []
            for p in packets:
                out += [p] if isinstance(p, Later) else each(p, direction)
            packets = out
        return packets

    return hook


def without_eno(options: bytes) -> bytes:
    """An option block whose ENO options have become NOPs."""
    walked = b"".join(
        b"\x01" * len(raw) if number == eno.KIND else raw
        for number, raw in eno.tcp_options(options)
    )
    return walked + options[len(walked) :]


def strip_eno(segments: str = "all") -> Hook:
    """Replace option 69 by NOPs in segments of that `kind`."""

    def change(segment: Segment) -> Segment:
        return (
            replace(segment, options=without_eno(segment.options)) if segment.eno else segment
        )

    return edit(kind(segments), change)


def with_eno(options: bytes, option: bytes) -> bytes:
    """An option block with `option` as its only ENO option, at the end; ValueError past 40."""
    others = [raw for number, raw in eno.tcp_options(options) if number not in (1, eno.KIND)]
    block = b"".join(others) + option
    if len(block) > 40:
        raise ValueError(f"{len(block)} bytes of options")
    return block


def replace_eno(segments: str, option: bytes) -> Hook:
    """Put other bytes in place of the ENO options of segments of that `kind` that have one."""

    def change(segment: Segment) -> Segment:
        if not segment.eno:
            return segment
        return replace(segment, options=with_eno(segment.options, option))

    return edit(kind(segments), change)


def echo_syn_eno() -> Hook:
    """Give A's own ENO option back in the SYN-ACK, in place of B's (RFC 8547 section 8.1)."""
    seen: dict[tuple[str, int, str, int], bytes] = {}

    def hook(packet: bytes, direction: str) -> list[bytes]:
        segment = decode(packet)
        if segment is None or not segment.syn:
            return [packet]
        if not segment.has_ack:
            if segment.eno:
                seen[segment.dst, segment.dport, segment.src, segment.sport] = segment.eno[0]
            return [packet]
        option = seen.get((segment.src, segment.sport, segment.dst, segment.dport))
        if option is None:
            return [packet]
        return [replace(segment, options=with_eno(segment.options, option)).encode()]

    return hook


def duplicate_eno(segments: str = "syn") -> Hook:
    """Send the ENO option twice in the same segment."""

    def change(segment: Segment) -> Segment:
        if not segment.eno:
            return segment
        return replace(segment, options=with_eno(segment.options, segment.eno[0] * 2))

    return edit(kind(segments), change)


def nth(when: When, numbers: set[int]) -> When:
    """True for the matching segments of those ordinal numbers, from 1."""
    count = 0

    def matches(segment: Segment, direction: str) -> bool:
        nonlocal count
        if not when(segment, direction):
            return False
        count += 1
        return count in numbers

    return matches


def drop(when: When) -> Hook:
    """Lose the packets that match, for example drop(nth(kind("data"), {1, 3}))."""

    def hook(packet: bytes, direction: str) -> list[bytes]:
        segment = decode(packet)
        return [] if segment is not None and when(segment, direction) else [packet]

    return hook


def delay(when: When, seconds: float) -> Hook:
    """Pass the packets that match later."""

    def hook(packet: bytes, direction: str) -> list[bytes]:
        segment = decode(packet)
        if segment is None or not when(segment, direction):
            return [packet]
        return [Later(packet, seconds)]

    return hook


def reorder(when: When, seconds: float = 0.02) -> Hook:
    """Let others overtake the packets that match: a short delay for these alone."""
    return delay(when, seconds)


def duplicate(when: When, copies: int = 2) -> Hook:
    """Pass the packets that match more than once."""

    def hook(packet: bytes, direction: str) -> list[bytes]:
        segment = decode(packet)
        return [packet] * (copies if segment is not None and when(segment, direction) else 1)

    return hook


def flip(when: When, bit: int = 0) -> Hook:
    """Flip one payload bit (counted from the first byte's lowest; negative from the end)."""

    def change(segment: Segment) -> Segment:
        payload = bytearray(segment.payload)
        if not payload:
            return segment
        at, shift = divmod(bit, 8)
        if not -len(payload) <= at < len(payload):
            return segment
        payload[at] ^= 1 << shift
        return replace(segment, payload=bytes(payload))

    return edit(when, change)


def reset(when: When) -> Hook:
    """Send an RST right behind the packets that match, in their direction."""

    def hook(packet: bytes, direction: str) -> list[bytes]:
        segment = decode(packet)
        if segment is None or not when(segment, direction):
            return [packet]
        seq = (segment.seq + segment.length) % (1 << 32)
        rst = replace(segment, seq=seq, flags=RST | ACK, options=b"", payload=b"")
        return [packet, rst.encode()]

    return hook
