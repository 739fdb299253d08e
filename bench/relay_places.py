"""Two hosts, and what stands between the programs on them: nothing, relays, stunnel.

Everything is made for one benchmark and goes with it; only processes that were
started here are ended.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pyeno
from pyeno.bench import tls
from pyeno.bench.cpus import Cpus
from pyeno.demo.hosts import Host, Hosts, stop

PYENO = Path(pyeno.__file__).parents[1]
"""the one that is measured, here and in every program, wherever this was called"""
ENDS = Path(__file__).resolve().with_name("relay_ends.py")
SERVICES = {"ends": 7000, "redis": 6400, "postgres": 5500}
PORTS = {"plain": 0, "relays": 1, "in-process": 2, "stunnel": 3}
"""added to a service's port"""
LOCAL = 4
"""added where stunnel takes connections of its own host"""
USER = "postgres"
PATIENCE = 30.0
MARK = "PYENO_BENCH_PLACE"
STUNNEL = """
foreground = yes
pid =
debug = 3
sslVersion = TLSv1.3
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
"""


class Place:
    """One way between the two hosts."""

    def __init__(self, name: str, places: "Places") -> None:
        self.name = name
        self._places = places

    def address(self, service: str) -> tuple[str, int]:
        """Where a program on the near host finds it."""
        if self.name == "stunnel":
            return "127.0.0.1", SERVICES[service] + LOCAL
        return self._places.hosts.b.address, SERVICES[service] + PORTS[self.name]

    def launcher(self) -> list[str]:
        """What stands before a program."""
        if self.name in ("relays", "in-process"):
            more = ["--in-process"] if self.name == "in-process" else []
            return [sys.executable, "-m", "pyeno", "run", "--require", *more, "--"]
        return []

    def near(self, program: Sequence[object]) -> bytes:
        """The output of a program that runs to its end on the near host."""
        words = self._places.words(self._places.hosts.a, [*self.launcher(), *program])
        done = subprocess.run(
            words, capture_output=True, timeout=300, env=self.environment(), cwd="/"
        )
        if done.returncode:
            raise SystemExit(f"{self.name}: {program[0]}: {done.stderr.decode()}")
        return done.stdout

    def ends(self, kind: str, amount: int) -> bytes:
        """What ``relay_ends.py`` measures."""
        return self.near([sys.executable, ENDS, kind, *self.address("ends"), amount])

    @contextlib.contextmanager
    def holding(self, many: int) -> Iterator["subprocess.Popen[bytes]"]:
        """``relay_ends.py`` with so many connections open."""
        program = [*self.launcher(), sys.executable, ENDS, "hold", *self.address("ends"), many]
        process = subprocess.Popen(
            self._places.words(self._places.hosts.a, program),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environment(), cwd="/",
        )  # fmt: skip
        try:
            yield process
        finally:
            stop(process)

    def environment(self) -> dict[str, str]:
        own = {MARK: self.name, "PYTHONPATH": str(PYENO), "PYTHONSAFEPATH": "1"}
        return os.environ | own

    def between(self) -> dict[int, str]:
        """The relays or stunnels of both hosts that there are now, by process."""
        mark = f"{MARK}={self.name}".encode()
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes()
                marked = mark in (path / "environ").read_bytes().split(b"\0")
                if marked and (b"\0run\0" in words or b"stunnel" in words):
                    found[int(path.name)] = words.decode()
        return found


class Places:
    """The hosts, every server on them, and the places by name; a context manager."""

    def __init__(self) -> None:
        self.hosts = Hosts("relays")
        self._cpus = Cpus.choose()
        self._stack = ExitStack()
        self._places = {name: Place(name, self) for name in PORTS}

    def __getitem__(self, name: str) -> Place:
        return self._places[name]

    def __enter__(self) -> Self:
        try:
            self._stack.enter_context(self.hosts)
            self._home = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            self._home.chmod(0o755)
            for name in ("plain", "relays", "in-process"):
                self._serve(self._places[name])
            self._stunnels()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # -- processes ----------------------------------------------------------------------

    def words(self, host: Host, program: Sequence[object]) -> list[str]:
        """A program on a host, and on its processor, where ENO is attached."""
        cpu = self._cpus.near if host == self.hosts.a else self._cpus.far
        enter = ["nsenter", f"--net=/run/netns/{host.namespace}", "taskset", "-c", cpu]
        if self.hosts.cgroup is not None:
            script = 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"'
            enter = ["sh", "-c", script, "sh", self.hosts.cgroup, *enter]
        return [str(word) for word in (*enter, *program)]

    def _start(self, place: Place, host: Host, program: Sequence[object]) -> None:
        with (self._home / "complaints").open("ab") as complaints:
            process = subprocess.Popen(
                self.words(host, program), stdin=subprocess.DEVNULL,
                stdout=complaints, stderr=complaints,
                env=place.environment(), start_new_session=True, cwd="/",
            )  # fmt: skip
        self._stack.callback(stop, process)

    def _serve(self, place: Place) -> None:
        shift = PORTS[place.name]
        far = [sys.executable, ENDS, "far", SERVICES["ends"] + shift]
        self._start(place, self.hosts.b, [*place.launcher(), *far])
        ports = {SERVICES["ends"] + shift}
        if place.name != "in-process":
            redis, postgres = SERVICES["redis"] + shift, SERVICES["postgres"] + shift
            self._redis(place, redis)
            self._postgres(place, postgres)
            ports |= {redis, postgres}
        self._await(self.hosts.b, ports)

    def _redis(self, place: Place, port: int) -> None:
        words = ["redis-server", "--port", port, "--save", "", "--protected-mode", "no"]
        words += ["--dir", self._home, "--bind", "*"]
        self._start(place, self.hosts.b, [*place.launcher(), *words])

    # -- PostgreSQL -----------------------------------------------------------------------

    def postgres(self, name: str) -> str:
        """One of its programs, which Debian keeps out of PATH."""
        return str(sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))[-1])

    def _postgres(self, place: Place, port: int) -> None:
        data = self._home / place.name
        data.mkdir()
        shutil.chown(data, USER, USER)
        as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
        initdb = [self.postgres("initdb"), "-D", str(data), "-A", "trust", "--no-sync"]
        subprocess.run([*as_user, *initdb], check=True, capture_output=True, cwd="/")
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all trust\n")
        words = [self.postgres("postgres"), "-D", data, "-p", port, "-c", "listen_addresses=*"]
        words += ["-c", "fsync=off", "-c", f"unix_socket_directories={data}"]
        self._start(place, self.hosts.b, [*place.launcher(), *as_user, *words])
        self._await(self.hosts.b, {port})
        fill = [self.postgres("pgbench"), "-h", data, "-p", port, "-U", USER, "-q", "-i"]
        subprocess.run([*map(str, fill), "postgres"], check=True, capture_output=True)

    # -- stunnel ----------------------------------------------------------------------------

    def _stunnels(self) -> None:
        place = self._places["stunnel"]
        pem = self._home / "certificate.pem"
        pem.write_bytes(tls.certificate())
        far, near = [STUNNEL, f"cert = {pem}"], [STUNNEL, "client = yes"]
        for name, port in SERVICES.items():
            open_port = port + PORTS["stunnel"]
            far += [f"[{name}]", f"accept = {open_port}", f"connect = 127.0.0.1:{port}"]
            near += [f"[{name}]", f"accept = 127.0.0.1:{port + LOCAL}"]
            near += [f"connect = {self.hosts.b.address}:{open_port}"]
        for host, told, shift in (
            (self.hosts.b, far, PORTS["stunnel"]), (self.hosts.a, near, LOCAL),
        ):  # fmt: skip
            path = self._home / f"stunnel-{host.letter}.conf"
            path.write_text("\n".join(told) + "\n")
            self._start(place, host, ["stunnel4", path])
            self._await(host, {port + shift for port in SERVICES.values()})

    def _await(self, host: Host, ports: set[int]) -> None:
        """Until all of them are listened on."""
        until = time.monotonic() + PATIENCE
        while not ports <= self._listening(host):
            if time.monotonic() > until:
                said = (self._home / "complaints").read_text(errors="replace")
                raise SystemExit(f"host {host.letter}: nothing listens on {ports}\n{said}")
            time.sleep(0.05)

    def _listening(self, host: Host) -> set[int]:
        words = [
            "ip",
            "netns",
            "exec",
            host.namespace,
            "cat",
            "/proc/net/tcp",
            "/proc/net/tcp6",
        ]
        rows = subprocess.run(words, capture_output=True, text=True).stdout.splitlines()
        fields: list[Any] = [row.split() for row in rows]
        return {int(row[1].rpartition(":")[2], 16) for row in fields if row[3:4] == ["0A"]}
