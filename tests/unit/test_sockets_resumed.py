"""Sockets whose session was resumed (RFC 8548 section 3.5); the negotiation and the
kernel's cache are played, by a socket option that keeps 32 bytes."""

import os
import socket
import struct
from collections.abc import Iterator

import pytest
from unit.played import TIMEOUT, listening, verdict
from unit.test_connection import pair as agreed
from unit.test_resumption import following, outcomes

import pyeno
from pyeno import Config, Role, kernel
from pyeno._values import Outcome
from pyeno.constants import State
from pyeno.errors import KernelError, LocalProtocolError, NotEncryptedError
from pyeno.sockets import acks, caching
from pyeno.sockets.acks import HeldAck
from pyeno.tcpcrypt import agreement
from pyeno.tcpcrypt.sessions import Session

TCP_FASTOPEN_KEY = 33
NO_SUCH_OPTION = 12345
pytestmark = pytest.mark.usefixtures("cached")

Ends = tuple[pyeno.Socket, pyeno.Socket]


class Played:
    """What the kernel would say of the two ends, and what was put."""

    def __init__(self) -> None:
        one, two = agreed()
        self.sessions = {Role.A: following(one), Role.B: following(two)}
        self.outcomes: dict[Role, Outcome] = {}
        first, second = outcomes(self.sessions[Role.A], self.sessions[Role.B], (b"a", b"b"))
        self.outcomes = {Role.A: first, Role.B: second}
        self.secret = self.sessions[Role.A].ss.export()
        self.entries: list[bytes] = []

    def result(self, role: Role) -> kernel.Result:
        outcome = self.outcomes[role]
        return verdict(role)._replace(
            resumed=True, transcript=outcome.transcript, tep_byte=outcome.tep_byte,
            original_role=role, tag=int(self.sessions[role].aead),
        )  # fmt: skip


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch, negotiated: None) -> Played:
    played = Played()
    entry = caching._established
    ask = kernel.result

    def recorded(session_id: bytes, session: Session, lifetime: int) -> bytes:
        played.entries.append(entry(session_id, session, lifetime))
        return b""

    def result(sock: socket.socket) -> kernel.Result:
        found = ask(sock)
        if found.state is not State.ENCRYPTED:
            return found
        if found.role is Role.B or not sock.getsockopt(
            socket.IPPROTO_TCP, TCP_FASTOPEN_KEY, 32
        ):
            sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_KEY, played.secret)
        return played.result(found.role)

    monkeypatch.setattr(caching, "_established", recorded)
    monkeypatch.setattr(kernel, "result", result)
    monkeypatch.setattr(kernel, "TCP_ENO_SESSION_TAKE", TCP_FASTOPEN_KEY)
    monkeypatch.setattr(kernel, "TCP_ENO_ESTABLISHED", TCP_FASTOPEN_KEY)
    return played


@pytest.fixture
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """(opened, accepted): one thread does, there is no exchange to take part in."""
    with listening(getattr(request, "param", None)) as listener:
        a = pyeno.create_connection(listener.getsockname(), TIMEOUT)
        b, _ = listener.accept()
        b.settimeout(TIMEOUT)
        with a, b:
            yield a, b


def kept(sock: socket.socket) -> bytes:
    """What the played cache holds for the socket."""
    return sock.getsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_KEY, 32)


@pytest.mark.rfc("8548:3.2-6")
def test_both_may_send_at_once(ends: Ends, cached: Played) -> None:
    a, b = ends
    a.sendall(b"from a")
    b.sendall(b"from b")
    assert (a.recv(9), b.recv(9)) == (b"from b", b"from a")
    assert a.eno.resumed and b.eno.resumed
    assert a.eno.session_id == b.eno.session_id and a.eno.session_id[0] == 0xA3


def test_an_accepted_connection_takes_its_secret_when_used(ends: Ends, cached: Played) -> None:
    a, b = ends
    assert a.eno.session_id
    assert b.eno.resumed and b.eno.encrypted
    with pytest.raises(NotEncryptedError, match="do_handshake"):
        _ = b.eno.session_id
    b.do_handshake()
    assert b.eno.session_id == a.eno.session_id


@pytest.mark.rfc("8548:3.5-2", "8548:3.5-26")
def test_the_next_session_is_put_at_once(ends: Ends, cached: Played) -> None:
    """struct eno_established: the session ID, and the next session with its own nonce."""
    a, b = ends
    b.do_handshake()
    assert kept(a) == kept(b) != cached.secret
    of_a, of_b = (struct.unpack("=BBHI18s8s6x", entry[72:]) for entry in cached.entries)
    assert cached.entries[0][:41] == bytes((33, *bytes(7))) + a.eno.session_id
    assert of_a[:2] == (0x23, 0) and of_b[:2] == (0x23, 1)
    assert of_a[2:5] == of_b[2:5] and of_a[2] == a.eno.aead and of_a[3] == 3600
    assert of_a[4] != cached.sessions[Role.A].identifier
    assert of_a[5] != of_b[5], "the nonces"


@pytest.mark.parametrize("ends", [Config(cache=False)], indirect=True)
def test_nothing_is_put_where_caching_is_off(ends: Ends, cached: Played) -> None:
    _, b = ends
    b.do_handshake()
    assert len(cached.entries) == 1, "the other end's"


def test_a_flushed_connection_puts_nothing(ends: Ends, cached: Played) -> None:
    _, b = ends
    b.flush_session()
    b.do_handshake()
    assert len(cached.entries) == 1


def test_a_cache_that_refuses_disturbs_nobody(
    monkeypatch: pytest.MonkeyPatch, ends: Ends, cached: Played
) -> None:
    a, b = ends
    monkeypatch.setattr(kernel, "TCP_ENO_ESTABLISHED", NO_SUCH_OPTION)
    b.do_handshake()
    b.sendall(b"hello")
    assert a.recv(9) == b"hello"


def test_one_process_only(ends: Ends) -> None:
    """After fork the keys stay with the process that used them first."""
    a, b = ends
    b.do_handshake()
    child = os.fork()
    if child == 0:
        try:
            b.send(b"x")
        except LocalProtocolError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    b.sendall(b"from the parent")
    assert a.recv(99) == b"from the parent"


def test_a_secret_another_process_took(monkeypatch: pytest.MonkeyPatch, ends: Ends) -> None:
    """The connection goes on in that process: nothing is sent from here."""
    a, b = ends
    a.settimeout(0.1)
    monkeypatch.setattr(kernel, "TCP_ENO_SESSION_TAKE", socket.TCP_INFO)

    def taken(*_: object) -> None:
        raise OSError(107, "ENOTCONN")

    monkeypatch.setattr(agreement, "Secret", type("Taken", (), {"from_option": taken}))
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="another process"):
            b.recv(9)
    with pytest.raises(TimeoutError):
        a.recv(9)


def test_reset_before_its_first_use(monkeypatch: pytest.MonkeyPatch, ends: Ends) -> None:
    """The kernel wipes the secret with the connection: no other process took it."""

    def wiped(*_: object) -> None:
        raise OSError(107, "ENOTCONN")

    a, b = ends
    monkeypatch.setattr(agreement, "Secret", type("Wiped", (), {"from_option": wiped}))
    a.abort()
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            b.recv(9)


def test_detached_meanwhile(monkeypatch: pytest.MonkeyPatch, ends: Ends) -> None:
    a, b = ends
    monkeypatch.setattr(kernel, "TCP_ENO_SESSION_TAKE", NO_SUCH_OPTION)
    for _ in range(2):
        with pytest.raises(KernelError, match="detached"):
            b.send(b"x")
    with pytest.raises(ConnectionResetError):
        a.recv(9)


def test_closed_without_use(ends: Ends) -> None:
    """No FINp without keys: the peer must not take that for an end of stream."""
    a, b = ends
    b.close()
    with pytest.raises(pyeno.TruncationError):
        a.recv(9)


@pytest.fixture
def quickacks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The values that TCP_QUICKACK was given."""
    values: list[int] = []
    monkeypatch.setattr(acks, "_setsockopt", lambda *args: values.append(args[3]))
    return values


def test_the_held_acknowledgment_is_released_once(quickacks: list[int]) -> None:
    with socket.socket() as sock:
        ack = HeldAck()
        ack.release(sock)
        ack.hold(sock)
        ack.release(sock)
        ack.release(sock)
        assert quickacks == [0, 1]


def test_who_has_the_descriptor_already_may_wait_with_it(quickacks: list[int]) -> None:
    """As an epoll that knew the socket before it connected."""
    with socket.socket() as sock:
        ack = HeldAck()
        ack.asked(sock)
        ack.hold(sock)
        assert not ack.held and not quickacks


def test_acknowledgments_are_quick_until_the_application_has_sent(
    quickacks: list[int],
) -> None:
    with socket.socket() as sock:
        ack = HeldAck()
        ack.hold(sock)
        for established in (False, True, True):  # Init1, then frames
            ack.sent(sock, established=established)
            assert not ack.held
        assert quickacks == [0, 1, 1]


@pytest.mark.parametrize(("held", "calls"), [(True, [0, 1]), (False, [])])
def test_a_resumed_session_has_no_init_messages_to_make_up_for(
    held: bool, calls: list[int], quickacks: list[int]
) -> None:
    with socket.socket() as sock:
        ack = HeldAck()
        if held:
            ack.hold(sock)
        ack.resumed()
        for _ in range(2):
            ack.sent(sock, established=True)
        assert quickacks == calls


def test_who_asks_for_the_descriptor_may_wait_with_it(ends: Ends) -> None:
    a, _ = ends
    assert a._ack.held, "no application byte left yet"
    a.fileno()
    assert not a._ack.held


def test_flushing_needs_no_connection() -> None:
    assert pyeno.flush_sessions() and pyeno.flush_sessions(Config(), everything=True)
    with pyeno.Socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.flush_session()
    with pytest.raises(TypeError, match=r"pyeno\.Config"):
        pyeno.flush_sessions("mine")  # type: ignore[arg-type]
