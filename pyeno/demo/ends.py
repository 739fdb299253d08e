"""The processes that talk: a file in, what they receive hashed, and their own
account of the connection.

Each is an ordinary ``pyeno listen --json`` or ``pyeno connect --json``, or the
plain peer; this module only starts them and reads what they print.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import pyeno
from pyeno.demo import plain_peer
from pyeno.demo.hosts import DemoError, Host, Hosts, wait_listening

CHUNK = 1 << 20
PACKAGES = Path(pyeno.__file__).parent.parent
"""Where this very pyeno was imported from: the ends shall use no other."""


class End:
    """One running end of a connection."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None and process.stderr is not None
        self.process = process
        self._name = name
        self._digest = hashlib.sha256()
        self._output, self._messages = bytearray(), bytearray()
        self._threads = [
            threading.Thread(target=self._hash, args=(process.stdout,), daemon=True),
            threading.Thread(target=self._keep, args=(process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _hash(self, pipe: IO[bytes]) -> None:
        while data := pipe.read(CHUNK):
            self._digest.update(data)
            # the plain peer's output is one short object; a file is not kept
            self._output += data[: max(0, CHUNK - len(self._output))]

    def _keep(self, pipe: IO[bytes]) -> None:
        self._messages += pipe.read()

    def finish(self, seconds: float) -> tuple[dict[str, Any], str]:
        """(what the end says of the connection, SHA-256 of its standard output)."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise DemoError(f"{self._name}: still busy after {seconds:g} s") from None
        for thread in self._threads:
            thread.join(seconds)
        said = self._messages.decode(errors="replace").strip()
        if status:
            raise DemoError(f"{self._name} failed with status {status}: {said or 'no message'}")
        account = said.splitlines()[-1] if said else self._output.decode()
        try:
            return json.loads(account), self._digest.hexdigest()
        except ValueError:
            raise DemoError(f"{self._name} printed no JSON object: {account!r}") from None


def _start(
    hosts: Hosts, host: Host, name: str, command: list[str], source: Path | None, eno: bool
) -> End:
    # the child has its own copy of the descriptor
    with Path("/dev/null" if source is None else source).open("rb") as stdin:
        process = hosts.spawn(
            host,
            *[sys.executable, *command],
            eno=eno,
            env=os.environ | {"PYTHONPATH": str(PACKAGES)},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    return End(f"{name} (host {host.letter})", process)


def listen(hosts: Hosts, port: int, source: Path) -> End:
    """``pyeno listen`` on host B, sending ``source``."""
    host = hosts.b
    command = ["-P", "-m", "pyeno", "listen", f"{host.address}:{port}", "--once", "--json"]
    end = _start(hosts, host, "pyeno listen", command, source, eno=True)
    return _listening(end, port)


def connect(hosts: Hosts, port: int, source: Path) -> End:
    """``pyeno connect`` on host A to host B, sending ``source``."""
    address = f"{hosts.b.address}:{port}"
    command = ["-P", "-m", "pyeno", "connect", address, "--json"]
    return _start(hosts, hosts.a, "pyeno connect", command, source, eno=True)


def listen_plainly(hosts: Hosts, port: int) -> End:
    """A peer on host B that knows nothing of ENO and echoes."""
    command = ["-I", str(plain_peer.__file__), hosts.b.address, str(port)]
    end = _start(hosts, hosts.b, "plain peer", command, None, eno=False)
    return _listening(end, port)


def _listening(end: End, port: int) -> End:
    try:
        wait_listening(end.process, port)
    except DemoError:
        if end.process.poll() is not None:
            end.finish(1.0)  # tells what it printed
        raise
    return end
