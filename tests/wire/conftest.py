"""The kernel half, loaded for the tests' process alone, and a wire to use it on.

Without root or BPF these tests are skipped, unless ``PYENO_WIRE=require``,
which CI sets: there a host that cannot run them fails.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from wire.looping import FACTORIES, Driver
from wire.netns import PREFIX, Wire, run, sweep
from wire.peering import Field
from wire.programs import Listen
from wire.resuming import flush
from wire.rfcpeer_host import Host
from wire.sessions import Keeper
from wire.tun import Namespace, Tun

from pyeno import attach, mounts
from pyeno.errors import KernelError
from pyeno.policy import Policy


class Attached(NamedTuple):
    cgroup: Path
    pin: Path
    status: attach.Status


def _lack() -> str | None:
    if os.geteuid():
        return "needs root"
    for tool in ("ip", "nft"):
        if not shutil.which(tool):
            return f"needs {tool}"
    return None


def _refuse(why: str) -> None:
    if os.environ.get("PYENO_WIRE") == "require":
        pytest.fail(f"PYENO_WIRE=require, but {why}")
    pytest.skip(why)


def move_to(cgroup: Path) -> None:
    """Put this process into a cgroup."""
    (cgroup / "cgroup.procs").write_text(str(os.getpid()))


@pytest.fixture(scope="session")
def cgroup() -> Iterator[Path]:
    """A cgroup of the test run's own, with this process in it."""
    why = _lack()
    if why:
        _refuse(why)
    sweep(mounts.cgroup_root())
    home = mounts.own_cgroup()
    assert home
    path = mounts.cgroup_root() / f"{PREFIX}-{os.getpid()}"
    path.mkdir()
    try:
        move_to(path)
        yield path
    finally:
        move_to(home)
        path.rmdir()


@pytest.fixture(scope="session")
def attached(cgroup: Path) -> Iterator[Attached]:
    """pyeno attached to that cgroup, pinned out of everybody's way."""
    pin = Path(f"/sys/fs/bpf/{PREFIX}-{os.getpid()}")
    try:
        status = attach.attach(str(cgroup), str(pin))
    except KernelError as error:
        _refuse(str(error))
        raise
    try:
        yield Attached(cgroup, pin, status)
    finally:
        attach.detach(str(pin))


@pytest.fixture
def elsewhere(cgroup: Path) -> Iterator[tuple[Path, Path]]:
    """A cgroup and a pin directory nobody uses yet."""
    name = f"{PREFIX}-{os.getpid()}-other"
    path, pin = mounts.cgroup_root() / name, Path("/sys/fs/bpf") / name
    path.mkdir()
    try:
        yield path, pin
    finally:
        attach.detach(str(pin))
        path.rmdir()


@pytest.fixture(scope="session")
def _shared_wire(attached: Attached) -> Iterator[Wire]:
    with Wire() as wire:
        yield wire


@pytest.fixture
def wire(_shared_wire: Wire) -> Wire:
    """Two namespaces joined by a cable, where ENO is attached."""
    return _shared_wire


@pytest.fixture(params=sorted(FACTORIES))
def drive(request: pytest.FixtureRequest, wire: Wire) -> Iterator[Driver]:
    """Runs coroutines on the standard loop, and on uvloop."""
    driver = Driver(request.param, wire)
    yield driver
    assert not driver.complaints, driver.complaints


@pytest.fixture(scope="session")
def field(attached: Attached) -> Iterator[Field]:
    """pyeno's kernel TCP on one side of a TUN device, hosts that speak by the RFC opposite."""
    with Namespace() as namespace, Tun(namespace) as tun, Host(tun) as host:
        yield Field(tun, host)


@pytest.fixture(autouse=True)
def _no_session_left(request: pytest.FixtureRequest) -> None:
    """Every test starts with no cached session, as if it were the first."""
    hosts: list[Any] = []
    if "_shared_wire" in request.fixturenames:
        shared: Wire = request.getfixturevalue("_shared_wire")
        hosts += [shared.a, shared.b]
    if "field" in request.fixturenames:
        hosts.append(request.getfixturevalue("field").tun.namespace)
    if "box" in request.fixturenames:
        box = request.getfixturevalue("box")
        hosts += [box.left, box.right]
    for host in hosts:
        flush(host)


@pytest.fixture(scope="session")
def echo(field: Field) -> Iterator[Listen]:
    """`pyeno listen --echo` there, IPv6 and IPv4, one process for all tests."""
    with Listen(field.tun.namespace, 7000, "--echo", "--handshake-timeout", 1) as listen:
        yield listen


@pytest.fixture
def change(attached: Attached) -> Iterator[Callable[..., attach.Status]]:
    """Changes fields of the host's policy; afterwards all is permitted again."""

    def changed(**changes: Any) -> attach.Status:
        where = str(attached.cgroup), str(attached.pin)
        return attach.attach(*where, changes=changes)  # type: ignore[arg-type]

    yield changed
    changed(**Policy()._asdict())


@pytest.fixture
def token() -> bytes:
    """Of a policy of this test's own: no other test's session is resumed under it."""
    return os.urandom(8)


@pytest.fixture
def keeper(wire: Wire, token: bytes) -> Iterator[Keeper]:
    """Two hosts that keep sessions: a opens, b listens."""
    with Keeper(wire, token) as keeper:
        yield keeper


@pytest.fixture
def roomy(wire: Wire) -> Iterator[None]:
    """No timestamps: 32 bytes of options are free, not 20."""
    for host in (wire.a, wire.b):
        host.sysctl("net.ipv4.tcp_timestamps", 0)
    yield
    for host in (wire.a, wire.b):
        host.sysctl("net.ipv4.tcp_timestamps", 1)


__all__ = [
    "Attached", "attached", "cgroup", "change", "drive", "echo", "elsewhere", "field", "keeper",
    "move_to", "roomy", "run", "token", "wire",
]  # fmt: skip
