"""pyeno.inprocess without a kernel half: what is left alone, how settings travel, which
programs can be launched, and that everybody who looks at a socket is told the truth."""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.played import TIMEOUT, listening_port

from pyeno import Config, ConfigError, KernelError, TruncationError
from pyeno.constants import SECURE_PORTS, Aead
from pyeno.inprocess import Rules, launch
from pyeno.inprocess.rules import is_loopback, numeric
from pyeno.inprocess.settings import PATIENCE, VARIABLE, Settings, from_environment
from pyeno.inprocess.sock import InProcessSocket, current, use

SITE = Path(launch.__code__.co_filename).with_name("site")
PYTHON = sys.executable


# -- rules -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True),
        ("192.0.2.1", False), ("fe80::1%eth0", False), ("::ffff:192.0.2.1", False),
        ("example.org", False), ("", False),
    ],
)  # fmt: skip
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
    assert Rules().skips((host, 80)) == loopback
    assert not Rules(loopback=True).skips((host, 80))


def test_ports_of_secure_protocols() -> None:
    for port in SECURE_PORTS:
        assert Rules().skips(("192.0.2.1", port)) and Rules(loopback=True).skips(("::1", port))
    assert not Rules(skip_ports=frozenset({80})).skips(("192.0.2.1", 443))


@pytest.mark.parametrize(
    ("family", "address", "number"),
    [
        (socket.AF_INET, ("", 80), ("127.0.0.1", 80)),
        (socket.AF_INET, ("0.0.0.0", 80), ("127.0.0.1", 80)),
        (socket.AF_INET6, ("::", 80, 0, 0), ("::1", 80, 0, 0)),
        (socket.AF_INET, ("192.0.2.1", 80), ("192.0.2.1", 80)),
        (socket.AF_INET, ("localhost", 80), ("127.0.0.1", 80)),
        (socket.AF_INET6, ("2001:db8::1", 80, 1, 2), ("2001:db8::1", 80, 1, 2)),
        (socket.AF_INET, (b"localhost", 80), (b"localhost", 80)),
    ],
)
def test_numeric(family: int, address: tuple[Any, ...], number: tuple[Any, ...]) -> None:
    assert numeric(family, address) == number


# -- settings ----------------------------------------------------------------------------


def test_settings_travel() -> None:
    config = Config(
        teps="curve448,curve25519", aeads=(Aead.AES_128_GCM,), require=True, resume=False,
        keepalive=(3.0, 4.0), session_scope="x", handshake_timeout=7,
    )  # fmt: skip
    settings = Settings(config, Rules(frozenset({1, 2}), loopback=True))
    assert from_environment({VARIABLE: settings.encode()}) == settings
    assert Settings.decode(Settings().encode()) == Settings()
    assert from_environment({}) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "{}", '{"config": {"no": 1}, "skip_ports": [], "loopback": false}',
        '{"config": {"teps": []}, "skip_ports": [], "loopback": false}',
        '{"config": 5, "skip_ports": [], "loopback": false}',
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant(text: str) -> None:
    with pytest.raises(ConfigError, match=VARIABLE):
        Settings.decode(text)


# -- launching ---------------------------------------------------------------------------


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], dict[str, str]]]:
    """What the process would become, in place of becoming it."""
    calls: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda *call: calls.append(call))
    monkeypatch.setattr("pyeno.kernel.version", lambda sock: 2)
    return calls


def test_launch(executed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    launch([PYTHON, "app.py", "-I"], Config(require=True))
    ((path, argv, environment),) = executed
    assert path == PYTHON and argv == [PYTHON, "app.py", "-I"]
    assert environment["PYTHONPATH"] == f"{SITE}:/somewhere"
    settings = Settings.decode(environment[VARIABLE])
    assert settings.config.require and settings.config.handshake_timeout == PATIENCE
    assert settings.rules == Rules()


def test_launch_of_a_script(executed: list[Any], tmp_path: Path) -> None:
    script = tmp_path / "tool"
    script.write_text(f"#!{PYTHON}\n")
    script.chmod(0o755)
    launch([str(script), "-S"], Config(handshake_timeout=3))
    assert executed[0][:2] == (str(script), [str(script), "-S"])
    assert Settings.decode(executed[0][2][VARIABLE]).config.handshake_timeout == 3


@pytest.mark.parametrize(
    ("options", "letter"),
    [
        (["-S"], "S"), (["-I", "x.py"], "I"), (["-E"], "E"), (["-uS", "x.py"], "S"),
        (["-W", "error", "-I"], "I"), (["-X", "dev", "-bE"], "E"), (["-Xdev", "-S"], "S"),
        (["--check-hash-based-pycs", "always", "-S"], "S"),
    ],
)  # fmt: skip
def test_options_under_which_nothing_can_be_prepared(
    executed: list[Any], options: list[str], letter: str
) -> None:
    with pytest.raises(ConfigError, match=f"leave -{letter} out"):
        launch([PYTHON, *options], Config())
    assert not executed


@pytest.mark.parametrize(
    "options",
    [
        ["x.py", "-S"], ["-c", "pass", "-S"], ["-m", "x", "-I"], ["-WE", "x"], ["-u", "-"], [],
        ["-um", "x", "-I"],
    ],
)  # fmt: skip
def test_options_of_the_program_itself(executed: list[Any], options: list[str]) -> None:
    launch([PYTHON, *options], Config())
    assert len(executed) == 1


def test_programs_that_are_not_python(executed: list[Any], tmp_path: Path) -> None:
    shell = tmp_path / "python-like.sh"
    shell.write_text("#!/bin/sh\n")
    shell.chmod(0o755)
    for program in ("/bin/sh", str(shell)):
        with pytest.raises(ConfigError, match="not a Python program"):
            launch([program], Config())
    with pytest.raises(ConfigError, match="no such program"):
        launch([str(tmp_path / "missing")], Config())
    with pytest.raises(ConfigError, match="no program"):
        launch([], Config())
    assert not executed


def test_a_python_without_pyeno(executed: list[Any], tmp_path: Path) -> None:
    other = tmp_path / "python3"
    other.write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    other.chmod(0o755)
    with pytest.raises(ConfigError, match=r"cannot import pyeno \(no such module\); install"):
        launch([str(other)], Config())
    assert not executed


def test_hosts_without_eno(
    executed: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pyeno.kernel.version", lambda sock: None)
    with pytest.raises(KernelError, match="pyeno attach"):
        launch([PYTHON], Config(require=True))
    assert not executed
    launch([PYTHON], Config())
    assert "nothing is encrypted" in capsys.readouterr().err and len(executed) == 1


# -- what Python does at its start-up -----------------------------------------------------


def started(source: str, *, settings: str | None, path: list[Path]) -> tuple[str, str]:
    """Output and complaints of a Python that finds ``site`` first on its path."""
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"
    }
    beneath = [entry for entry in os.environ.get("PYTHONPATH", "").split(":") if entry]
    environment["PYTHONPATH"] = ":".join(map(str, [SITE, *path, *beneath]))
    if settings is not None:
        environment[VARIABLE] = settings
    done = subprocess.run(
        [PYTHON, "-c", source],
        capture_output=True,
        text=True,
        env=environment,
        cwd="/",
    )
    return done.stdout, done.stderr


def test_start_up(tmp_path: Path) -> None:
    """The sitecustomize behind it runs, sockets are ours, and nothing else is disturbed."""
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.chained = __file__\n")
    source = """if True:
        import sys
        assert "pyeno" not in sys.modules and "socket" not in sys.modules
        import sitecustomize
        import socket, select, selectors, ssl, asyncio, multiprocessing.reduction
        tcp = socket.socket()
        assert isinstance(tcp, socket.socket) and hasattr(tcp, "eno"), tcp
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        assert type(udp) is socket.socket
        assert all(type(end) is socket.socket for end in socket.socketpair())
        import os
        again = socket.socket(fileno=os.dup(tcp.fileno()))
        assert type(again) is type(tcp)
        assert type(socket.socket(fileno=os.dup(udp.fileno()))) is socket.socket
        assert select.select.__wrapped__ and selectors.EpollSelector.select.__wrapped__
        assert asyncio.BaseEventLoop.create_server.__wrapped__
        assert ssl.SSLContext.wrap_socket.__wrapped__
        class Own(socket.socket): pass
        assert type(Own()) is Own
        print(chained, sitecustomize.__file__)
    """
    output, complaints = started(source, settings=Settings().encode(), path=[tmp_path])
    chained = str(tmp_path / "sitecustomize.py")
    assert output.split() == [chained, chained], complaints


def test_start_up_with_teps_that_import_much(tmp_path: Path) -> None:
    """Before the program is half-way through importing the same: email.utils, here, which
    imports socket."""
    source = "import email.utils, socket; print(socket.socket().config.teps)"
    settings = Settings(Config(teps=("tls", "curve25519"))).encode()  # type: ignore[arg-type]
    output, complaints = started(source, settings=settings, path=[])
    assert output.startswith("(<Tep.TLS: 48>, "), complaints


def test_start_up_without_a_launcher(tmp_path: Path) -> None:
    source = "import socket; print(type(socket.socket()) is socket.socket)"
    assert started(source, settings=None, path=[])[0] == "True\n"


def test_start_up_with_settings_that_cannot_be_meant() -> None:
    _, complaints = started("import socket", settings="{", path=[])
    assert complaints.startswith("pyeno run --in-process: PYENO_IN_PROCESS: ")


@pytest.mark.parametrize("require", [False, True])
def test_start_up_of_a_python_without_pyeno(tmp_path: Path, require: bool) -> None:
    """Opportunistic encryption is missed and said so; required one ends the program."""
    (tmp_path / "pyeno").mkdir()
    (tmp_path / "pyeno" / "__init__.py").write_text("raise ImportError('not for this one')")
    settings = Settings(Config(require=require)).encode()
    output, complaints = started(
        "import socket; print('on')", settings=settings, path=[tmp_path]
    )
    assert "cannot import pyeno (not for this one)" in complaints
    assert output == ("" if require else "on\n")


# -- sockets -----------------------------------------------------------------------------


@pytest.fixture
def pair(negotiated: None) -> Iterator[tuple[InProcessSocket, InProcessSocket]]:
    """(active, accepted), before any key exchange."""
    before = current
    use(Settings(Config(), Rules(loopback=True)))
    with contextlib.ExitStack() as stack:
        stack.callback(use, before)
        listener = stack.enter_context(InProcessSocket(socket.AF_INET, socket.SOCK_STREAM))
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listening_port[0] = listener.getsockname()[1]
        active = stack.enter_context(InProcessSocket(socket.AF_INET, socket.SOCK_STREAM))
        active.settimeout(TIMEOUT)
        active.connect(listener.getsockname())
        accepted = stack.enter_context(listener.accept()[0])
        accepted.settimeout(TIMEOUT)
        assert isinstance(accepted, InProcessSocket)
        yield active, accepted


def readable(sock: socket.socket, seconds: float = 0) -> bool:
    """What the kernel says."""
    return bool(select.select([sock], [], [], seconds)[0])


def exchanged(active: InProcessSocket, accepted: InProcessSocket) -> None:
    thread = threading.Thread(target=accepted.do_handshake)
    thread.start()
    active.do_handshake()
    thread.join()


def test_connect_waits_for_nobody(pair: tuple[InProcessSocket, InProcessSocket]) -> None:
    """One thread, as programs do that connect to themselves; the peer may speak first."""
    active, accepted = pair
    assert readable(accepted, TIMEOUT) and not accepted.truly_readable()  # Init1 was there
    assert readable(active, TIMEOUT) and not active.truly_readable()  # Init2 was there
    accepted.sendall(b"welcome")
    assert readable(active, TIMEOUT) and active.truly_readable()
    assert active.recv(100) == b"welcome" and not readable(active)


def test_the_kernel_knows_of_what_was_opened(
    pair: tuple[InProcessSocket, InProcessSocket],
) -> None:
    active, accepted = pair
    exchanged(active, accepted)
    active.sendall(b"0123456789")
    active.sendall(b"abc")
    assert readable(accepted, TIMEOUT)
    got = b""
    while readable(accepted):
        got += accepted.recv(1)
    assert got == b"0123456789abc"
    accepted.setblocking(False)
    with pytest.raises(BlockingIOError):
        accepted.recv(1)


@pytest.mark.parametrize("way", ["recv", "recv_into", "peek", "waitall", "makefile", "pending"])
def test_every_way_to_read(pair: tuple[InProcessSocket, InProcessSocket], way: str) -> None:
    active, accepted = pair
    exchanged(active, accepted)
    data = os.urandom(200_000)
    thread = threading.Thread(target=active.sendall, args=[data])
    thread.start()
    got = bytearray()
    file = accepted.makefile("rb", 1000)
    while len(got) < len(data):
        assert way == "makefile" or readable(accepted, TIMEOUT)
        if way == "recv_into":
            piece = bytearray(777)
            got += piece[: accepted.recv_into(piece)]
        elif way == "peek":
            seen = accepted.recv(777, socket.MSG_PEEK)
            assert readable(accepted)
            got += accepted.recv(len(seen))
            assert got.endswith(seen)
        elif way == "waitall":
            got += accepted.recv(min(777, len(data) - len(got)), socket.MSG_WAITALL)
        elif way == "makefile":
            got += file.read(min(777, len(data) - len(got)))
        else:
            got += accepted.recv(777)
            assert way == "recv" or accepted.pending() == 0 or readable(accepted)
    thread.join()
    file.close()
    assert got == data and not readable(accepted)


def test_ends_are_seen(pair: tuple[InProcessSocket, InProcessSocket]) -> None:
    active, accepted = pair
    exchanged(active, accepted)
    active.sendall(b"last")
    active.shutdown(socket.SHUT_WR)
    assert accepted.recv(2) == b"la" and readable(accepted)
    assert accepted.recv(2) == b"st" and readable(accepted, TIMEOUT)
    assert accepted.recv(1) == b""
    accepted.sendall(b"answer")
    assert active.recv(100) == b"answer"


def test_closed_before_anything_was_sent(
    pair: tuple[InProcessSocket, InProcessSocket],
) -> None:
    """As a health check does it: the other end sees a stream that ended."""
    active, accepted = pair
    thread = threading.Thread(target=active.close)
    thread.start()
    assert accepted.recv(1) == b""
    thread.join()


def test_accepted_and_closed(pair: tuple[InProcessSocket, InProcessSocket]) -> None:
    active, accepted = pair
    accepted.close()
    assert active.recv(1) == b""


def test_cut_off(pair: tuple[InProcessSocket, InProcessSocket]) -> None:
    active, accepted = pair
    exchanged(active, accepted)
    socket.socket.shutdown(active, socket.SHUT_WR)  # FIN, and no FINp
    with pytest.raises(TruncationError):
        accepted.recv(1)


def test_moved(pair: tuple[InProcessSocket, InProcessSocket]) -> None:
    """The connection goes on under another object; the first one is closed."""
    active, accepted = pair
    exchanged(active, accepted)
    heir = active.moved()
    assert active.fileno() == -1 and heir.gettimeout() == TIMEOUT
    active.close()
    heir.sendall(b"on")
    assert accepted.recv(10) == b"on"
    heir.close()
    assert accepted.recv(1) == b""


def test_sockets_that_do_not_block(pair: tuple[InProcessSocket, InProcessSocket]) -> None:
    active, accepted = pair
    active.setblocking(False)
    accepted.setblocking(False)
    with pytest.raises(BlockingIOError):
        accepted.recv(1)  # takes part in the key exchange
    until_sent = 0
    while not until_sent:
        with contextlib.suppress(BlockingIOError):
            until_sent = active.send(b"hello")
    assert readable(accepted, TIMEOUT) and accepted.recv(10) == b"hello"


def test_settings_are_plain_text() -> None:
    assert json.loads(Settings(Config(require=True)).encode())["config"]["require"] is True
