"""`pyeno connect` again: sessions between commands (RFC 8548 section 3.5)."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from wire.netns import Wire
from wire.programs import NOBODY, Command, Listen
from wire.resuming import MARKER

pytestmark = pytest.mark.wire

_ports = itertools.count(14000)


class Caller:
    """Runs `pyeno connect` against one `pyeno listen --echo`."""

    def __init__(self, wire: Wire, listen: Listen) -> None:
        self.wire, self.listen = wire, listen
        self.count = 0

    def __call__(self, *words: str, before: Sequence[str] = ()) -> dict[str, Any]:
        target = f"{self.wire.b.ip4}:{self.listen.port}"
        with Command(
            self.wire.a, "connect", "--json", *words, target, before=before
        ) as command:
            command.type(MARKER, end=True)
            assert command.ended() == 0 and command.output == MARKER, command
            ours = command.next_report()
        self.count += 1
        theirs = self.listen.wait(lambda: self.listen.reports[self.count - 1 :])[0]
        for field in "encrypted", "session_id", "transcript", "aead", "resumed":
            assert ours[field] == theirs[field]
        assert ours["encrypted"] and ours["end"] == theirs["end"] == "fin"
        return ours


@contextlib.contextmanager
def caller(wire: Wire, *words: str, before: Sequence[str] = ()) -> Iterator[Caller]:
    with Listen(wire.b, next(_ports), "--echo", *words, before=before) as listen:
        yield Caller(wire, listen)


def test_the_second_command_resumes(wire: Wire) -> None:
    with caller(wire) as call:
        reports = [call() for _ in range(3)]
    assert [report["resumed"] for report in reports] == [False, True, True]
    assert len({report["session_id"] for report in reports}) == 3
    assert reports[1]["session_id"].startswith("a3")


def test_a_restarted_listener_resumes_too(wire: Wire) -> None:
    """The kernel keeps what the first process made."""
    with caller(wire) as call:
        assert not call()["resumed"]
        port = call.listen.port
    with Listen(wire.b, port, "--echo") as listen:
        assert Caller(wire, listen)()["resumed"]


@pytest.mark.parametrize("who", ["connect", "listen"])
def test_no_resume(wire: Wire, who: str) -> None:
    ours, theirs = (["--no-resume"], []) if who == "connect" else ([], ["--no-resume"])
    with caller(wire, *theirs) as call:
        assert not any(call(*ours)["resumed"] for _ in range(2))
        # only the resumption is off, what was cached is there
        assert call()["resumed"] is (who == "connect")


@pytest.mark.parametrize("who", ["connect", "listen"])
def test_no_cache(wire: Wire, who: str) -> None:
    ours, theirs = (["--no-cache"], []) if who == "connect" else ([], ["--no-cache"])
    with caller(wire, *theirs) as call:
        assert not any(call(*ours)["resumed"] for _ in range(3))


def test_nonce_length(wire: Wire) -> None:
    with caller(wire, "--resumption-nonce-len", "0") as call:
        call()
        report = call("--resumption-nonce-len", "5")
    transcript = bytes.fromhex(report["transcript"])
    assert report["resumed"] and len(transcript) == (3 + 9 + 5) + (4 + 9)


def test_scope(wire: Wire) -> None:
    with caller(wire, "--session-scope", "x") as call:
        assert [call(*words)["resumed"] for words in ([], ["--session-scope", "x"])] == 2 * [
            False
        ]
        assert call("--session-scope", "x")["resumed"]


@pytest.mark.parametrize(
    ("words", "resumed"),
    [([], False), (["--everything"], False), (["--session-scope", "other"], True)],
)
def test_flush(wire: Wire, words: list[str], resumed: bool) -> None:
    with caller(wire) as call:
        call()
        with Command(wire.a, "flush", *words) as flush:
            assert flush.ended() == 0 and not flush.complaints
        assert call()["resumed"] is resumed


def test_each_user_sees_their_own(wire: Wire) -> None:
    """An unprivileged user resumes their sessions, and neither uses nor flushes another's."""
    with caller(wire, before=NOBODY) as call:
        assert [call(before=NOBODY)["resumed"] for _ in range(2)] == [False, True]
        assert not call()["resumed"], "root's first"
        with Command(wire.a, "flush", "--everything") as flush:
            assert flush.ended() == 0
        assert call(before=NOBODY)["resumed"]
        assert not call()["resumed"]
        with Command(wire.a, "flush", "--everything", before=NOBODY) as flush:
            assert flush.ended() == 0
        assert call()["resumed"]
        assert not call(before=NOBODY)["resumed"]
