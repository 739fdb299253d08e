"""tcpdump on one host's interface, whole packets into a file.

The ring buffer is made as large as the transfer, as far as memory allows; what
was lost all the same is not hidden: tcpdump's count is kept, and the proofs
look for holes in the captured streams themselves.
"""

import re
import signal
import subprocess
import threading
import time
from pathlib import Path

from pyeno.demo.hosts import INTERFACE, DemoError, Host, Hosts

START_SECONDS = 15.0
QUIET_SECONDS = 1.3
"""No growth for this long means that all is written; the kernel hands a
partly filled block over after tcpdump's time-out of 1 s."""
_RING_KIB_MIN, _RING_KIB_MAX = 8 << 10, 256 << 10


class Capture:
    """A running tcpdump; :meth:`stop` gives the number of dropped packets."""

    def __init__(self, hosts: Hosts, host: Host, path: Path) -> None:
        self.path = path
        self._said: list[str] = []
        self._listening = False
        self._told = threading.Event()
        with path.open("wb") as file:
            self._process = hosts.spawn(
                host,
                # -Z: Debian's would become a user that cannot be looked up everywhere
                "tcpdump", "-Z", "root", "-i", INTERFACE, "-n", "-U", "-s", "0",
                "-B", str(ring_kib()), "-w", "-",
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE,
            )  # fmt: skip
        self._reader = threading.Thread(target=self._read_stderr, daemon=True)
        self._reader.start()
        self._told.wait(START_SECONDS)
        if not self._listening:
            raise DemoError(f"tcpdump did not start: {' '.join(self._said) or 'no message'}")

    def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line.decode(errors="replace").strip())
            if b"listening on" in line:
                self._listening = True
                self._told.set()
        self._told.set()

    def stop(self) -> int:
        """Wait until everything is written, end tcpdump: packets it missed."""
        size, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            if (now := self.path.stat().st_size) != size:
                size, since = now, time.monotonic()
            time.sleep(0.05)
        self._process.send_signal(signal.SIGINT)
        self._process.wait(START_SECONDS)
        self._reader.join(START_SECONDS)
        told = re.search(r"(\d+) packets? dropped by kernel", "\n".join(self._said))
        if told is None:
            raise DemoError(f"tcpdump gave no count of dropped packets: {self._said[-3:]}")
        return int(told[1])


def ring_kib() -> int:
    """An eighth of the memory available, at most 256 MiB."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return max(_RING_KIB_MIN, min(_RING_KIB_MAX, int(line.split()[1]) // 8))
    return _RING_KIB_MIN
