"""From the first link to the last: who may start, what a death leaves, what failures leave."""

import contextlib
import errno
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wire.netns import PREFIX, Namespace
from wire.programs import INHERITED
from wire.redirecting import Program, Relay, listen

from pyeno import loading, mounts
from pyeno._native import kernel as native
from pyeno.errors import ConfigError, KernelError
from pyeno.redirect import Held, Redirection, Rules, links

pytestmark = pytest.mark.wire

RELAY = """
import socket, sys, time
from pathlib import Path
from pyeno.redirect import Redirection
near = socket.create_server(("127.0.0.1", 0)), None
steered = socket.create_server(("0.0.0.0", 0)), None
pin = Path(sys.argv[2]) if sys.argv[2:] else None
with Redirection([Path(sys.argv[1])], near=near, steered=steered, pin=pin) as redirection:
    print("ready", flush=True)
    sys.stdin.read()
"""
CAPABILITIES = ["bpf", "net_admin", "net_raw"]


@pytest.fixture
def pin() -> Iterator[Path]:
    path = Path("/sys/fs/bpf") / f"{PREFIX}-{os.getpid()}-redirect"
    yield path
    Redirection.clean(path)
    assert not path.exists()


@contextlib.contextmanager
def process(
    namespace: Namespace, cgroup: Path, *pin: Path, before: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[str]]:
    """A relay in a process of its own, which leaves when its input ends."""
    words = ["nsenter", f"--net=/run/netns/{namespace.name}", *before]
    words += [sys.executable, "-c", RELAY, str(cgroup), *map(str, pin)]
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, env=inherited, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def ready(started: subprocess.Popen[str]) -> None:
    assert started.stdout is not None and started.stderr is not None
    line = started.stdout.readline()
    assert line == "ready\n", started.stderr.read()


def kill(started: subprocess.Popen[str]) -> None:
    started.send_signal(signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL


def attached(namespace: Namespace, cgroup: Path) -> int:
    """Programs of the redirection on the cgroup and in the namespace."""
    names = native.program_names(native.REDIRECT)

    def count() -> int:
        total = 0
        netns = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        directory = os.open(cgroup, os.O_RDONLY)
        for i, name in enumerate(names):
            target = netns if name == "eno_steer" else directory
            total += len(native.query(i, target, False, native.REDIRECT))
        os.close(netns)
        os.close(directory)
        return total

    return namespace.inside(count)


def answered(program: Program, host: str, port: int) -> int:
    """The errno of an unbounded connect(); 0: connected."""
    program.do("s = socket.socket()")
    answer: int = program.do(f"s.connect_ex(({host!r}, {port}))")
    return answer


def test_close(a: Namespace, b: Namespace, programs: Path, program: Program) -> None:
    """Detached at once."""
    before = attached(a, programs)
    relay = Relay(a, [programs])
    assert attached(a, programs) == before + len(native.program_names(native.REDIRECT))
    relay.close()
    assert attached(a, programs) == before == 0
    with listen(b, "10.69.0.2") as listener:
        assert answered(program, *listener.getsockname()) == 0


def test_after_close(a: Namespace, programs: Path) -> None:
    """Descriptors may be another's by then: nothing is touched."""
    with Relay(a, [programs]) as relay, a.socket() as sock:
        redirection = relay.redirection
        redirection.close()
        redirection.close()
        held = Held(("10.69.0.2", 80), ("127.0.0.1", 4000), 1, 1, 0)
        calls: list[Any] = [
            redirection.fileno,
            lambda: redirection.set_rules(Rules()),
            lambda: redirection.exempt(os.getpid()),
            lambda: redirection.admit(held, ("10.69.0.1", 4000)),
            lambda: redirection.refuse(held, errno.ECONNREFUSED),
            lambda: redirection.reach(sock, ("10.69.0.2", 80), ("10.69.0.1", 80)),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="the redirection is closed"):
                call()
        assert redirection.held() == [] and redirection.gave_up() == []


def test_killed(a: Namespace, b: Namespace, programs: Path, program: Program) -> None:
    """Fail open: programs connect directly, and are connected to, from then on."""
    program.do("l = socket.create_server(('0.0.0.0', 8081)); l.settimeout(8)")
    with process(a, programs) as started, listen(b, "10.69.0.2") as listener:
        ready(started)
        program.start(f"s = socket.socket(); s.connect({listener.getsockname()})")
        assert not select.select([listener, program.process.stdout], [], [], 0.5)[0]
        kill(started)
        # the held one finds nobody
        with pytest.raises(ConnectionRefusedError):
            program.finish()
        wait_until(lambda: attached(a, programs) == 0)
        assert answered(program, *listener.getsockname()) == 0
        sock, source = listener.accept()
        with sock, b.socket() as caller:
            assert program.do("s.getsockname()") == source
            caller.connect(("10.69.0.1", 8081))
            program.do("l.accept()")


def wait_until(true: Any) -> None:
    """The kernel detaches the links of the dead a moment later."""
    for _ in range(800):
        if true():
            return
        select.select([], [], [], 0.01)
    raise AssertionError("it did not happen")


def test_pinned(
    a: Namespace, b: Namespace, programs: Path, program: Program, pin: Path
) -> None:
    """Fail closed: both directions are refused, until it is cleaned up."""
    program.do("l = socket.create_server(('0.0.0.0', 8081)); l.settimeout(8)")
    with process(a, programs, pin) as started, listen(b, "10.69.0.2") as listener:
        ready(started)
        assert len(list(pin.iterdir())) == 4
        with pytest.raises(KernelError, match="owner that lives") as raised:
            Redirection.clean(pin)
        assert raised.value.errno == errno.EBUSY
        kill(started)
        for _ in range(2):
            assert answered(program, *listener.getsockname()) == errno.ECONNREFUSED
            with b.socket() as caller, pytest.raises(ConnectionRefusedError):
                caller.connect(("10.69.0.1", 8081))
        assert answered(program, "127.0.0.1", 8081) == 0
        assert Redirection.clean(pin) and not Redirection.clean(pin)
        assert attached(a, programs) == 0
        assert answered(program, *listener.getsockname()) == 0


def test_pinned_and_left(a: Namespace, programs: Path, pin: Path) -> None:
    """An owner that leaves takes its pins along."""
    with process(a, programs, pin) as started:
        ready(started)
        started.communicate(timeout=8)
        assert not pin.exists() and attached(a, programs) == 0


def test_taken_over(
    a: Namespace, b: Namespace, programs: Path, program: Program, pin: Path
) -> None:
    """The next owner of the pin redirects again, and the dead one's links are gone."""
    with process(a, programs, pin) as started:
        ready(started)
        kill(started)
    with listen(b, "10.69.0.2") as listener:
        assert answered(program, *listener.getsockname()) == errno.ECONNREFUSED
    left = {path.name for path in pin.iterdir()}
    with Relay(a, [programs], pin=pin) as relay:
        assert left.isdisjoint(path.name for path in pin.iterdir())
        wait_until(lambda: attached(a, programs) == len(native.program_names(native.REDIRECT)))
        program.start("s = socket.socket(); s.connect(('10.69.0.2', 80))")
        with relay.let_in(relay.hold(), ("10.69.0.1", 4000)):
            program.finish()
    assert not pin.exists()


@pytest.mark.parametrize("which", ["same", "above", "below"])
def test_a_second_relay(a: Namespace, programs: Path, relay: Relay, which: str) -> None:
    """Connections would go through both: refused, and the first one is unharmed."""
    inner = programs / "inner"
    inner.mkdir()
    try:
        where = {"same": programs, "above": programs.parent, "below": inner}[which]
        before = attached(a, programs)
        with pytest.raises(KernelError, match="redirected already") as raised:
            Relay(a, [where])
        assert raised.value.errno == errno.EBUSY and "stop the other relay" in str(raised.value)
        assert attached(a, programs) == before
    finally:
        inner.rmdir()


def test_beside_another_relay(a: Namespace, programs: Path, relay: Relay) -> None:
    """Cgroups that are neither above nor below each other have relays of their own."""
    other = programs.with_name(programs.name + "-too")
    other.mkdir()
    try:
        with Relay(a, [other]) as second, Program(a, other) as program:
            program.do("s = socket.socket(); s.setblocking(False)")
            program.do("s.connect_ex(('10.69.0.2', 80))")
            assert second.hold().destination == ("10.69.0.2", 80)
            assert relay.quiet()
    finally:
        other.rmdir()


def test_several_cgroups(a: Namespace, programs: Path) -> None:
    names = [programs.with_name(f"{programs.name}-{i}") for i in range(2)]
    for path in names:
        path.mkdir()
    try:
        with Relay(a, names) as relay:
            for path in names:
                with Program(a, path) as program:
                    program.do("s = socket.socket(); s.setblocking(False)")
                    program.do("s.connect_ex(('10.69.0.2', 80))")
                    assert relay.hold().pid == program.process.pid
    finally:
        for path in names:
            path.rmdir()


def unprivileged(capabilities: list[str]) -> tuple[str, ...]:
    # the last one only finds an interpreter in somebody's home
    kept = ",".join(f"+{name}" for name in [*capabilities, "dac_read_search"])
    return (
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
        f"--inh-caps=-all,{kept}", f"--ambient-caps=-all,{kept}", f"--bounding-set=-all,{kept}",
    )  # fmt: skip


def test_these_capabilities_do(a: Namespace, programs: Path, program: Program) -> None:
    """CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW, and no more."""
    with process(a, programs, before=unprivileged(CAPABILITIES)) as started:
        ready(started)
        program.start("s = socket.socket(); s.settimeout(0.5); s.connect(('10.69.0.2', 80))")
        assert not select.select([program.process.stdout], [], [], 0.2)[0]


@pytest.mark.parametrize("lacking", CAPABILITIES)
def test_without_one(a: Namespace, programs: Path, lacking: str) -> None:
    """The error names them, and nothing is attached."""
    kept = [name for name in CAPABILITIES if name != lacking]
    with process(a, programs, before=unprivileged(kept)) as started:
        _, complaint = started.communicate(timeout=30)
        assert started.returncode == 1
        assert f"CAP_{lacking.upper()}" in complaint.splitlines()[-1]
    assert attached(a, programs) == 0


@pytest.mark.parametrize("nth", range(9))
def test_attaching_fails(
    a: Namespace, programs: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """Half-way: what was attached before is detached, and the cgroup is free again."""

    class Failing:
        def __init__(self) -> None:
            self.left = nth

        def __getattr__(self, name: str) -> Any:
            return getattr(native, name)

        def create_link(self, *arguments: Any) -> int:
            if not self.left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.left -= 1
            return native.create_link(*arguments)

    failing = Failing()
    with monkeypatch.context() as patched:
        patched.setattr(links, "native", lambda: failing)
        with pytest.raises(KernelError, match="attaching the programs that redirect"):
            Relay(a, [programs])
    assert attached(a, programs) == 0
    Relay(a, [programs]).close()


def test_pinning_fails(
    a: Namespace, programs: Path, pin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead owner's pins stay in force if the next one cannot pin its own."""
    with process(a, programs, pin) as started:
        ready(started)
        kill(started)
    left = {path.name for path in pin.iterdir()}

    class Failing:
        def __getattr__(self, name: str) -> Any:
            return getattr(native, name)

        def pin(self, fd: int, path: Path) -> None:
            if "connect" in path.name:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            native.pin(fd, path)

    with monkeypatch.context() as patched:
        patched.setattr(links, "native", Failing)
        with pytest.raises(KernelError, match="No space"):
            Relay(a, [programs], pin=pin)
    assert {path.name for path in pin.iterdir()} == left
    wait_until(lambda: attached(a, programs) == len(left))


def test_old_kernel(a: Namespace, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an old kernel says would mislead."""

    class Old:
        def __getattr__(self, name: str) -> Any:
            return getattr(native, name)

        def load_program(self, *arguments: Any) -> int:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    with monkeypatch.context() as patched:
        patched.setattr(links, "native", Old)
        patched.setattr(loading, "kernel_release", lambda: (5, 18))
        with pytest.raises(KernelError, match=r"is too old: install 6\.1 or newer"):
            Relay(a, [programs])
    assert attached(a, programs) == 0


def test_no_cgroup2(a: Namespace, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "find", lambda kind: ())
    with pytest.raises(KernelError, match="no cgroup2 file system is mounted: run 'mount"):
        Relay(a, [programs])


def test_pin_outside_bpffs(a: Namespace, programs: Path, tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="not in a bpffs"):
        Relay(a, [programs], pin=tmp_path / "pin")
    assert attached(a, programs) == 0


def test_no_cgroup(a: Namespace, tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="is no cgroup2 directory"):
        Relay(a, [tmp_path])
    with pytest.raises(ConfigError, match="cgroups: name at least one"):
        Relay(a, [])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "give at least one listener"),
        ({"near": ("any4", None)}, "near: 0.0.0.0 is no loopback address"),
        ({"near": (None, "loop4")}, "near: give a TCP socket for IPv4, then one for IPv6"),
        ({"steered": ("bound4", None)}, "does not listen"),
        ({"steered": ("udp4", None)}, "steered: give a TCP socket"),
    ],
)
def test_wrong_listeners(
    a: Namespace, programs: Path, options: dict[str, Any], complaint: str
) -> None:
    def made() -> dict[str, socket.socket]:
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        return {
            "any4": socket.create_server(("0.0.0.0", 0)),
            "loop4": socket.create_server(("127.0.0.1", 0)),
            "bound4": bound,
            "udp4": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        }

    sockets = a.inside(made)
    given = {
        field: tuple(sockets.get(name) for name in pair) for field, pair in options.items()
    }
    with pytest.raises(ConfigError, match=complaint):
        a.inside(lambda: Redirection([programs], **given))
    for sock in sockets.values():
        sock.close()
    assert attached(a, programs) == 0


def test_listeners_elsewhere(a: Namespace, programs: Path) -> None:
    """Only their own network namespace's threads can send to them."""
    with (
        listen(a, "127.0.0.1") as near,
        pytest.raises(ConfigError, match="network namespace that this thread"),
    ):
        Redirection([programs], near=(near, None))
    assert attached(a, programs) == 0


def test_only_one_direction(a: Namespace, b: Namespace, programs: Path) -> None:
    """Without near listeners nothing is diverted; no CAP_NET_RAW, no raw socket."""
    with (
        listen(a, "0.0.0.0") as steered,
        a.inside(lambda: Redirection([programs], steered=(steered, None), rules=Rules())),
        Program(a, programs) as program,
        listen(b, "10.69.0.2") as listener,
        b.socket() as caller,
    ):
        assert answered(program, *listener.getsockname()) == 0
        program.do("l = socket.create_server(('0.0.0.0', 8082))")
        caller.connect(("10.69.0.1", 8082))
        steered.accept()[0].close()
