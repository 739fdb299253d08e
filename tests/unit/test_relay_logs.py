"""What a relay logs, and how much of it."""

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyeno.relay import logs
from pyeno.relay.logs import FIELDS, Log
from pyeno.relay.records import Record

Made = Callable[..., tuple[Log, Callable[[], list[str]]]]


@pytest.fixture
def made() -> Iterator[Made]:
    """A log, and what tells its lines so far."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def lines() -> list[str]:
        try:
            return os.read(reading, 1 << 16).decode().splitlines()
        except BlockingIOError:
            return []

    yield lambda *words, **more: (Log(*words, **more, descriptor=writing), lines)
    os.close(reading)
    os.close(writing)


def record(end: str = "fin", error: str = "") -> Record:
    made = Record(1, "outbound", ("2001:db8::1", 80), ("127.0.0.1", 40001))
    made.local = ("192.0.2.1", 40002)
    made.bytes_out, made.bytes_in, made.end, made.error = 5, 7, end, error
    return made


def test_a_connection_as_json(made: Made) -> None:
    log, lines = made("json")
    log.opened(record())
    log.ended(record("reset", 'it said "no"'))
    (line,) = lines()
    told = json.loads(line)
    assert set(told) == {"time", "event", "seconds", *FIELDS}
    assert told["peer"] == "[2001:db8::1]:80" and told["program"] == "127.0.0.1:40001"
    assert (told["bytes_out"], told["bytes_in"]) == (5, 7)
    assert (told["end"], told["error"]) == ("reset", 'it said "no"')


def test_a_connection_as_text(made: Made) -> None:
    log, lines = made("text")
    log.ended(record("reset", 'it said "no"'))
    (line,) = lines()
    head, _, rest = line.partition(" event=")
    assert head.startswith("time=")
    assert rest.startswith(
        "connection direction=outbound peer=[2001:db8::1]:80 local=192.0.2.1:40002 "
        "program=127.0.0.1:40001 bytes_in=7 bytes_out=5 end=reset "
        r'error="it said \"no\"" seconds='
    )


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"a": "b", "c": None, "d": "", "e": 0, "f": False}, "a=b e=0 f=false"),
        ({"a": "b c", "d": "=", "e": "x\ny"}, r'a="b c" d="=" e="x\ny"'),
        ({"a": ["b", 1]}, 'a=["b", 1]'),
        ({"a": "ä"}, "a=ä"),
    ],
)
def test_words(fields: dict[str, Any], line: str) -> None:
    assert logs.text(fields) == line


def test_one_line_is_one_line(made: Made) -> None:
    """Whatever a peer gets into an error."""
    log, lines = made("text")
    log.say("x", error="a\nevent=faked\udc80")
    assert len(lines()) == 1


def test_failures_are_limited(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many a minute, then their number; what ended well is always told."""
    now = [1000.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    log, lines = made("json", errors_per_minute=2)
    for _ in range(5):
        log.ended(record("reset"))
    assert len(lines()) == 2
    log.ended(record("fin"))
    assert len(lines()) == 1
    now[0] += 60
    log.ended(record("truncated"))
    unsaid, told = map(json.loads, lines())
    assert (unsaid["event"], unsaid["connections"]) == ("unsaid", 3)
    assert told["end"] == "truncated"
    log.flush()
    assert lines() == []


def test_changed_while_it_runs(made: Made) -> None:
    log, lines = made("json")
    log.change("text", connections=False, errors_per_minute=0)
    log.ended(record())
    log.ended(record("reset"))
    assert lines() == []
    log.say("reloaded", connections=3)
    assert lines()[0].endswith("event=reloaded connections=3")
