"""What an application demands, kept on the wire: require, application-aware, roles."""

import itertools
import socket
from typing import Any

import pytest
from wire.capture import RST
from wire.netns import Wire
from wire.pairs import MARKER, dialled, pair, plain_listener, served
from wire.programs import Command, Listen

from pyeno import Config, Reason
from pyeno.errors import EncryptionRequiredError

pytestmark = pytest.mark.wire

REQUIRE = Config(require=True)
_ports = itertools.count(6100)


# -- require: "refused before a byte of application data" (RFC 8547 section 4.7, last
# paragraphs: "a per-connection mandatory encryption mode that automatically aborts")


@pytest.mark.rfc("8547:4.7-23")
def test_opener_requires(wire: Wire) -> None:
    """The peer has no ENO: reset, and the application's data never leaves."""
    with plain_listener(wire) as listener, wire.capture(wire.b) as seen:
        with pytest.raises(EncryptionRequiredError) as caught:
            dialled(wire, listener.getsockname(), REQUIRE)
        assert caught.value.reason is Reason.SYN_ACK_WITHOUT_ENO
        assert "syn-ack-without-eno" in str(caught.value)
        conn, _ = listener.accept()
        with conn, pytest.raises(ConnectionResetError):
            conn.recv(1)
    assert not any(s.payload for s in seen.segments)


@pytest.mark.rfc("8547:4.7-23")
def test_listener_requires(wire: Wire) -> None:
    """Data that a plain opener has already sent is not delivered either."""
    with (
        served(wire, REQUIRE) as listener,
        wire.a.socket() as plain,
        wire.capture() as seen,
    ):
        plain.connect(listener.getsockname())
        plain_address = plain.getsockname()
        plain.sendall(MARKER)
        accepted, _ = listener.accept()
        for use in (
            lambda: accepted.recv(1), lambda: accepted.sendall(MARKER), accepted.do_handshake,
        ):  # fmt: skip
            with pytest.raises(EncryptionRequiredError, match="syn-without-eno"):
                use()
        assert accepted.eno.reason is Reason.SYN_WITHOUT_ENO
        accepted.close()
        with pytest.raises(ConnectionResetError):
            plain.recv(1)
    assert {s.source for s in seen.segments if s.payload} == {plain_address}


def test_both_require(wire: Wire) -> None:
    with pair(wire, REQUIRE, REQUIRE) as (a, b):
        assert a.eno.encrypted and b.eno.encrypted
        a.sendall(MARKER)
        assert b.recv(100) == MARKER


def test_commands_require(wire: Wire) -> None:
    """`--require` both ways against programs that know nothing of ENO."""
    port = next(_ports)
    with Listen(wire.b, port, "--echo", "--require") as listen, wire.a.socket() as plain:
        plain.connect((wire.b.ip4, port))
        plain.sendall(MARKER)
        with pytest.raises(ConnectionResetError):
            plain.recv(1)
        report = listen.report(plain.getsockname()[1])
        assert (report["encrypted"], report["reason"]) == (False, "syn-without-eno")
        assert (report["end"], report["bytes_in"], report["bytes_out"]) == ("reset", 0, 0)
        assert "encryption is required" in report["error"]
        target = f"{wire.b.ip4}:{port}"
        with Command(wire.a, "connect", "--json", "--require", target) as connect:
            connect.type(MARKER, end=True)
            assert connect.ended() == 0 and connect.output == MARKER
    with plain_listener(wire) as listener:
        host, port = listener.getsockname()
        with Command(wire.a, "connect", "--json", "--require", f"{host}:{port}") as connect:
            connect.type(MARKER, end=True)
            conn, _ = listener.accept()
            with conn, pytest.raises(ConnectionResetError):
                conn.recv(1)
            assert connect.ended() == 1
            report = connect.report(port)
            assert (report["reason"], report["bytes_out"]) == ("syn-ack-without-eno", 0)


def test_commands_without_eno_opposite(wire: Wire) -> None:
    """RFC 8547 section 4.6, figure 10 cause 1: "transparently falls back"."""
    port = next(_ports)
    with Listen(wire.b, port, "--echo") as listen, wire.a.socket() as plain:
        plain.connect((wire.b.ip4, port))
        plain.sendall(MARKER)
        plain.shutdown(socket.SHUT_WR)
        assert plain.recv(100, socket.MSG_WAITALL) == MARKER
        report = listen.report(plain.getsockname()[1])
        assert (report["reason"], report["end"]) == ("syn-without-eno", "fin")
        assert report["session_id"] is report["tep"] is report["role"] is None
    with plain_listener(wire) as listener:
        host, port = listener.getsockname()
        with Command(wire.a, "connect", "--json", f"{host}:{port}") as connect:
            connect.type(MARKER, end=True)
            conn, _ = listener.accept()
            with conn:
                assert conn.recv(100, socket.MSG_WAITALL) == MARKER
                conn.sendall(MARKER)
            assert connect.ended() == 0 and connect.output == MARKER
            assert connect.report(port)["reason"] == "syn-ack-without-eno"


# -- the application-aware bit (RFC 8547 section 4.2)

AWARE: list[Any] = [False, True, "mandatory"]


@pytest.mark.rfc("8547:4.2-7", "8547:4.2-8")
@pytest.mark.parametrize(("one", "two"), [*itertools.product(AWARE, AWARE)])
def test_application_aware(wire: Wire, one: Any, two: Any) -> None:
    """Each sees the other's bit; "mandatory" disables ENO unless the other is aware."""
    works = not ("mandatory" in (one, two) and False in (one, two))
    with pair(wire, Config(app_aware=one), Config(app_aware=two)) as (a, b):
        assert a.eno.encrypted is b.eno.encrypted is works
        assert (a.eno.self_aware, b.eno.self_aware) == (bool(one), bool(two))
        if works:
            assert (a.eno.peer_aware, b.eno.peer_aware) == (bool(two), bool(one))
        elif one == "mandatory":
            assert a.eno.reason is Reason.PEER_NOT_AWARE
            assert b.eno.reason is Reason.ACK_WITHOUT_ENO
        else:
            assert a.eno.reason is Reason.SYN_ACK_WITHOUT_ENO
            assert b.eno.reason is Reason.PEER_NOT_AWARE
        a.sendall(MARKER)
        assert b.recv(100) == MARKER


@pytest.mark.parametrize("aware", [[], ["--app-aware"], ["--app-aware=mandatory"]])
def test_commands_aware(wire: Wire, aware: list[str]) -> None:
    port = next(_ports)
    with Listen(wire.b, port, "--echo", "--app-aware=mandatory") as listen:
        target = f"{wire.b.ip4}:{port}"
        with Command(wire.a, "connect", "--json", *aware, target) as connect:
            connect.type(MARKER, end=True)
            assert connect.ended() == 0 and connect.output == MARKER
            mine, theirs = connect.reports[0], listen.next_report()
            assert mine["encrypted"] is theirs["encrypted"] is bool(aware)
            assert mine["self_aware"] is bool(aware) and theirs["self_aware"] is True
            assert mine["peer_aware"] is theirs["peer_aware"] is bool(aware)
            assert theirs["reason"] == (None if aware else "peer-not-aware")


@pytest.mark.parametrize("opener", [True, False], ids=["opener", "listener"])
def test_required_and_mandatory(wire: Wire, opener: bool) -> None:
    """Refused with the reason, before a byte of application data; the peer is unaware."""
    strict, lax = Config(require=True, app_aware="mandatory"), Config()
    with served(wire, lax if opener else strict) as listener, wire.capture() as seen:
        address = listener.getsockname()[:2]
        if opener:
            with pytest.raises(EncryptionRequiredError, match="peer-not-aware") as caught:
                dialled(wire, address, strict)
            assert caught.value.reason is Reason.PEER_NOT_AWARE
            accepted, _ = listener.accept()
            with accepted, pytest.raises(ConnectionResetError):
                accepted.recv(1)
        else:
            with dialled(wire, address, lax) as opened, listener.accept()[0] as accepted:
                with pytest.raises(EncryptionRequiredError, match="peer-not-aware"):
                    accepted.sendall(MARKER)
                assert accepted.eno.reason is Reason.PEER_NOT_AWARE
                with pytest.raises(ConnectionResetError):
                    opened.recv(1)
        seen.wait(lambda segments: any(s.flags & RST for s in segments))
    assert not any(s.payload for s in seen.segments)


@pytest.mark.parametrize("opener", [True, False], ids=["opener", "listener"])
def test_commands_required_and_mandatory(wire: Wire, opener: bool) -> None:
    port = next(_ports)
    strict = ["--require", "--app-aware=mandatory"]
    with Listen(wire.b, port, "--echo", *([] if opener else strict)) as listen:
        words = ["connect", "--json", *(strict if opener else []), f"{wire.b.ip4}:{port}"]
        with wire.capture() as seen, Command(wire.a, *words) as connect:
            connect.type(MARKER, end=True)
            assert connect.ended() == 1 and not connect.output
            report = connect.reports[0] if opener else listen.next_report()
        assert (report["reason"], report["encrypted"]) == ("peer-not-aware", False)
        assert report["end"] == "reset" and report["bytes_out"] == 0
        assert "peer-not-aware" in report["error"]
        # the lax opener's data is its own affair; the strict side sends none
        refusing = [s for s in seen.segments if opener or s.source[1] == port]
        assert refusing and not any(s.payload for s in refusing)


# -- roles (RFC 8547 section 4.3)


@pytest.mark.rfc("8547:4.3-4")
def test_role_b_to_a_listener(wire: Wire) -> None:
    """Two hosts with b = 1: plain TCP."""
    with pair(wire, Config(role_b=True)) as (a, b):
        assert a.eno.reason is Reason.SYN_ACK_WITHOUT_ENO
        assert b.eno.reason is Reason.SAME_ROLE


def test_commands_role_b(wire: Wire) -> None:
    """Simultaneous opens are in test_simultaneous.py."""
    port = next(_ports)
    with Listen(wire.b, port, "--echo") as listen:
        target = f"{wire.b.ip4}:{port}"
        with Command(wire.a, "connect", "--json", "--role-b", target) as connect:
            connect.type(MARKER, end=True)
            assert connect.ended() == 0 and connect.output == MARKER
            assert connect.reports[0]["reason"] == "syn-ack-without-eno"
            assert listen.next_report()["reason"] == "same-role"
