"""The relay's control of connections, with the kernel's part played.

Held SYNs are told by the test, and what the relay admits connects at once; what is
"steered" connects to the relay's listener itself.
"""

import contextlib
import errno
import gc
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from unit.played import listening, raw_listening

import pyeno
from pyeno import Config, ConfigError, kernel
from pyeno.relay import Record, Relay, Settings, far, relay

TIMEOUT = 10.0
RESETS = struct.pack("ii", 1, 0)


class Held(NamedTuple):
    destination: Any
    source: Any
    program: socket.socket
    decided: threading.Event
    cookie: int = 0


class Kernel:
    """Plays the BPF programs."""

    def __init__(self, settings: Settings, near: Any, steered: Any) -> None:
        self.settings, self.near, self.steered = settings, near, steered
        self.syns: list[Held] = []
        self.refusals: list[tuple[Held, int]] = []
        self.admitted: list[Any] = []
        self.reached: list[tuple[Any, Any]] = []
        self.rules: list[Any] = []
        self.abandoned: list[int] = []
        self.unreached: list[Any] = []
        self.released = False
        self._event = os.eventfd(0, os.EFD_NONBLOCK)

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._event)

    def begin(self, destination: Any) -> Held:
        """A program connects; what becomes of it the relay decides."""
        program = socket.socket()
        program.bind(("127.0.0.1", 0))
        program.settimeout(TIMEOUT)
        source, decided = program.getsockname(), threading.Event()
        self.send(held := Held(destination, source, program, decided, source[1]))
        return held

    def send(self, held: Held) -> None:
        self.syns.append(held)
        os.eventfd_write(self._event, 1)

    def connect(self, destination: Any) -> socket.socket:
        """Once it is decided."""
        held = self.begin(destination)
        assert held.decided.wait(TIMEOUT)
        return held.program

    def fileno(self) -> int:
        return self._event

    def held(self) -> list[Held]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        syns, self.syns = self.syns, []
        return syns

    def admit(self, held: Held, local: Any) -> None:
        held.program.connect(self.near[0].getsockname())
        self.admitted.append(local)
        held.decided.set()

    def refuse(self, held: Held, code: int) -> None:
        self.refusals.append((held, code))
        held.decided.set()

    def reach(self, sock: socket.socket, client: Any, local: Any) -> Any:
        self.reached.append((client, local))
        sock.bind((local[0], 0, *local[2:]))
        return sock.getsockname()

    def unreach(self, sock: socket.socket, local: Any) -> None:
        self.unreached.append((sock.getsockname(), local))

    def gave_up(self) -> list[int]:
        abandoned, self.abandoned = self.abandoned, []
        return abandoned

    def set_rules(self, rules: Any) -> None:
        self.rules.append(rules)

    def release(self) -> None:
        self.released = True


class Running:
    """A relay in a thread, and what it told."""

    def __init__(self, settings: Settings) -> None:
        self.opened_: list[Record] = []
        self.ended_: list[Record] = []
        self._news = threading.Condition()
        self.relay = Relay(settings, self, redirect=self._played)

    def _played(self, settings: Settings, near: Any, steered: Any) -> Kernel:
        self.kernel = Kernel(settings, near, steered)
        return self.kernel

    def opened(self, record: Record) -> None:
        with self._news:
            self.opened_.append(record)
            self._news.notify_all()

    def ended(self, record: Record) -> None:
        with self._news:
            self.ended_.append(record)
            self._news.notify_all()

    def wait(self, ready: Callable[[], Any]) -> Any:
        with self._news:
            assert self._news.wait_for(ready, TIMEOUT), (self.opened_, self.ended_)
        return ready()

    def end(self) -> Record:
        """Of the first that ended."""
        record: Record = self.wait(lambda: self.ended_)[0]
        return record


@contextlib.contextmanager
def running(**settings: Any) -> Iterator[Running]:
    made = Running(Settings(**settings))
    with made.relay:
        thread = threading.Thread(target=made.relay.run)
        thread.start()
        try:
            yield made
        finally:
            made.relay.stop()
            thread.join()


@pytest.fixture(autouse=True)
def _nothing_attached(negotiated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "attached", contextlib.nullcontext)
    monkeypatch.setattr(relay, "sweep", lambda: None)


@pytest.fixture
def without_eno(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer has none."""
    plain = kernel.UNAVAILABLE._replace(
        state=pyeno.constants.State.DISABLED, reason=pyeno.Reason.SYN_ACK_WITHOUT_ENO
    )
    monkeypatch.setattr(kernel, "result", lambda sock: plain)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def descriptors() -> int:
    gc.collect()  # of other tests
    return len(list(Path("/proc/self/fd").iterdir()))


def text(address: Any) -> str:
    return f"{address[0]}:{address[1]}"


def until(ready: Callable[[], Any]) -> None:
    """For what is not told."""
    last = time.monotonic() + TIMEOUT
    while not ready():
        assert time.monotonic() < last
        time.sleep(0.01)


@contextlib.contextmanager
def unanswering() -> Iterator[Any]:
    """The address of a listener whose backlog is full: SYNs are dropped."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()


def echo_once(sock: socket.socket) -> None:
    sock.sendall(sock.recv(100).upper())


# -- outbound -------------------------------------------------------------------------


def test_outbound_encrypted() -> None:
    with listening() as listener, running() as run:
        program = run.kernel.connect(listener.getsockname())
        peer, address = listener.accept()
        with program, peer:
            peer.settimeout(TIMEOUT)
            peer.do_handshake()
            program.sendall(b"hello")
            echo_once(peer)
            assert program.recv(100) == b"HELLO"
            (record,) = run.relay.connections()
            assert record.state == "open" and record.direction == "outbound"
            assert record.info is not None and record.info.encrypted
            assert record.info.session_id == peer.eno.session_id
            assert run.kernel.admitted == [address]
            shown = record.as_dict()
            assert shown["peer"] == text(listener.getsockname())
            assert shown["local"] == text(address)
            assert shown["program"] == text(program.getsockname())
            assert shown["session_id"] == peer.eno.session_id.hex()
        end = run.end()
        assert (end.end, end.bytes_out, end.bytes_in) == ("fin", 5, 5)
        counters = run.relay.counters()
        assert counters["encrypted"] == counters["outbound"] == 1
        assert counters["plain"] == counters["open"] == counters["opening"] == 0
        kind = {"direction": "outbound", "tep": "0x23", "reason": None, "count": 1}
        assert counters["connections"] == [kind]
        assert counters["handshake_failures"] == 0
        assert counters["ends"] == {"fin": 1} and counters["bytes_out"] == 5


def test_drained() -> None:
    """Nothing new is diverted; what stands goes on."""
    with listening() as listener, running() as run:
        program = run.kernel.connect(listener.getsockname())
        peer, _ = listener.accept()
        with program, peer:
            peer.settimeout(TIMEOUT)
            peer.do_handshake()
            assert not run.relay.idle
            run.relay.drain()
            until(lambda: run.kernel.released)
            program.sendall(b"hello")
            echo_once(peer)
            assert program.recv(100) == b"HELLO"
        assert run.end().end == "fin"
        assert run.relay.idle


@pytest.mark.usefixtures("without_eno")
def test_outbound_plain() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, running() as run:
        program = run.kernel.connect(listener.getsockname())
        peer, _ = listener.accept()
        with program, peer:
            program.sendall(b"hello")
            echo_once(peer)
            assert program.recv(100) == b"HELLO"
        assert run.end().end == "fin"
        counters = run.relay.counters()
        assert counters["plain"] == 1 and counters["encrypted"] == 0
        assert counters["reasons"] == {"syn-ack-without-eno": 1}
        reason = counters["connections"][0]
        assert (reason["tep"], reason["reason"]) == (None, "syn-ack-without-eno")


@pytest.mark.usefixtures("without_eno")
@pytest.mark.parametrize(
    "settings",
    [{"config": Config(require=True)}, {"require_networks": ["127.0.0.0/8"]}],
    ids=["all", "network"],
)
def test_outbound_required(settings: dict[str, Any]) -> None:
    """The peer's side is reset, the program's connect() fails, the reason is told."""
    with socket.create_server(("127.0.0.1", 0)) as listener, running(**settings) as run:
        program = run.kernel.connect(listener.getsockname())
        peer, _ = listener.accept()
        with program, peer:
            end = run.end()
            assert [code for _, code in run.kernel.refusals] == [errno.ECONNREFUSED]
            with pytest.raises(ConnectionResetError):
                peer.recv(1)
        assert end.state == "refused" and "syn-ack-without-eno" in end.error
        assert run.relay.counters()["refused"] == {"syn-ack-without-eno": 1}
        assert not run.kernel.admitted


def test_outbound_refused_keeps_its_errno() -> None:
    with running() as run:
        with run.kernel.connect(("127.0.0.1", closed_port())):
            assert run.end().errno == errno.ECONNREFUSED
        assert [code for _, code in run.kernel.refusals] == [errno.ECONNREFUSED]
        assert run.relay.counters()["refused"] == {"ECONNREFUSED": 1}


def test_outbound_unreachable() -> None:
    """What connect(2) says at once: a broadcast address."""
    with running() as run, run.kernel.connect(("255.255.255.255", 9)):
        end = run.end()
        assert [code for _, code in run.kernel.refusals] == [end.errno]
        assert end.errno in (errno.ENETUNREACH, errno.EACCES)


def test_a_retransmitted_syn_opens_no_second_connection() -> None:
    with raw_listening() as listener, running() as run:
        held = run.kernel.begin(listener.getsockname())
        assert held.decided.wait(TIMEOUT)
        run.kernel.send(held)
        with held.program, listener.accept()[0]:
            time.sleep(0.1)
            assert len(run.relay.connections()) == 1


def test_a_program_that_gives_up() -> None:
    """The far side is still trying: nobody wants it any more."""
    with unanswering() as address, running() as run:
        held = run.kernel.begin(address)
        until(run.relay.connections)
        held.program.close()
        run.kernel.abandoned.append(held.cookie)
        os.eventfd_write(run.kernel.fileno(), 1)
        end = run.end()
        assert (end.state, end.errno) == ("refused", errno.ECONNABORTED)
        assert not run.kernel.refusals and not run.relay.connections()


def test_a_peer_that_breaks_the_key_exchange() -> None:
    """Then the program's connection was there already: a reset."""
    with raw_listening() as listener, running() as run:
        program = run.kernel.connect(listener.getsockname())
        peer, _ = listener.accept()
        with program, peer:
            peer.sendall(b"HTTP/1.0 400 what is this\r\n\r\n" * 10)
            assert run.end().state == "refused"
            with pytest.raises(ConnectionResetError):
                program.recv(1)
        assert not run.kernel.refusals
        assert run.relay.counters()["refused"] == {"reset": 1}
        assert run.relay.counters()["handshake_failures"] == 1


def test_a_silent_peer_holds_up_nobody() -> None:
    config = Config(handshake_timeout=1.0)
    with raw_listening() as silent, listening() as listener, running(config=config) as run:
        stuck = run.kernel.connect(silent.getsockname())
        quick = run.kernel.connect(listener.getsockname())
        with stuck, quick, silent.accept()[0], listener.accept()[0] as peer:
            quick.sendall(b"x")
            assert peer.recv(1) == b"x"
            assert run.end().peer[1] == silent.getsockname()[1]
            with pytest.raises(ConnectionResetError):
                stuck.recv(1)


def test_strangers_are_reset() -> None:
    """Who connects to the near listener without being held: nobody can, but if."""
    with running() as run:
        address = run.kernel.near[0].getsockname()
        with socket.create_connection(address) as stranger, pytest.raises(OSError):
            stranger.settimeout(TIMEOUT)
            stranger.recv(1)


# -- inbound --------------------------------------------------------------------------


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A program's listener: where the relay's connections go to, wherever to they are."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        address = listener.getsockname()
        monkeypatch.setattr(far, "connect", lambda sock, _: _connect(sock, address))
        yield listener


_connect = far.connect


def steered(run: Running) -> Any:
    return run.kernel.steered[0].getsockname()


def played_port(run: Running) -> Any:
    """The relay's listener is host B's."""
    from unit import played

    played.listening_port[0] = steered(run)[1]
    return steered(run)


def test_inbound_encrypted(program: socket.socket) -> None:
    with running() as run:
        peer = pyeno.create_connection(played_port(run), TIMEOUT)
        inside, _ = program.accept()
        with peer, inside:
            peer.sendall(b"hello")
            echo_once(inside)
            assert peer.recv(100) == b"HELLO"
            assert run.kernel.reached == [(peer.getsockname(), steered(run))]
            (record,) = run.relay.connections()
            assert record.direction == "inbound" and record.info is not None
            assert record.info.session_id == peer.eno.session_id
            assert record.peer == peer.getsockname()
        end = run.end()
        assert (end.end, end.bytes_in, end.bytes_out) == ("fin", 5, 5)
        assert run.relay.counters()["inbound"] == 1


@pytest.mark.usefixtures("without_eno")
def test_inbound_plain_and_required(program: socket.socket) -> None:
    with running() as run, socket.create_connection(steered(run), TIMEOUT) as peer:
        inside, _ = program.accept()
        with inside:
            inside.sendall(b"220 ready")
            assert peer.recv(100) == b"220 ready"
    with running(config=Config(require=True)) as run:
        with (
            pytest.raises(ConnectionResetError),  # perhaps in connect() already
            socket.create_connection(steered(run), TIMEOUT) as peer,
        ):
            peer.recv(1)
        assert run.end().state == "refused"
        assert not run.kernel.reached


@pytest.mark.usefixtures("without_eno")
def test_inbound_required_on_a_port(program: socket.socket) -> None:
    with running() as run:
        port = steered(run)[1]
        run.relay.reload(Settings(require_ports=[port], skip_ports=[9]))  # type: ignore[arg-type]
        until(lambda: run.kernel.rules)
        with (
            pytest.raises(ConnectionResetError),  # perhaps in connect() already
            socket.create_connection(steered(run), TIMEOUT) as peer,
        ):
            peer.recv(1)
        assert "syn-ack-without-eno" in run.end().error and not run.kernel.reached


def test_inbound_without_a_program(program: socket.socket) -> None:
    program.close()
    with running() as run:
        wanted = played_port(run)
        with pyeno.create_connection(wanted, TIMEOUT) as peer:
            with pytest.raises(ConnectionResetError):
                peer.recv(1)
            assert run.end().errno == errno.ECONNREFUSED
        ((_, local),) = run.kernel.unreached
        assert local == wanted


def test_inbound_silent_peers_hold_up_nobody(program: socket.socket) -> None:
    config = Config(handshake_timeout=1.0)
    with running(config=config) as run:
        address = played_port(run)
        with socket.create_connection(address, TIMEOUT) as silent:
            with pyeno.create_connection(address, TIMEOUT) as peer, program.accept()[0]:
                peer.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                silent.recv(1)


# -- the relay itself -------------------------------------------------------------------


def test_stopping_resets_everything() -> None:
    with listening() as listener:
        with running() as run:
            program = run.kernel.connect(listener.getsockname())
            peer, _ = listener.accept()
            peer.settimeout(TIMEOUT)
            program.sendall(b"x")
            assert peer.recv(1) == b"x"
        assert run.end().end == "closed" and run.relay.counters()["open"] == 0
        with program, peer:
            for sock in (program, peer):
                with pytest.raises(ConnectionResetError):
                    sock.recv(1)


def test_more_connections_than_allowed_wait() -> None:
    with listening() as listener, running(connections_max=1) as run:
        first = run.kernel.connect(listener.getsockname())
        with listener.accept()[0] as peer:
            first.sendall(b"1")
            assert peer.recv(1) == b"1"
            run.wait(lambda: run.opened_)
            second = run.kernel.begin(listener.getsockname())
            time.sleep(0.1)
            assert len(run.relay.connections()) == 1 and run.kernel.syns
            first.close()
        assert second.decided.wait(TIMEOUT)
        with second.program as program, listener.accept()[0] as peer:
            program.sendall(b"2")
            assert peer.recv(1) == b"2"


def test_those_that_come_at_once_wait_too() -> None:
    """And those that gave up meanwhile are not opened any more."""
    with listening() as listener, running(connections_max=1) as run:
        address, many = listener.getsockname(), []
        run.relay.loop.soon(lambda: many.extend(run.kernel.begin(address) for _ in range(4)))
        until(lambda: len(many) == 4)
        assert many[0].decided.wait(TIMEOUT)
        assert len(run.relay.connections()) == 1 and not run.kernel.syns
        run.kernel.abandoned.append(many[2].cookie)
        for held in (many[0], many[1], many[3]):
            assert held.decided.wait(TIMEOUT)
            with held.program as one, listener.accept()[0] as peer:
                one.sendall(b"1")
                assert peer.recv(1) == b"1"
        assert len(run.kernel.admitted) == 3 and not many[2].decided.is_set()
        many[2].program.close()


@pytest.mark.parametrize("which", [0, 1], ids=["near", "steered"])
def test_no_descriptor_free(
    program: socket.socket, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    """Accepting pauses, without spinning, and goes on."""
    tries: list[int] = []
    accepted = far.accepted

    def crowded(listener: socket.socket, most: int = 1) -> Iterator[Any]:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(errno.EMFILE, "too many")
        return accepted(listener, most)

    monkeypatch.setattr(far, "accepted", crowded)
    with running() as run:
        address = (run.kernel.near[0], run.kernel.steered[0])[which].getsockname()
        with socket.create_connection(address) as peer:
            if which == 0:  # a stranger, who is reset when accepted
                peer.settimeout(TIMEOUT)
                with pytest.raises(ConnectionResetError):
                    peer.recv(1)
            else:
                until(run.relay.connections)
    assert len(tries) == 3


def test_no_descriptor_for_the_far_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is told at once."""

    def opening(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(far, "opening", opening)
    with running() as run, run.kernel.connect(("192.0.2.1", 80)):
        assert run.end().errno == errno.EMFILE
        assert [code for _, code in run.kernel.refusals] == [errno.ECONNREFUSED]
        assert run.relay.counters()["refused"] == {"EMFILE": 1}


def test_one_way_only() -> None:
    with running(inbound=False) as run:
        assert run.kernel.steered == (None, None) and run.kernel.near[0] is not None
    with running(outbound=False) as run:
        assert run.kernel.near == (None, None) and run.kernel.steered[0] is not None


def test_reload() -> None:
    settings = Settings()
    with running() as run:
        with pytest.raises(ConfigError, match=r"cgroups: .*start another"):
            run.relay.reload(settings.but(cgroups=("/x",)))
        with pytest.raises(ConfigError, match="fail: 'closed'"):
            run.relay.reload(settings.but(fail="closed"))
        strict = settings.but(config=Config(require=True), skip_ports=[9])
        run.relay.reload(strict)
        until(lambda: run.kernel.rules)
        (rules,) = run.kernel.rules
        assert rules.skip_ports == {9}
        assert run.kernel.steered[0].config.require


def test_nothing_is_left_when_it_cannot_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise pyeno.KernelError(errno.EPERM, "no")

    before = descriptors()
    with pytest.raises(pyeno.KernelError), Relay(Settings(), redirect=fails):
        pass
    assert descriptors() == before


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_program_is_reached_by_what_resets(family: int) -> None:
    """From before it is connected: a relay may be killed before it has joined both sides."""
    with far.plain(family) as near:
        assert near.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == RESETS
