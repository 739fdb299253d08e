"""BaseConnection: what it keeps for a TEP, at its edges; and the buffer it receives into."""

import signal
from typing import Any

import pytest
from unit.example_tep import EXAMPLE, ExampleConnection

from pyeno import Config, LocalProtocolError, RemoteProtocolError, Role, TepError
from pyeno.events import DataReceived, EncryptionEnabled, EndOfStream
from pyeno.tep.room import ROOM_MAX, ROOM_MIN, Room
from pyeno.tep.testing.ends import Pair, drained, feed, outcome_of


@pytest.fixture
def pair() -> Pair:
    made = Pair(EXAMPLE, Config())
    made.settle()
    return made


def test_room_follows_what_comes() -> None:
    room = Room()
    assert len(room.lend(1 << 20)) == ROOM_MIN and len(room.lend(10)) == 10
    assert len(room.lend(0)) == 1
    sizes = []
    for _ in range(4):
        view = room.lend(1 << 20)
        sizes.append(len(view))
        view[:3] = b"abc"
        assert room.take(len(view))[:3] == b"abc"
    assert sizes == [ROOM_MIN, 4 * ROOM_MIN, 16 * ROOM_MIN, ROOM_MAX]
    room.lend(1 << 20)
    room.take(1)
    assert len(room.lend(1 << 20)) == ROOM_MIN
    with pytest.raises(ValueError, match=r"received\(4097\): room\(\) gave 4096"):
        room.take(ROOM_MIN + 1)


def test_what_is_owed_goes_first(pair: Pair) -> None:
    """Before sealed bytes, whoever asks; after the end nothing is owed any more."""
    a: Any = pair[Role.A]
    a.owe(b"one")
    assert a.owes and a.send(b"x")[:3] == b"one" and not a.owes
    a.owe(b"two")
    out = bytearray(100)
    taken, written = a.seal_into(out, b"y")
    assert (taken, written) == (1, 3 + 1 + a.overhead) and out[:3] == b"two"
    a.owe(b"three")
    assert a.data_to_send() == b"three" and a.data_to_send() == b""
    assert a.send(b"", fin=True)
    a.owe(b"late")
    assert not a.owes and a.data_to_send() == b""


def test_seal_into_little_room(pair: Pair) -> None:
    a: Any = pair[Role.A]
    before = a.sealed
    for size in (0, 1, a.overhead):
        with pytest.raises(ValueError, match=f"out has {size} bytes; a frame needs more than"):
            a.seal_into(bytearray(size), b"data")
    assert a.sealed == before
    out = bytearray(a.overhead + 3)
    assert a.seal_into(out, b"data", fin=True) == (3, a.overhead + 3)
    feed(pair[Role.B], out)
    out = bytearray(a.overhead + 3)
    assert a.seal_into(out, b"a", fin=True) == (1, a.overhead + 1)
    feed(pair[Role.B], out[: a.overhead + 1])
    assert drained(pair[Role.B]) == b"data"[:3] + b"a" and pair[Role.B].finished


def test_before_keys_and_after_wipe() -> None:
    a: Any = EXAMPLE.create(outcome_of(EXAMPLE, Config(), Role.A), Config())
    assert a.owes and not a.established and not a.finished and a.next_event() is None
    for use in (lambda: a.send(b"x"), lambda: a.read(1), lambda: a.room(1), lambda: a.peek(1)):
        with pytest.raises(LocalProtocolError, match="key exchange is not complete"):
            use()
    a.wipe()
    assert not a.owes and a.data_to_send() == b""
    with pytest.raises(LocalProtocolError, match="was wiped"):
        a.receive_data(b"x")


def test_data_before_a_fault_are_read_first(pair: Pair) -> None:
    """By events too; what comes after it counts as received, and is not looked at."""
    a, b = pair[Role.A], pair[Role.B]
    first = a.send(b"first")
    feed(b, first + b"\xff\xff" + bytes(100))
    feed(b, b"more")
    assert b.opened + b.buffered == 32 + len(first) + 106 and not b.finished
    assert isinstance(b.next_event(), EncryptionEnabled)
    assert b.next_event() == DataReceived(b"first")
    for use in (b.next_event, lambda: b.read(1), b.open_ahead, b.receive_eof):
        with pytest.raises(RemoteProtocolError, match="a length of 65535"):
            use()


def test_events_end_once(pair: Pair) -> None:
    a, b = pair[Role.A], pair[Role.B]
    feed(b, a.send(b"", fin=True))
    told = [b.next_event() for _ in range(3)]
    assert isinstance(told[0], EncryptionEnabled) and told[1:] == [EndOfStream(), None]


def test_a_tep_of_nobody_is_named_by_its_class() -> None:
    class Nameless(ExampleConnection):
        def begin(self) -> bytes:
            raise ValueError

    outcome = outcome_of(EXAMPLE, Config(), Role.A)
    with pytest.raises(TepError, match=r"^Nameless: begin\(\) raised ValueError"):
        Nameless(outcome, Config()).data_to_send()


def test_a_signal_handler_may_send(pair: Pair) -> None:
    """On the connection whose call it interrupted, in the same thread."""
    a, b = pair[Role.A], pair[Role.B]
    sent: list[bytes] = []
    seal = a.seal  # type: ignore[attr-defined]

    def interrupted(data: bytes, fin: bool) -> bytes:
        a.seal = seal  # type: ignore[attr-defined]
        signal.raise_signal(signal.SIGUSR1)
        return seal(data, fin)

    a.seal = interrupted  # type: ignore[attr-defined]
    before = signal.signal(signal.SIGUSR1, lambda *_: sent.append(a.send(b"handler's")))
    try:
        sent.append(a.send(b"program's"))
    finally:
        signal.signal(signal.SIGUSR1, before)
    feed(b, b"".join(sent))
    assert drained(b) == b"handler'sprogram's"
