"""The machinery of `pyeno bench`: forked ends, workers, warm-up, progress; no BPF.

Plain TCP and TLS run for real here, over loopback; pyeno in tests/wire.
"""

import errno
import io
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from unit.test_bench import in_manual

from pyeno import limits
from pyeno.bench import crowd, rounds, stages, tls, workers
from pyeno.bench.cpus import Cpus, Stopwatch, cpu_seconds, resident
from pyeno.bench.errors import BenchError
from pyeno.bench.kinds import kinds
from pyeno.bench.pairs import Peer, run_pair
from pyeno.bench.places import LOOPBACK, Place
from pyeno.bench.progress import Progress
from pyeno.bench.rounds import Cell, Settings
from pyeno.bench.scenarios import Meeting, scenarios
from pyeno.bench.transports import Plain

FIGURES = in_manual("`against_plain` and `against_tls`.")
HERE = Place("loopback", LOOPBACK)
CPUS = Cpus.choose()
SCENARIOS = {scenario.name: scenario for scenario in scenarios(quick=True)}
WITHOUT_ENO = [kind for kind in kinds() if not kind.eno]


class Played:
    """A run whose ends do what a test says."""

    eno = False

    def __init__(self, near: Callable[[Peer], Any], far: Callable[[], None]) -> None:
        self.near, self._far = near, far

    def far(self, host: str, announce: Callable[[int], None]) -> None:
        announce(7)
        self._far()


def raise_(error: Exception) -> Any:
    raise error


def children() -> set[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for path in tasks for pid in path.read_text().split()}


# -- two ends ------------------------------------------------------------------------


def test_ends_are_processes_of_their_own() -> None:
    def near(peer: Peer) -> Any:
        return {"peer": [*peer.address, peer.pid], "pid": os.getpid(),
                "cpus": [*os.sched_getaffinity(0)]}  # fmt: skip

    told = run_pair(Played(near, lambda: time.sleep(60)), HERE, CPUS, 10)
    assert told["peer"][:2] == [LOOPBACK, 7]
    assert len({os.getpid(), told["pid"], told["peer"][2]}) == 3
    assert told["cpus"] == [CPUS.near]
    for pid in (told["pid"], told["peer"][2]):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_near_end_that_fails_says_why() -> None:
    run = Played(lambda peer: raise_(OSError("no luck")), lambda: time.sleep(60))
    with pytest.raises(BenchError, match="near end: OSError: no luck"):
        run_pair(run, HERE, CPUS, 10)


def test_a_far_end_that_fails_says_why() -> None:
    """The near one, which only sees what that does to it, may still have its say."""

    def near(peer: Peer) -> None:
        time.sleep(0.5)
        raise ConnectionResetError("reset")

    with pytest.raises(BenchError, match=r"near end: .*reset; far end: ValueError: bad"):
        run_pair(Played(near, lambda: raise_(ValueError("bad"))), HERE, CPUS, 10)


def test_a_far_end_that_is_done_first() -> None:
    def near(peer: Peer) -> int:
        time.sleep(0.2)
        return 5

    assert run_pair(Played(near, lambda: None), HERE, CPUS, 10) == 5


def test_a_run_that_does_not_end() -> None:
    before = children()
    with pytest.raises(BenchError, match="near end did not end in time"):
        run_pair(Played(lambda peer: time.sleep(60), lambda: time.sleep(60)), HERE, CPUS, 2)
    assert children() <= before


def test_a_namespace_that_is_not_there() -> None:
    place = HERE._replace(far="pyeno-bench-absent")
    with pytest.raises(BenchError, match=os.strerror(errno.ENOENT)):
        run_pair(Played(lambda peer: 1, lambda: None), place, CPUS, 10)


# -- scenarios on what needs no ENO ----------------------------------------------------


@pytest.mark.parametrize("kind", WITHOUT_ENO, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, kind: Any) -> None:
    """Each gives every figure that its parts show, and no figure is nothing."""
    scenario = SCENARIOS[name].within(10)
    if scenario.pair(kind) is None:
        with pytest.raises(BenchError, match="not for"):
            Meeting(scenario, kind, 1)
        return
    amount = (
        {"crowd": 40, "pipelined": 1 << 20}.get(name) or scenario.amount or 4 * scenario.unit
    )
    result = run_pair(Meeting(scenario, kind, amount), HERE, CPUS, 60)
    assert [part.name for part in scenario.parts] == list(result)
    for part in scenario.parts:
        figures = result[part.name]
        assert set(figures) <= FIGURES
        assert part.figure in figures and (part.beside is None or part.beside in figures)
        if name != "idle":  # ten connections may fit what was free already
            assert all(value > 0 for figure, value in figures.items() if figure != "far_bytes")


@pytest.mark.parametrize(
    ("speed", "size", "able"),
    [(1e3, 1e4, True), (100.0, 1e4, False), (1e3, 1e9, False), (1e9, -5.0, True)],
)
def test_crowds_that_are_too_much(speed: float, size: float, able: bool) -> None:
    last = {"opened_per_second": speed, "far_bytes": size}
    assert crowd.feasible(10000, 9000, last) == able


def test_another_suite_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS, but not with the suite that the row's name says."""
    tls_kind = next(kind for kind in kinds() if kind.name == "tls1.3-aes-128-gcm")
    monkeypatch.setattr(tls, "demand", lambda suite: None)
    with pytest.raises(BenchError, match=r"TLS_AES_256_GCM_SHA384 instead of TLS_AES_128"):
        run_pair(Meeting(SCENARIOS["fresh"], tls_kind, 1), HERE, CPUS, 10)


def test_pyeno_without_eno_is_an_error() -> None:
    """No BPF program has this process: TCP would be plain."""
    eno = next(kind for kind in kinds() if kind.eno)
    with pytest.raises(BenchError, match=r"end: EncryptionRequiredError"):
        run_pair(Meeting(SCENARIOS["fresh"], eno, 1), HERE, CPUS, 10)


# -- rounds --------------------------------------------------------------------------


def cell(monkeypatch: pytest.MonkeyPatch, per_second: float, name: str = "bulk-1m") -> Cell:
    """A cell whose runs take what ``per_second`` makes of their amount."""
    made = Cell(SCENARIOS[name], WITHOUT_ENO[0])
    ran: list[int] = []

    def played(run: Any, *_: Any) -> Any:
        amount = run._amount
        ran.append(amount)
        return {made.scenario.name: {"per_second": per_second, "seconds": amount / per_second}}

    monkeypatch.setattr(rounds, "run_pair", played)
    monkeypatch.setattr(made, "ran", ran, raising=False)
    return made


@pytest.mark.parametrize("per_second", [1e6, 1e9, 1e11])
def test_amounts_fit_the_time(monkeypatch: pytest.MonkeyPatch, per_second: float) -> None:
    one = cell(monkeypatch, per_second)
    one.warm_up(HERE, CPUS, 0.3)
    one.run(HERE, CPUS, 0.3)
    *warming, last = one.ran  # type: ignore[attr-defined]
    assert len(warming) <= rounds.WARM_UPS and last % (1 << 20) == 0
    # at least one write, and otherwise as long as asked for
    assert last == 1 << 20 or last / per_second == pytest.approx(0.3, rel=0.01)
    assert len(one.rounds) == 1


def test_fixed_amounts_need_no_warming(monkeypatch: pytest.MonkeyPatch) -> None:
    one = cell(monkeypatch, 1e3, "idle")
    one.warm_up(HERE, CPUS, 0.3)
    one.run(HERE, CPUS, 0.3)
    assert one.ran == [SCENARIOS["idle"].amount]  # type: ignore[attr-defined]


def test_rounds_are_interleaved() -> None:
    said: list[str] = []
    table = rounds.cells([SCENARIOS["ping-pong-1cpu"]], WITHOUT_ENO[:2])
    done = rounds.measure(table, HERE, CPUS, Settings(rounds=2, seconds=0.01), said.append)
    assert done == 2
    assert [word.partition(": ")[2] for word in said] == [c.name for c in table] * 3
    assert [len(c.rounds) for c in table] == [2, 2]


def test_errors_name_scenario_and_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "run_pair", lambda *_: raise_(BenchError("far end: no")))
    with pytest.raises(BenchError, match="fresh, plain: far end: no"):
        Cell(SCENARIOS["fresh"], WITHOUT_ENO[0]).warm_up(HERE, CPUS, 0.1)


def test_a_budget_ends_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(rounds.time, "monotonic", lambda: clock[0])

    def turns(budget: float | None) -> int:
        begun = clock[0]
        clock[0] += 10  # warming up
        done = 0
        for done in rounds._turns(Settings(rounds=5, budget=budget), begun):  # noqa: B007
            clock[0] += 10
        return done

    assert [turns(b) for b in (None, 1.0, 29.0, 30.0, 1000.0)] == [5, 1, 1, 2, 5]


# -- stages --------------------------------------------------------------------------


def test_every_implementation_in_a_process_of_its_own() -> None:
    """All that are installed; cases of the same name are of the same thing."""
    notes: list[str] = []
    with ExitStack() as stack:
        able = {worker.name: worker for worker in workers.start(stack, CPUS.far, notes)}
        for name in {*workers.TWINS, *stages.FOREIGN} - set(able):
            assert any(f"no {name}" in note for note in notes)
        assert set(able["native"].cases) == set(able["pure"].cases)
        for worker in able.values():
            assert stages.FIND in worker.cases
            assert all(worker.run(case, 0.0005) > 0 for case in worker.cases)
    # they ended when asked to, none had to be killed
    assert {worker._process.returncode for worker in able.values()} == {-signal.SIGTERM}


def test_an_implementation_that_is_not_there() -> None:
    with ExitStack() as stack:
        worker = stack.enter_context(workers.Worker("ruby", CPUS.far))
        with pytest.raises(BenchError, match="ImportError: PYENO_BACKEND gave pure"):
            worker.ready()


def test_what_is_timed_is_right() -> None:
    from pyeno._backend import backend

    made = stages.cases(backend)
    assert made["option: parse"]().__call__().raw == stages.SYN
    assert made["option: encode"]()() == stages.SYN
    assert made[stages.FIND]()() == (stages.SYN,)
    assert made["negotiation: negotiate"]()().tep_byte == 0x23
    assert len(made["key agreement: Curve25519, pair and ES"]()()) == 32
    for name, prepare in made.items():
        prepare()()
        assert name == name.strip()


def test_time_of_one_call() -> None:
    assert stages.timed(lambda: time.sleep(0.001), 0.02) >= 1e6


# -- the machine ---------------------------------------------------------------------


def test_stopwatch_counts_both_ends() -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as other:  # fmt: skip
        assert other.stdin and other.stdout
        with Stopwatch(other.pid) as watch:
            other.stdout.readline()
        figures = watch.figures(10)
        assert 0.2 < watch.cpu < 5 and figures["cpu_ns"] == watch.cpu / 10 * 1e9
        assert figures["per_second"] * figures["seconds"] == pytest.approx(10)
        assert cpu_seconds(other.pid) > 0.25 and resident(other.pid) > 1 << 20
        other.stdin.write(b"\n")


def test_limit_of_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert limits.raise_limit(10) == 10
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 256
        assert limits.raise_limit(1000) == 1000
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 1000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_limit_that_nobody_may_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(what: int, new: tuple[int, int]) -> None:
        raise PermissionError

    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, 1024))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert limits.raise_limit(10000) == 960


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal() -> None:
    screen = Terminal()
    progress = Progress(4, screen)
    for _ in range(2):
        progress.step("fresh, plain")
    assert "[############............]  50% fresh, plain" in progress.line("fresh, plain")
    assert len(progress.line("x" * 200)) < 80
    progress.done()
    assert screen.getvalue().count("\r") == 3 and screen.getvalue().endswith("\r\033[K")


def test_no_progress_elsewhere() -> None:
    stream = io.StringIO()
    progress = Progress(1, stream)
    progress.step("x")
    progress.done()
    assert stream.getvalue() == ""


def test_no_nagle() -> None:
    plain = Plain()
    with (
        plain.listen(LOOPBACK) as listener,
        plain.connect(listener.getsockname()) as near,
        plain.accept(listener) as far,
    ):
        for sock in (near, far):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
