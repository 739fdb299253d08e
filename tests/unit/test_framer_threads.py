"""One object, two threads, and what memory says about it."""

import gc
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from unit.test_framer import opener, sealer, traffic_key

from pyeno.errors import LocalProtocolError

BIG = bytes(4 << 20)


def meet(work: Callable[[], Any], interfere: Callable[[], Any]) -> tuple[Any, str] | None:
    """``interfere`` once while another thread is in ``work``: the result of the
    one and the refusal of the other, or None if they missed each other."""
    made: list[Any] = []
    started = threading.Event()

    def run() -> None:
        started.set()
        try:
            made.append(work())
        except LocalProtocolError as error:
            made.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    refusal = None
    try:
        interfere()
    except LocalProtocolError as error:
        refusal = str(error)
    thread.join()
    return None if refusal is None or isinstance(made[0], Exception) else (made[0], refusal)


INTERFERENCE: dict[str, Callable[[Any, Any], Any]] = {
    "seal": lambda twin, s: s.seal(b"x"),
    "seal_into": lambda twin, s: s.seal_into(bytearray(99), b"x"),
    "rekey": lambda twin, s: s.rekey(twin.Secret(traffic_key())),
    "wipe": lambda twin, s: s.wipe(),
}


@pytest.mark.parametrize("name", INTERFERENCE)
def test_a_second_thread_is_turned_away(twin: Any, name: str) -> None:
    """No crash, no mixed stream: what the first one sealed still opens."""
    for _ in range(100):
        s = sealer(twin, frame_size=3000)
        met = meet(lambda: s.seal(BIG), lambda: INTERFERENCE[name](twin, s))  # noqa: B023
        if met is None:
            continue
        sealed, refusal = met
        assert "another thread is inside this Sealer" in refusal
        o = opener(twin)
        o.feed(sealed)
        assert o.read(len(BIG)) == BIG
        return
    pytest.fail("the threads never met")


@pytest.mark.parametrize("name", ["read", "feed", "room", "wipe"])
def test_an_opener_too(twin: Any, name: str) -> None:
    use = {
        "read": lambda o: o.read(1), "feed": lambda o: o.feed(b"x"),
        "room": lambda o: o.room(1 << 24), "wipe": lambda o: o.wipe(),
    }[name]  # fmt: skip
    stream = sealer(twin, frame_size=3000).seal(BIG)
    for _ in range(100):
        o = opener(twin)
        o.feed(stream)
        met = meet(lambda: o.read(len(BIG)), lambda: use(o))  # noqa: B023
        if met is not None:
            assert met[0] == BIG and "another thread is inside this Opener" in met[1]
            return
    pytest.fail("the threads never met")


def test_one_seals_while_another_opens(twin: Any) -> None:
    """Different objects do not disturb each other."""
    s, o = sealer(twin), opener(twin)
    total, errors = 0, []
    chunks: list[bytes] = []

    def produce() -> None:
        try:
            for size in (10, 5000, 100000) * 20:
                chunks.append(s.seal(bytes(size)))
            chunks.append(s.seal(b"", fin=True))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=produce)
    thread.start()
    taken = 0
    while not o.finished and not errors:
        for chunk in chunks[taken:]:
            o.feed(chunk)
            taken += 1
        while part := o.read(70000):
            total += len(part)
    thread.join()
    assert not errors and total == 20 * 105010


def test_nothing_is_leaked(twin: Any) -> None:
    """Neither references to buffers and keys nor memory."""

    def round_trip() -> None:
        s, o = sealer(twin), opener(twin)
        for size in (0, 64, 9000):
            o.feed(s.seal(bytes(size)))
            o.read_into(memory)
            o.room(5000)
        s.seal_into(memory, payload)
        for refused in (lambda: s.seal("text"), lambda: o.feed(None)):
            with pytest.raises(TypeError):
                refused()
        o.feed(b"\0\0\0")
        with pytest.raises(ConnectionError):
            o.read(1)

    memory, payload = bytearray(20000), bytes(1000)
    for _ in range(3):
        round_trip()
    gc.collect()
    counts = sys.getrefcount(memory), sys.getrefcount(payload)
    blocks = sys.getallocatedblocks()
    for _ in range(200):
        round_trip()
    gc.collect()
    assert (sys.getrefcount(memory), sys.getrefcount(payload)) == counts
    assert sys.getallocatedblocks() - blocks < 100
    memory.clear()  # nobody exports it any longer
