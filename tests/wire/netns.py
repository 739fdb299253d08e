"""Two network namespaces joined by a cable, on this host's own kernel.

    with Wire() as wire:
        listener = wire.b.socket()          # lives in namespace b
        with wire.capture() as segments:    # every TCP segment on the cable
            wire.a.connect((wire.b.ip4, port))

Sockets belong to the namespace they were made in and can then be used from
anywhere, so only their creation happens inside.  Names carry the process id,
so that several test runs get along; what a killed run left is swept first.
"""

import contextlib
import ctypes
import itertools
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

from wire.capture import Capture

from pyeno import attach

T = TypeVar("T")
PREFIX = "eno-k"
CLONE_NEWNET = 0x40000000
_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command: str, stdin: str | None = None) -> str:
    """Run a command; its output, or CalledProcessError with what it complained of."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}\n{stdin or ''}")
    return done.stdout


def _enter(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


class Namespace:
    """One end of the cable: interface ``eth``, one IPv4 and one IPv6 address."""

    def __init__(self, name: str, host: int) -> None:
        self.name = name
        self.ip4 = f"10.69.0.{host}"
        self.ip6 = f"fd69::{host}"
        run("ip", "netns", "add", name)
        self._fd = os.open(f"/run/netns/{name}", os.O_RDONLY)

    def inside(self, call: Callable[[], T]) -> T:
        """The call's result, made in a thread that moved into the namespace."""
        results: list[T] = []
        errors: list[BaseException] = []

        def body() -> None:
            try:
                _enter(self._fd)
                results.append(call())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def run(self, *command: str, stdin: str | None = None) -> str:
        return run("ip", "netns", "exec", self.name, *command, stdin=stdin)

    def sysctl(self, name: str, value: object) -> None:
        self.run("sysctl", "-qw", f"{name}={value}")

    def socket(self, family: int = socket.AF_INET, *args: Any) -> socket.socket:
        sock = self.inside(lambda: socket.socket(family, *(args or (socket.SOCK_STREAM,))))
        sock.settimeout(8)
        return sock

    @contextlib.contextmanager
    def rules(
        self, text: str, hook: str = "prerouting", priority: int = -300
    ) -> Iterator[None]:
        """nft rules on what this namespace receives (or, hook="output", sends)."""
        lines = "\n".join(f"add rule inet eno c {line}" for line in text.strip().splitlines())
        kind = f"{{ type filter hook {hook} priority {priority}; }}"
        self.run(
            "nft",
            "-f",
            "-",
            stdin=f"add table inet eno\nadd chain inet eno c {kind}\n{lines}\n",
        )
        try:
            yield
        finally:
            self.run("nft", "delete", "table", "inet", "eno")

    def close(self) -> None:
        os.close(self._fd)
        with contextlib.suppress(RuntimeError):
            run("ip", "netns", "del", self.name)


class Wire:
    """The cable and both ends."""

    def __init__(self) -> None:
        number = next(_numbers)
        names = [f"{PREFIX}-{os.getpid()}-{number}{end}" for end in "ab"]
        self._stack = contextlib.ExitStack()
        try:
            self.a = Namespace(names[0], 1)
            self._stack.callback(self.a.close)
            self.b = Namespace(names[1], 2)
            self._stack.callback(self.b.close)
            self._connect()
        except BaseException:
            self._stack.close()
            raise

    def _connect(self) -> None:
        run(
            "ip", "link", "add", "eth", "netns", self.a.name, "type", "veth",
            "peer", "name", "eth", "netns", self.b.name,
        )  # fmt: skip
        for end in (self.a, self.b):
            lines = [
                "link set lo up",
                "link set eth up",
                f"addr add {end.ip4}/24 dev eth",
                f"addr add {end.ip6}/64 dev eth nodad",
            ]
            run("ip", "-n", end.name, "-batch", "-", stdin="\n".join(lines) + "\n")

    def capture(self, end: Namespace | None = None) -> Capture:
        """What crosses the cable, as seen at one end (default: a's)."""
        return Capture(
            (end or self.a).inside(
                lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def sweep(cgroups: Path) -> None:
    """Remove what test runs that no longer exist left behind."""
    removals: dict[Path, Callable[[Path], object]] = {
        Path("/sys/fs/bpf"): lambda path: attach.detach(str(path)),
        cgroups: Path.rmdir,
        Path("/run/netns"): lambda path: run("ip", "netns", "del", path.name),
    }
    for place, remove in removals.items():
        for path in place.glob(f"{PREFIX}-*"):
            if not Path(f"/proc/{path.name.split('-')[2]}").exists():
                with contextlib.suppress(OSError, RuntimeError):
                    remove(path)
