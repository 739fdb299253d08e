"""Network namespaces and TUN devices for wire tests.

    with Namespace() as ns, Tun(ns) as tun:
        listener = ns.kernel_socket()           # kernel TCP inside the namespace
        packet = tun.read(timeout=1.0)            # a raw IP packet the kernel sent
        tun.write(packet)                         # a raw IP packet the kernel receives

The kernel's end of a TUN device has `kernel4` and `kernel6`; everything else in the same
subnet is routed into the device, so the reader of the device may be any such host.  A namespace
is entered by a short-lived thread, never by the caller, so the caller stays where it was.
"""

import atexit
import contextlib
import ctypes
import fcntl
import itertools
import os
import re
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self, TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
TUNSETOFFLOAD = 0x400454D0
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
PREFIX = "pyeno-wire"

_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


def missing_privilege() -> str | None:
    """Why wire tests can't run here, or None.  Root and /dev/net/tun are all they need."""
    if os.geteuid() != 0:
        return "needs root (network namespaces)"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun"
    return None


class Link(Protocol):
    """What carries raw IP packets: a Tun, or one end of a memory link."""

    def read(self, timeout: float) -> bytes | None:
        """The next packet, or None when none came in `timeout` seconds."""

    def write(self, packet: bytes) -> None:
        """Send one packet; losing it silently is allowed."""

    def close(self) -> None:
        """Free the link; reading it afterwards gives None."""


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def sweep() -> None:
    """Delete namespaces left behind by test processes that no longer exist."""
    for entry in Path("/run/netns").glob(f"{PREFIX}-*"):
        match = re.fullmatch(rf"{PREFIX}-(\d+)-\d+", entry.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            with contextlib.suppress(OSError):
                _ip("netns", "del", entry.name)


class Namespace:
    """A network namespace of a unique name, with `lo` up; deleted on exit, even at exit()."""

    def __init__(self) -> None:
        sweep()
        self.name = f"{PREFIX}-{os.getpid()}-{next(_numbers)}"
        _ip("netns", "add", self.name)
        atexit.register(self.close)
        self._open = True
        _ip("-n", self.name, "link", "set", "lo", "up")

    def call(self, function: Callable[[], T]) -> T:
        """The result of `function()` run by a thread inside the namespace."""
        results: list[T] = []
        errors: list[BaseException] = []

        def inside() -> None:
            try:
                with Path(f"/run/netns/{self.name}").open() as handle:
                    if _libc.setns(handle.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), f"setns {self.name}")
                results.append(function())
            except BaseException as error:  # handed to the caller below
                errors.append(error)

        thread = threading.Thread(target=inside, name=f"in {self.name}")
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def kernel_socket(
        self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, proto: int = 0
    ) -> socket.socket:
        """A kernel socket that lives in the namespace, usable from anywhere."""
        return self.call(lambda: socket.socket(family, kind, proto))

    def listen(self, address: str, port: int = 0, backlog: int = 16) -> socket.socket:
        """A listening kernel socket on `address` (v4 or v6)."""
        listener = self.kernel_socket(family_of(address))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(backlog)
        return listener

    def sysctl(self, name: str, value: str) -> None:
        """Write net.* for this namespace, for example ("net.ipv4.tcp_sack", "0")."""
        path = Path("/proc/sys") / name.replace(".", "/")
        self.call(lambda: path.write_text(value))

    def run(self, *command: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """A command inside the namespace, its output captured."""
        argv = ["ip", "netns", "exec", self.name, *command]
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout)

    def close(self) -> None:
        if self._open:
            self._open = False
            atexit.unregister(self.close)
            _ip("netns", "del", self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Tun:
    """A TUN device in a namespace: raw IP packets, no packet information, no offloads.

    `kernel4`/`kernel6` are the kernel's addresses on it, `peer4`/`peer6` the addresses a
    user-space host behind it uses (any in the same /24 and /64 works).  `mtu` is in bytes.
    """

    def __init__(
        self,
        namespace: Namespace,
        *,
        kernel4: str = "10.77.0.1",
        kernel6: str = "fd77::1",
        peer4: str = "10.77.0.2",
        peer6: str = "fd77::2",
        mtu: int = 1500,
    ) -> None:
        self.namespace, self.mtu = namespace, mtu
        self.kernel4, self.kernel6, self.peer4, self.peer6 = kernel4, kernel6, peer4, peer6
        self.name = f"eno{os.getpid() % 1000000}-{next(_numbers) % 10000}"
        self.fd = namespace.call(self._create)
        try:
            self._configure()
        except BaseException:
            os.close(self.fd)
            raise
        self._poll = select.poll()
        self._poll.register(self.fd, select.POLLIN)

    def _create(self) -> int:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            request = struct.pack("16sH22x", self.name.encode(), IFF_TUN | IFF_NO_PI)
            fcntl.ioctl(fd, TUNSETIFF, request)
            fcntl.ioctl(fd, TUNSETOFFLOAD, 0)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _configure(self) -> None:
        ns, device = self.namespace, self.name
        # no link-local address: it only brings router solicitations and MLD reports
        ns.sysctl(f"net.ipv6.conf.{device}.addr_gen_mode", "1")
        _ip("-n", ns.name, "link", "set", device, "mtu", str(self.mtu), "up")
        _ip("-n", ns.name, "addr", "add", f"{self.kernel4}/24", "dev", device)
        _ip("-n", ns.name, "addr", "add", f"{self.kernel6}/64", "dev", device, "nodad")

    def read(self, timeout: float) -> bytes | None:
        """The next packet the kernel sent, or None after `timeout` seconds."""
        if self.fd < 0 or not self._poll.poll(timeout * 1000):
            return None
        try:
            return os.read(self.fd, 65536)
        except BlockingIOError:
            return None

    def write(self, packet: bytes) -> None:
        """Give the kernel a packet; dropped, as on a wire, when its queue is full."""
        with contextlib.suppress(BlockingIOError):
            os.write(self.fd, packet)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
