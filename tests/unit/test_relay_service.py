"""The service around a relay: signals, reloads, its end; what it tells others."""

import contextlib
import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyeno import mounts
from pyeno.errors import ConfigError, KernelError
from pyeno.relay import control, metrics, service
from pyeno.relay.records import Record
from pyeno.relay.service import Service
from pyeno.relay.settings import Settings

COUNTERS: dict[str, Any] = {
    "opening": 1, "open": 2, "outbound": 3, "inbound": 1, "encrypted": 3, "resumed": 2,
    "plain": 1, "handshake_failures": 5, "reasons": {"syn-without-eno": 1},
    "refused": {"ECONNREFUSED": 4}, "ends": {"fin": 2, "reset": 1}, "bytes_out": 77,
    "bytes_in": 99,
    "connections": [
        {"direction": "outbound", "tep": "0x23", "reason": None, "count": 3},
        {"direction": "inbound", "tep": None, "reason": "syn-without-eno", "count": 1},
    ],
}  # fmt: skip


class Played:
    """A relay whose run() does what the test says."""

    script: Callable[["Played"], None]

    def __init__(self, settings: Settings, observer: Any) -> None:
        self.settings, self.observer = settings, observer
        self.reloads: list[Settings] = []
        self.stopped = self.drained = 0
        self.records: list[Record] = []
        self.inside = False

    def __enter__(self) -> None:
        self.inside = True

    def __exit__(self, *_: object) -> None:
        self.inside = False

    def run(self) -> None:
        self.script()

    def stop(self) -> None:
        self.stopped += 1

    def drain(self) -> None:
        self.drained += 1

    @property
    def idle(self) -> bool:
        return not self.records

    def reload(self, settings: Settings) -> None:
        if settings.fail != self.settings.fail:
            raise ConfigError("fail: 'closed'; a relay that runs has 'open'")
        self.reloads.append(settings)

    def counters(self) -> dict[str, Any]:
        return COUNTERS

    def connections(self) -> list[Record]:
        return self.records


class World:
    """A configuration file, the log, and the manager's socket."""

    def __init__(self, path: Path, manager: socket.socket, log: int) -> None:
        self.path, self.manager, self._log = path, manager, log

    def write(self, text: str) -> None:
        self.path.write_text(f"cgroups = ['web']\nlog.format = 'json'\n{text}")

    def play(self, script: Callable[[Any], None], text: str = "") -> Played:
        """Serve, with this for run()."""
        self.write(text)
        made = Service(self.path)
        relay: Any = made._relay
        relay.script = lambda: script(relay)
        made.run()
        assert not relay.inside
        return relay  # type: ignore[no-any-return]

    def log(self) -> list[dict[str, Any]]:
        with contextlib.suppress(BlockingIOError):
            return [json.loads(line) for line in os.read(self._log, 1 << 16).splitlines()]
        return []

    def told(self) -> list[str]:
        """What the service manager heard: the first word of each."""
        words = []
        with contextlib.suppress(BlockingIOError):
            while True:
                words.append(self.manager.recv(999).decode().partition("=")[0])
        return words


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    monkeypatch.setattr(service, "Relay", Played)
    monkeypatch.setattr(mounts, "ensure_cgroup2", lambda: None)
    monkeypatch.setattr(mounts, "cgroup_root", lambda: tmp_path)
    monkeypatch.setattr(mounts, "cgroup_directory", Path)
    monkeypatch.setattr("pyeno.relay.logs.STDERR", writing)
    monkeypatch.setattr(control, "DIRECTORY", tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    before = {number: signal.getsignal(number) for number in (1, 2, 14, 15)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        yield World(tmp_path / "relay.toml", manager, reading)
    assert before == {number: signal.getsignal(number) for number in (1, 2, 14, 15)}
    os.close(reading)
    os.close(writing)


def record(end: str | None = None) -> Record:
    made = Record(1, "outbound", ("192.0.2.1", 80), ("192.0.2.2", 40001))
    made.end = end
    return made


def test_begins_and_ends(world: World) -> None:
    def script(relay: Played) -> None:
        assert relay.inside
        assert world.told() == ["READY"]
        (answer,) = control.ask("status", world.path.parent)
        assert answer.name == "relay"
        assert answer.value["counters"] == COUNTERS and answer.value["pid"] == os.getpid()
        assert answer.value["config"] == str(world.path)
        relay.observer.ended(record("fin"))

    assert world.play(script).stopped == 0
    assert [line["event"] for line in world.log()] == ["began", "connection", "ended"]
    assert control.ask("status", world.path.parent) == []


def test_reloads(world: World) -> None:
    def script(relay: Played) -> None:
        world.log()
        assert world.told() == ["READY"]
        for text in ("skip.ports = [7]", "skip.port = [7]", "fail = 'closed'", "", "["):
            world.write(text)
            signal.raise_signal(signal.SIGHUP)
            assert world.told() == ["RELOADING", "READY"]
        world.path.unlink()
        signal.raise_signal(signal.SIGHUP)

    relay = world.play(script)
    assert relay.reloads[0].skip_ports == {7}
    assert len(relay.reloads) == 2
    lines = world.log()
    assert [line["event"] for line in lines] == [
        "reloaded", "reload-refused", "reload-refused", "reloaded", "reload-refused",
        "reload-refused", "ended",
    ]  # fmt: skip
    assert lines[1]["error"].startswith(f"{world.path}:3: skip.port: unknown key; did you")
    assert lines[2]["error"] == "fail: 'closed'; a relay that runs has 'open'"


def test_a_reload_changes_the_log(world: World) -> None:
    def script(relay: Played) -> None:
        relay.observer.ended(record("fin"))
        world.write("log.connections = false")
        signal.raise_signal(signal.SIGHUP)
        relay.observer.ended(record("fin"))

    world.play(script)
    assert [line["event"] for line in world.log()] == [
        "began", "connection", "reloaded", "ended"
    ]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_at_once_when_idle(world: World, number: signal.Signals) -> None:
    relay = world.play(lambda _: signal.raise_signal(number))
    assert (relay.drained, relay.stopped) == (1, 1)
    assert world.told() == ["READY", "STOPPING"]


def test_drains(world: World) -> None:
    def script(relay: Played) -> None:
        relay.records = [record()]
        signal.raise_signal(signal.SIGTERM)
        assert (relay.drained, relay.stopped) == (1, 0)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 20
        assert control.ask("status", world.path.parent)[0].value["draining"]
        relay.observer.ended(relay.records.pop())
        assert relay.stopped == 1

    world.play(script)
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_drains_no_longer_than_it_may(world: World) -> None:
    def script(relay: Played) -> None:
        relay.records = [record()]
        signal.raise_signal(signal.SIGTERM)
        until = time.monotonic() + 8
        while not relay.stopped and time.monotonic() < until:
            time.sleep(0.01)
        assert relay.stopped == 1

    world.play(script, "limits.drain_seconds = 0.01")
    assert [line["event"] for line in world.log()] == ["began", "ending", "reset", "ended"]


@pytest.mark.parametrize("text", ["limits.drain_seconds = 0", ""])
def test_does_not_drain(world: World, text: str) -> None:
    """Not wanted; or told twice."""

    def script(relay: Played) -> None:
        relay.records = [record()]
        signal.raise_signal(signal.SIGTERM)
        if not text:
            signal.raise_signal(signal.SIGTERM)
        assert relay.stopped == 1

    world.play(script, text)


def test_nothing_is_left_when_it_cannot_begin(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Played) -> None:
        raise KernelError(1, "no CAP_BPF")

    monkeypatch.setattr(Played, "__enter__", fails)
    with pytest.raises(KernelError, match="no CAP_BPF"):
        world.play(lambda _: None)
    assert not list(world.path.parent.glob("*.sock")) and world.told() == []


# -- metrics ---------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def scraped(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=8) as answer:
        text: str = answer.read().decode()
        return [line for line in text.splitlines() if not line.startswith("#")]


def test_metrics() -> None:
    port = free_port()
    with metrics.served(f"127.0.0.1:{port}", lambda: COUNTERS):
        lines = scraped(port)
        with (
            pytest.raises(KernelError, match=r"Address already in use; choose another port"),
            metrics.served(f"127.0.0.1:{port}", lambda: COUNTERS),
        ):
            pass
    plain = 'direction="inbound",reason="syn-without-eno",tep=""'
    assert lines == [
        'pyeno_relay_connections_total{direction="outbound",reason="",tep="0x23"} 3.0',
        f"pyeno_relay_connections_total{{{plain}}} 1.0",
        'pyeno_relay_active{state="opening"} 1.0',
        'pyeno_relay_active{state="open"} 2.0',
        'pyeno_relay_bytes_total{way="in"} 99.0',
        'pyeno_relay_bytes_total{way="out"} 77.0',
        'pyeno_relay_ends_total{end="fin"} 2.0',
        'pyeno_relay_ends_total{end="reset"} 1.0',
        'pyeno_relay_refused_total{why="ECONNREFUSED"} 4.0',
        "pyeno_relay_resumed_total 2.0",
        "pyeno_relay_handshake_failures_total 5.0",
    ]


def test_metrics_that_move(world: World) -> None:
    """By a reload; one that fails leaves them where they are."""
    first, second = free_port(), free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]

        def script(_: Played) -> None:
            assert scraped(first)
            for port in busy, second:
                world.write(f"metrics.address = '127.0.0.1:{port}'")
                signal.raise_signal(signal.SIGHUP)
                if port == busy:
                    assert scraped(first)
            assert scraped(second)
            with pytest.raises(OSError, match="refused"):
                scraped(first)

        world.play(script, f"metrics.address = '127.0.0.1:{first}'")
    refused = world.log()[1]
    assert refused["event"] == "reload-refused"
    assert f"metrics.address: 127.0.0.1:{busy}: Address already in use" in refused["error"]


def test_bytes_never_go_back() -> None:
    """A connection that ends while it is counted is missed for a moment."""
    told = iter(({"bytes_in": 5, "bytes_out": 9}, {"bytes_in": 4, "bytes_out": 12}))
    collector = metrics.Collector(lambda: COUNTERS | next(told))
    for into, out in ((5, 9), (5, 12)):
        (family,) = (one for one in collector.collect() if one.name == "pyeno_relay_bytes")
        assert [sample.value for sample in family.samples] == [into, out]
