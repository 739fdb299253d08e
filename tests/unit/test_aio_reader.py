"""EnoStreamReader is asyncio's StreamReader, whatever pieces its bytes come in."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyeno.aio.reader import PIECE, WHOLE, EnoStreamReader

LIMIT = 3 * WHOLE
SIZES = st.one_of(st.integers(1, 40), st.integers(WHOLE - 2, 2 * LIMIT + 2))
STEPS = st.lists(
    st.tuples(st.sampled_from(["feed", "read", "exactly", "until", "line"]), SIZES),
    max_size=20,
)


class Valve:
    """A transport that only remembers whether it is paused."""

    paused = False

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False


def reading(limit: int = LIMIT) -> tuple[EnoStreamReader, Valve]:
    reader, valve = EnoStreamReader(limit=limit, loop=asyncio.get_running_loop()), Valve()
    reader.set_transport(valve)  # type: ignore[arg-type]
    return reader, valve


def now(coroutine: Any) -> Any:
    """What it returns without waiting."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def line_of(stream: bytes) -> bytes:
    return stream[: stream.find(b"\n") + 1]


def check(step: str, size: int, reader: EnoStreamReader, stream: bytes) -> bytes:
    """One call, which must not wait; what is left of the stream."""
    if step == "read":
        got = now(reader.read(size))
        assert 0 < len(got) <= size
    elif step == "exactly":
        size = min(size, len(stream))
        got = now(reader.readexactly(size))
        assert len(got) == size
    elif 0 < len(line_of(stream)) <= LIMIT:
        got = now(reader.readuntil(b"\n") if step == "until" else reader.readline())
        assert got == line_of(stream)
    else:
        return stream
    assert type(got) is bytes and stream.startswith(got)
    return stream[len(got) :]


@settings(deadline=None)
@given(STEPS)
def test_any_mixture_of_calls(steps: list[tuple[str, int]]) -> None:
    """Against the stream itself: what is left of it, and when reading pauses."""

    async def main() -> None:
        reader, valve = reading()
        source = bytes(range(256)) * (LIMIT // 64)
        stream = b""
        for step, size in steps:
            paused = valve.paused
            if step == "feed":
                piece = source[size % 256 : size % 256 + size]
                stream += piece
                reader.feed_data(piece)
                assert valve.paused is (paused or len(stream) > 2 * LIMIT)
            elif stream:
                before, stream = stream, check(step, size, reader, stream)
                assert valve.paused is (paused and (before is stream or len(stream) > LIMIT))
        assert not reader.at_eof()
        reader.feed_eof()
        assert reader.at_eof() is (not stream)
        assert now(reader.read()) == stream and reader.at_eof()
        assert now(reader.read(1)) == b""

    asyncio.run(main())


def test_whole_pieces_are_not_copied() -> None:
    async def main() -> None:
        reader, _ = reading()
        first, second = bytes(WHOLE), bytes(WHOLE + 1)
        reader.feed_data(first)
        reader.feed_data(second)
        assert now(reader.read(WHOLE)) is first
        assert now(reader.read(PIECE)) is second

    asyncio.run(main())


@pytest.mark.parametrize(("asked", "piece"), [(1, PIECE), (WHOLE, WHOLE), (100_000, 100_000)])
def test_pieces_are_cut_as_they_are_asked_for(asked: int, piece: int) -> None:
    """A reader of few bytes does not make many pieces of them."""

    async def main() -> None:
        reader, _ = reading()
        reader.feed_data(b"x")
        assert reader.piece == PIECE
        assert now(reader.read(asked)) == b"x" and reader.piece == piece

    asyncio.run(main())


def test_a_transport_that_cannot_pause() -> None:
    class Open:
        def pause_reading(self) -> None:
            raise NotImplementedError

    async def main() -> None:
        reader = EnoStreamReader(limit=1)
        reader.set_transport(Open())  # type: ignore[arg-type]
        for _ in range(2):
            reader.feed_data(bytearray(WHOLE))
        assert now(reader.readexactly(2 * WHOLE)) == bytes(2 * WHOLE)

    asyncio.run(main())
