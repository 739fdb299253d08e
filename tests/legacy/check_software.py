"""Software nobody here wrote, under ``pyeno run``: encrypted where both ends can, plain and
working where not, refused where that is demanded.  Run by ci/legacy.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from legacy.hosts import Done, Side
from legacy.software import MARK, PAIRS
from wire.capture import Segment
from wire.netns import Wire

STRIP = "tcp flags & (syn | ack) == syn reset tcp option 69"
PLAIN, ENO, REQUIRE = Side(), Side(eno=True), Side(eno=True, require=True)


class Mode(NamedTuple):
    """What the two hosts do, and what comes of it."""

    near: Side
    far: Side
    near_reason: str | None
    far_reason: str | None
    stripped: bool = False


MODES = {
    "plain": Mode(PLAIN, PLAIN, None, None),
    "both": Mode(ENO, ENO, None, None),
    "both-required": Mode(REQUIRE, REQUIRE, None, None),
    "near-only": Mode(ENO, PLAIN, "syn-ack-without-eno", None),
    "far-only": Mode(PLAIN, ENO, None, "syn-without-eno"),
    "stripped": Mode(ENO, ENO, "syn-ack-without-eno", "syn-without-eno", stripped=True),
}
families = pytest.mark.parametrize("family", ["IPv4", "IPv6"])
pairs = pytest.mark.parametrize("pair", PAIRS)


def readable(segments: list[Segment]) -> bool:
    return any(MARK in segment.payload for segment in segments)


def check_record(record: dict[str, Any], encrypted: bool, reason: str | None) -> None:
    assert (record["encrypted"], record["reason"]) == (encrypted, reason), record
    assert record["end"] == "fin", record
    assert bool(record["session_id"]) == encrypted


@families
@pairs
@pytest.mark.parametrize("mode", MODES)
def test_it_works(
    wire: Wire, serve: Any, ask: Callable[..., Done], tmp_path: Path, address: str,
    pair: str, mode: str,
) -> None:  # fmt: skip
    make, client = PAIRS[pair]
    near, far, near_reason, far_reason, stripped = MODES[mode]
    encrypted = near.eno and far.eno and not stripped
    home = tmp_path / "home"
    home.mkdir()
    with contextlib.ExitStack() as stack:
        if stripped:
            stack.enter_context(wire.b.rules(STRIP))
        server = stack.enter_context(serve(make(home), far))
        with wire.capture() as capture:
            done = ask(near, client.program(address), client.stdin).well()
        assert client.proves(done.output), done
        assert readable(capture.segments) != encrypted
        assert bool(capture.syns()[0].eno) == near.eno
        for record in done.records:
            check_record(record, encrypted, near_reason)
            assert record["peer"].startswith(address.join("[]" if ":" in address else ["", ""]))
        if far.eno:
            (record,) = server.records()
            check_record(record, encrypted, far_reason)
        if encrypted:
            assert record["session_id"] == done.records[0]["session_id"]


@families
@pairs
def test_required_of_a_server_without(
    wire: Wire, serve: Any, ask: Callable[..., Done], tmp_path: Path, address: str, pair: str
) -> None:
    """The program cannot connect; nothing it wanted to say was sent; the reason is told."""
    make, client = PAIRS[pair]
    home = tmp_path / "home"
    home.mkdir()
    with serve(make(home), PLAIN), wire.capture() as capture:
        done = ask(REQUIRE, client.program(address), client.stdin)
    assert not client.proves(done.output)
    assert not any(segment.payload for segment in capture.segments)
    assert all("syn-ack-without-eno" in str(record) for record in done.records), done.records


@families
@pairs
def test_required_of_a_client_without(
    wire: Wire, serve: Any, ask: Callable[..., Done], tmp_path: Path, address: str, pair: str
) -> None:
    make, client = PAIRS[pair]
    home = tmp_path / "home"
    home.mkdir()
    with serve(make(home), REQUIRE) as server, wire.capture() as capture:
        done = ask(PLAIN, client.program(address), client.stdin)
        records = server.records()
    assert not client.proves(done.output)
    from_server = [s for s in capture.segments if s.source[0] == address]
    assert not any(segment.payload for segment in from_server)
    assert all("syn-without-eno" in str(record) for record in records), records
