"""Urgent data in the framer (RFC 8548 section 3.7): where reads stop, what the mark is."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.test_framer import opener, sealer, traffic_key


@pytest.mark.rfc("8547:5-16", "8548:3.7-1")
def test_the_index_counts_application_bytes(twin: Any) -> None:
    """Section 3.7: "the index of the last byte of urgent data in the application
    datastream"; a read ends before that byte, and the next one begins with it."""
    s, o = sealer(twin), opener(twin)
    o.feed(s.seal(b"12345") + s.seal(b"urgent", urgent=2) + s.seal(b"more"))
    assert (o.urgent_index, o.urgent_byte, o.read_index) == (None, None, 0)
    assert o.read(5) == b"12345" and o.urgent_index is None
    assert o.read(99) == b"ur" and (o.urgent_index, o.urgent_byte) == (7, ord("g"))
    assert o.read_index == 7
    assert o.read(99) == b"gentmore" and o.urgent_index == 7


def test_a_read_into_a_frame_with_the_mark_at_its_beginning(twin: Any) -> None:
    s, o = sealer(twin), opener(twin)
    o.feed(s.seal(b"12345") + s.seal(b"!x", urgent=0))
    out = bytearray(9)
    assert o.read_into(out) == 5 and out[:5] == b"12345" and o.pending == 2
    assert o.read_into(out) == 2 and out[:2] == b"!x"


def test_out_of_band_the_byte_is_left_out(twin: Any) -> None:
    s, o = sealer(twin), opener(twin)
    o.oob_inline = False
    o.feed(s.seal(b"ab!c", urgent=2) + s.seal(b"de"))
    assert o.read(99) == b"ab"
    assert (o.pending, o.read_index, o.urgent_byte) == (2, 2, ord("!"))
    assert o.read(99) == b"cde" and o.read_index == 6


def test_an_urgent_byte_alone(twin: Any) -> None:
    """Nothing but the mark: the read goes on behind it."""
    s, o = sealer(twin), opener(twin)
    o.oob_inline = False
    o.feed(s.seal(b"!", urgent=0))
    assert o.read(0) == b"" and o.pending == 1
    assert o.read(9) == b"" and o.pending == 0 and o.urgent_index == 0
    o.feed(s.seal(b"?", urgent=0, fin=True))
    assert o.read(9) == b"" and o.finished and o.pending == 0
    assert (o.urgent_index, o.urgent_byte) == (1, ord("?"))


@pytest.mark.parametrize("inline", [True, False])
def test_peek_gives_what_read_would(twin: Any, inline: bool) -> None:
    s, o = sealer(twin), opener(twin)
    o.oob_inline = inline
    assert o.peek(9) == b""
    o.feed(s.seal(b"ab!cd", urgent=2))
    o.open_ahead()
    while o.pending > (not inline):
        for size in (0, 1, 9):
            assert o.peek(size) == o.peek(9)[:size]
        seen = o.peek(9)
        assert o.read(9) == seen != b""
    assert o.read_index == 5 and o.peek(9) == b""


def test_opening_ahead_finds_the_newest_mark(twin: Any) -> None:
    """A newer mark replaces an older one, whose byte is data again."""
    s, o = sealer(twin), opener(twin)
    o.oob_inline = False
    o.feed(s.seal(b"ab!", urgent=2) + s.seal(b"cd?e", urgent=2))
    o.open_ahead()
    assert (o.urgent_index, o.urgent_byte, o.pending) == (5, ord("?"), 7)
    assert o.read(99) == b"ab!cd" and o.read(99) == b"e"


def test_a_new_mark_while_standing_at_the_old_one(twin: Any) -> None:
    """As tcp_check_urg() of Linux: the old urgent byte is not read as data."""
    s, o = sealer(twin), opener(twin)
    o.oob_inline = False
    o.feed(s.seal(b"ab!", urgent=2))
    assert o.read(9) == b"ab" and o.urgent_index == o.read_index
    o.feed(s.seal(b"c?", urgent=1))
    o.open_ahead()
    assert o.read(9) == b"c" and o.urgent_index == o.read_index == 4


def test_empty_rekeys_are_counted(twin: Any) -> None:
    s, o = sealer(twin), opener(twin)
    for number, data in enumerate((b"", b"data", b"")):
        s.rekey(twin.Secret(traffic_key(seed=b"%d" % number)))
        o.rekey(twin.Secret(traffic_key(seed=b"%d" % number)))
        o.feed(s.seal(data))
        assert o.read(9) == data
    assert (o.generation, o.empty_rekeys) == (3, 2)


def test_wiping_forgets_the_byte(twin: Any) -> None:
    s, o = sealer(twin), opener(twin)
    o.feed(s.seal(b"!", urgent=0))
    o.open_ahead()
    o.wipe()
    assert o.urgent_byte is None


class Linux:
    """What recv() of Linux gives (tcp_recvmsg, tcp_check_urg), every frame known at once."""

    def __init__(self, frames: list[tuple[bytes, int | None]], inline: bool) -> None:
        self.data, self.mark, self.inline, self.at = b"", -1, inline, 0
        for data, urgent in frames:
            if urgent is not None:
                self.at += self.at == self.mark and not inline
                self.mark = len(self.data) + urgent
            self.data += data

    def recv(self, size: int) -> bytes:
        if self.at == self.mark and not self.inline:
            self.at += 1
        end = min(self.at + size, len(self.data))
        if self.at < self.mark < end:
            end = self.mark
        taken, self.at = self.data[self.at : end], end
        return taken


@given(
    frames=st.lists(
        st.binary(min_size=1, max_size=9).flatmap(
            lambda data: st.tuples(st.just(data), st.none() | st.integers(0, len(data) - 1))
        ),
        min_size=1, max_size=6,
    ),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=40),
    inline=st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_reads_are_those_of_linux(
    twins: Any, frames: list[tuple[bytes, int | None]], sizes: list[int], inline: bool
) -> None:
    for twin in twins:
        s, o, linux = sealer(twin), opener(twin), Linux(frames, inline)
        o.oob_inline = inline
        o.feed(b"".join(s.seal(data, urgent=urgent) for data, urgent in frames))
        o.open_ahead()
        assert o.urgent_index == (linux.mark if linux.mark >= 0 else None)
        for size in sizes:
            assert o.peek(size) == (got := o.read(size)) == linux.recv(size)
            assert o.read_index == linux.at or not got
