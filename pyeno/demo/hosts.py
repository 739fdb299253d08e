"""Two hosts on one machine: network namespaces, a veth pair, a cgroup with ENO.

        pyeno-demo-PID-a                      pyeno-demo-PID-b
        eth0 192.0.2.1 ───────── veth ─────── eth0 192.0.2.2

The addresses are for documentation (RFC 5737) and exist in the namespaces
only.  Where ENO is not attached for this process yet, it is loaded into a
cgroup of the demo's own (:class:`Attachment`).  Each thing is given to
``cleanup`` before it is made, so that whatever happens all of it goes away
again.  ``pyeno bench`` uses the same, under names of its own.
"""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from pyeno import attach, kernel, mounts
from pyeno.errors import PyenoError

INTERFACE = "eth0"
BPFFS = Path("/sys/fs/bpf")
# enter the cgroup, then become the command: `ip netns exec` hides /sys
_IN_CGROUP = 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"'
_LISTEN = "0A"
STOP_SECONDS = 5.0
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoError(PyenoError):
    """The demonstration could not be held; says which step failed and how."""


class Host(NamedTuple):
    """One of the two."""

    letter: str
    namespace: str
    address: str


class Attachment:
    """ENO for this program's processes: what is attached already, or else a cgroup
    and a pin of its own; a context manager.

    ``purpose`` becomes a part of every name that is made.
    """

    def __init__(self, purpose: str) -> None:
        self._stem = f"pyeno-{purpose}-{os.getpid()}"
        self._cleanup = contextlib.ExitStack()
        self.pin = BPFFS / self._stem
        self.cgroup: Path | None = None
        """the program's own; None where ENO was attached already"""

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with uninterrupted():
            self._cleanup.close()

    def _make(self) -> None:
        if not eno_attached():
            self._attach()

    def _attach(self) -> None:
        cgroup = own_cgroup() / self._stem
        self._cleanup.callback(remove_cgroup, cgroup)
        cgroup.mkdir()
        self._cleanup.callback(detach, self.pin)
        attach.attach(str(cgroup), str(self.pin))
        self.cgroup = cgroup


class Hosts(Attachment):
    """The two hosts and every process on them."""

    def __init__(self, purpose: str = "demo") -> None:
        super().__init__(purpose)
        self.a = Host("A", f"{self._stem}-a", "192.0.2.1")
        self.b = Host("B", f"{self._stem}-b", "192.0.2.2")

    def _make(self) -> None:
        self._make_namespaces()
        super()._make()

    # -- making --------------------------------------------------------------

    def _make_namespaces(self) -> None:
        for host in (self.a, self.b):
            self._cleanup.callback(remove_namespace, host.namespace)
            ip("netns", "add", host.namespace)
        # both ends are made where they belong: the machine's own names stay free
        ends = [("name", INTERFACE, "netns", host.namespace) for host in (self.a, self.b)]
        ip("link", "add", *ends[0], "type", "veth", "peer", *ends[1])
        for host in (self.a, self.b):
            inside = ("-n", host.namespace)
            ip(*inside, "address", "add", f"{host.address}/30", "dev", INTERFACE)
            ip(*inside, "link", "set", "lo", "up")
            # no router solicitations and the like in the captures
            ip(*inside, "link", "set", INTERFACE, "addrgenmode", "none")
            ip(*inside, "link", "set", INTERFACE, "up")

    # -- processes -----------------------------------------------------------

    def spawn(
        self, host: Host, *command: str, eno: bool = False, **streams: Any
    ) -> "subprocess.Popen[bytes]":
        """Start a command on a host; it ends with the hosts at the latest.

        ``eno``: in the cgroup where ENO is attached.
        """
        argv = ["ip", "netns", "exec", host.namespace, *command]
        if eno and self.cgroup is not None:
            argv = ["sh", "-c", _IN_CGROUP, "sh", str(self.cgroup), *argv]
        # out of the terminal's process group: Ctrl-C is this process's to handle
        process = subprocess.Popen(argv, start_new_session=True, **streams)
        self._cleanup.callback(stop, process)
        return process


def ip(*arguments: str) -> None:
    """Run ip(8); DemoError with what it said."""
    with deferred():
        done = subprocess.run(
            ["ip", *arguments], capture_output=True, text=True, start_new_session=True
        )
    if done.returncode:
        raise DemoError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Signals that would end the process wait until this is over: interrupted
    between fork and return, a command would go on making what nobody removes."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def wait_listening(
    process: "subprocess.Popen[bytes]", port: int, seconds: float = 20.0
) -> None:
    """Until some socket in the process's namespace listens on an IPv4 port."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            table = Path(f"/proc/{process.pid}/net/tcp").read_text().splitlines()[1:]
            for row in table:
                local, _, state = row.split()[1:4]
                if state == _LISTEN and int(local.rsplit(":", 1)[1], 16) == port:
                    return
        time.sleep(0.02)
    raise DemoError(f"nothing listens on port {port} after {seconds:g} s")


# -- ENO for these processes -----------------------------------------------------


def eno_attached() -> bool:
    """Whether sockets of this process have the TCP_ENO_* options."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        return kernel.version(sock) is not None


def own_cgroup() -> Path:
    """The cgroup2 directory of this process, as far as it can be seen from here."""
    own = mounts.own_cgroup()
    return own if own is not None and own.is_dir() else mounts.cgroup_root()


# -- removing --------------------------------------------------------------------


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Signals that would end the process have no effect until this is over."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # a function, not SIG_IGN, which the commands run meanwhile would inherit
    before = {number: signal.signal(number, lambda *_: None) for number in ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process that this program started, and take its status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def remove_namespace(name: str) -> None:
    """Delete a network namespace if it is there, and what still runs in it."""
    if not (Path("/run/netns") / name).exists():
        return
    inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
    for pid in map(int, inside.stdout.split()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    ip("netns", "delete", name)


def detach(pin: Path) -> None:
    """Detach the programs pinned there, and remove their directory."""
    if pin.is_dir():
        attach.detach(str(pin))
    with contextlib.suppress(FileNotFoundError):
        pin.rmdir()


def remove_cgroup(path: Path) -> None:
    """Remove a cgroup; the kernel may need a moment after its last process."""
    for _ in range(100):
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)
        else:
            return
    path.rmdir()
