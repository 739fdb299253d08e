"""Run-time choice of the TEP between hosts with different sets of them: the experimental
one of a plug-in that pip installed, tcpcrypt's, TLS (RFC 8547 sections 4.5, 11)."""

import asyncio
import contextlib
import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from wire.looping import Driver
from wire.netns import Wire
from wire.pairs import MARKER, TIMEOUT, pair, served
from wire.plugin import having, pip_install
from wire.programs import Command, Listen

import pyeno
from pyeno import Config, Reason, attach, kernel, tep

pytestmark = pytest.mark.wire
Change = Callable[..., attach.Status]
_ports = itertools.count(6400)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip installed the example."""
    where = tmp_path_factory.mktemp("site")
    pip_install(where, tmp_path_factory.mktemp("build"))
    return where


@pytest.fixture
def plugged(site: Path) -> Iterator[None]:
    with having(site):
        yield


# (what host A offers, what host B accepts, most preferred first; what B's policy picks)
SETS = [
    ("example", "example", "example"),
    ("example,curve25519", "curve25519,example", "curve25519"),
    ("example,curve25519", "example,curve25519", "example"),
    ("curve25519,example", "example,p256", "example"),
    ("curve25519,example,p256", "p256,0x20", "p256"),
    ("example", "curve25519,p256,example", "example"),
    ("curve25519,example", "curve25519", "curve25519"),
    ("p521", "example,p521", "p521"),
    ("tls,curve25519", "curve25519,tls", "curve25519"),
    ("curve25519,0x30", "tls,curve25519", "tls"),
    ("tls,example,p521", "example,tls", "example"),
    ("example,tls,p256", "p521,tls", "tls"),
    ("tls", "example,curve448,tls", "tls"),
    ("tls", "example,curve25519", None),
    ("example", "curve25519", None),
    ("p256,curve448", "example,curve25519", None),
]  # fmt: skip
sets = pytest.mark.parametrize(("offered", "accepted", "chosen"), SETS)


def demand_plain(a: Any, b: Any) -> None:
    assert not a.encrypted and a.reason is Reason.SYN_ACK_WITHOUT_ENO
    assert not b.encrypted and b.reason is Reason.NO_VALID_TEP
    assert a.tep is a.tep_name is b.tep is b.tep_name is None


@pytest.mark.rfc("8547:4.5-1", "8547:4.5-6")
@pytest.mark.usefixtures("plugged")
@sets
def test_blocking(wire: Wire, offered: str, accepted: str, chosen: str | None) -> None:
    with (
        wire.capture() as seen,
        pair(wire, Config(teps=offered), Config(teps=accepted)) as (a, b),
    ):
        if chosen is None:
            demand_plain(a.eno, b.eno)
        else:
            assert a.eno.tep_name == b.eno.tep_name == chosen
            assert a.eno.tep == b.eno.tep == tep.names()[chosen]
            assert a.eno.session_id == b.eno.session_id == kernel.session_id(a)
        for sender, receiver in ((a, b), (b, a)):
            sender.sendall(MARKER)
            assert receiver.recv(100) == MARKER
            sender.shutdown(socket.SHUT_WR)
            assert receiver.recv(100) == b""
    passed = b"".join(s.payload for s in seen.segments)
    assert (MARKER in passed) is (chosen is None)


@pytest.mark.usefixtures("plugged")
@sets
def test_asyncio(drive: Driver, offered: str, accepted: str, chosen: str | None) -> None:
    async def main() -> None:
        infos: list[Any] = []

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            infos.append(writer.get_extra_info("eno"))
            writer.write(await reader.read())
            writer.write_eof()
            await writer.drain()
            writer.close()

        async with drive.streams(handler, Config(teps=accepted)) as (_, address):
            reader, writer = await pyeno.open_connection(*address, config=Config(teps=offered))
            info = writer.get_extra_info("eno")
            writer.write(MARKER * 10_000)
            writer.write_eof()
            assert await reader.read() == MARKER * 10_000
            writer.close()
            await writer.wait_closed()
        if chosen is None:
            demand_plain(info, infos[0])
        else:
            assert info.tep_name == infos[0].tep_name == chosen
            assert info.session_id == infos[0].session_id

    drive(main)


@pytest.mark.rfc("8547:4.4-1", "8547:5.1-8", "8547:5.1-9")
@pytest.mark.usefixtures("plugged")
def test_experimental_tep_on_the_wire(wire: Wire) -> None:
    """Its suboption data in SYN and SYN-ACK (section 4.4), bound into the session ID with
    "v" set (section 5.1); the next connection's session ID is another one."""
    ids = []
    for _ in range(2):
        example = Config(teps="example", app_aware=True)
        with wire.capture() as seen, pair(wire, example, example) as (a, b):
            a.sendall(MARKER * 2000)
            assert b.recv(len(MARKER) * 2000, socket.MSG_WAITALL) == MARKER * 2000
            ids.append(a.eno.session_id)
            assert ids[-1][0] == 0xA0 and b.eno.peer_aware
            assert a.eno.transcript == bytes.fromhex("450502a00f" + "450503a00f")
        (syn,) = {s.eno for s in seen.segments if s.syn}
        (syn_ack,) = {s.eno for s in seen.segments if s.syn_ack}
        assert (syn, syn_ack) == (
            (bytes.fromhex("450502a00f"),),
            (bytes.fromhex("450503a00f"),),
        )
        passed = b"".join(s.payload for s in seen.segments)
        assert MARKER not in passed and ids[-1][1:] not in passed
    assert ids[0] != ids[1]


@pytest.mark.usefixtures("plugged")
@pytest.mark.parametrize(("option", "chosen"), [("45072381a00f0f", 0x23), ("450523a00f", 0x20)])
def test_data_of_a_wrong_size(wire: Wire, option: str, chosen: int) -> None:
    """Section 4.5, rule 2: they make that TEP invalid, and the other one is taken."""
    both = Config(teps="example,curve25519")
    with served(wire, both) as listener, opener(wire, both) as a:
        kernel.set_raw_option(a, bytes.fromhex(option))
        with met(listener, a) as b:
            assert a.eno.tep == b.eno.tep == chosen
            assert not agreed(a, b)


@pytest.mark.usefixtures("plugged")
def test_data_beside_a_resumption(wire: Wire) -> None:
    """They compete for the option's room; whatever goes, the hosts meet (section 4.4)."""
    both = Config(teps="curve25519,example")
    resumed = []
    for _ in range(3):
        with pair(wire, both, both) as (a, b):
            a.sendall(MARKER)
            assert b.recv(100) == MARKER and a.eno.tep_name == b.eno.tep_name
            resumed.append((a.eno.tep_name, a.eno.resumed))
    assert all(name in ("curve25519", "example") for name, _ in resumed)
    assert resumed[0] == ("curve25519", False)


@pytest.mark.usefixtures("plugged")
def test_under_the_hosts_policy(wire: Wire, change: Change) -> None:
    """`pyeno attach --teps`, by name: binding for every process (RFC 8548 section 5)."""
    from pyeno.policy import parse_teps

    both = Config(teps="example,tls,curve25519")
    for permitted in ("curve25519", "example", "tls"):
        status = change(teps=parse_teps(permitted))
        assert f"TEPs {permitted}," in str(status.policy)
        with pair(wire, both, both) as (a, b):
            assert a.eno.tep_name == b.eno.tep_name == permitted
    change(teps=parse_teps("p256"))
    with pair(wire, both, both) as (a, _):
        assert a.eno.reason is Reason.HOST_POLICY


@pytest.mark.usefixtures("plugged")
@pytest.mark.parametrize(
    ("listen", "connect", "chosen"),
    [
        ("example,curve25519", "curve25519,example", "example"),
        ("curve25519,example", "0x20,0x23", "curve25519"),
        ("p256,example", "example", "example"),
        ("p256", "example", None),
        ("tls,curve25519", "curve25519,tls,example", "tls"),
        ("curve25519", "tls,curve25519", "curve25519"),
        ("tls", "curve25519", None),
    ],
)
def test_commands(wire: Wire, listen: str, connect: str, chosen: str | None) -> None:
    port = next(_ports)
    with Listen(wire.b, port, "--echo", "--tep", listen) as service:
        target = f"{wire.b.ip4}:{port}"
        with Command(wire.a, "connect", "--json", "--tep", connect, target) as command:
            command.type(MARKER, end=True)
            assert command.ended() == 0 and command.output == MARKER
            mine, theirs = command.reports[0], service.next_report()
            assert mine["tep_name"] == theirs["tep_name"] == chosen
            assert mine["session_id"] == theirs["session_id"]
            assert mine["tep"] == (chosen and f"{tep.names()[chosen]:#04x}")
            assert (mine["end"], theirs["end"]) == ("fin", "fin")


def test_one_host_has_the_plug_in(wire: Wire, site: Path) -> None:
    """The other knows nothing of it, and they meet by what both have; asked for it, it
    says what it knows."""
    with having(site):
        with Command(wire.b, "doctor", "--json") as doctor:
            doctor.ended()
            checks = {each["name"]: each for each in json.loads(doctor.output)}
        assert "example (0x20) by eno_tep_example" in checks["teps"]["detail"]
        assert "plug-in 'example' of eno-tep-example 1.0" in checks["tep plug-ins"]["detail"]
        port = next(_ports)
        service = Listen(wire.b, port, "--echo", "--tep", "example,curve25519")
    with service:
        target = f"{wire.b.ip4}:{port}"
        with Command(wire.a, "connect", "--json", target) as command:
            command.type(MARKER, end=True)
            assert command.ended() == 0 and command.output == MARKER
            assert command.reports[0]["tep_name"] == "curve25519"
        with Command(wire.a, "connect", "--tep", "example", target) as command:
            assert command.ended() == 2
            assert "teps: unknown 'example'; allowed: curve25519, " in command.complaints[-1]


FAULTY = """
from eno_tep_example import Example, ExampleConnection

class Connection(ExampleConnection):
    def establish(self, known):
        super().establish(known[:1] + bytes(32))

class Faulty(Example):
    identifier, name = 0x41, "faulty"
    def create(self, outcome, config):
        return Connection(outcome, config)

FAULTY = Faulty()
"""


def test_a_faulty_plug_in_harms_its_own_connection(
    wire: Wire, site: Path, tmp_path: Path
) -> None:
    """A constant session ID: the second connection is reset, with the plug-in's name; the
    first one, the listener and other TEPs go on."""
    (tmp_path / "faulty.py").write_text(FAULTY)
    info = tmp_path / "faulty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: faulty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pyeno.teps]\nmine = faulty:FAULTY\n")
    with contextlib.ExitStack() as stack:
        for where in (site, tmp_path):
            stack.enter_context(having(where))
        listener = stack.enter_context(served(wire, Config(teps="faulty,example")))
        ends = []
        for name in ("faulty", "faulty", "example"):
            a = stack.enter_context(opener(wire, Config(teps=name)))
            ends.append((a, stack.enter_context(met(listener, a))))
        assert [agreed(a, b) for a, b in (ends[0], ends[2])] == [[], []]
        errors = agreed(*ends[1])
        told = [str(error) for error in errors if isinstance(error, pyeno.TepError)]
        assert told and len(errors) == 2
        assert told[0].startswith("plug-in 'mine' of faulty 1.0: its session ID is that of an")
        for a, b in (ends[0], ends[2]):
            a.sendall(MARKER)
            assert b.recv(100) == MARKER
        for end in ends[1]:
            with pytest.raises(OSError):
                end.sendall(MARKER)


def opener(wire: Wire, config: Config) -> pyeno.Socket:
    sock: pyeno.Socket = wire.a.inside(lambda: pyeno.Socket(config=config))
    sock.settimeout(TIMEOUT)
    return sock


def met(listener: pyeno.Socket, a: pyeno.Socket) -> pyeno.Socket:
    """Accepted from it; the key exchange is yet to come."""
    a.setblocking(False)
    with pytest.raises(BlockingIOError):
        a.connect(listener.getsockname())
    b, _ = listener.accept()
    for sock in (a, b):
        sock.settimeout(TIMEOUT)
    return b


def agreed(a: pyeno.Socket, b: pyeno.Socket) -> list[Exception]:
    """What the key exchange raises, at either end."""
    errors: list[Exception] = []

    def agree(sock: pyeno.Socket) -> None:
        try:
            sock.do_handshake()
        except (OSError, pyeno.PyenoError) as error:
            errors.append(error)

    threads = [threading.Thread(target=agree, args=(sock,)) for sock in (a, b)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors
