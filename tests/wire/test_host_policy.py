"""`pyeno attach --teps … --no-connect --no-listen --skip-port …`: what the host permits.

RFC 8548 section 5: "system administrators MAY configure which TEPs a host will negotiate".
"""

import errno
import json
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from wire.capture import RST
from wire.connect import (
    OFFER,
    assert_encrypted,
    assert_plain,
    connection,
    listen,
    no_eno,
    raw,
    tcpcrypt,
    teps,
)
from wire.netns import Wire
from wire.pairs import MARKER, dialled, served
from wire.peering import Field

from pyeno import Config, Reason, attach, cli, kernel
from pyeno.constants import State
from pyeno.errors import EncryptionRequiredError
from pyeno.policy import Policy

pytestmark = pytest.mark.wire
Change = Callable[..., attach.Status]
BOTH = teps("2123")


@pytest.mark.rfc("8548:5-11")
@pytest.mark.parametrize(
    ("permitted", "chosen"), [((0x21,), 0x21), ((0x23,), 0x23), ((0x22, 0x23), 0x23)]
)
def test_only_permitted_teps_are_offered(
    wire: Wire, change: Change, permitted: tuple[int, ...], chosen: int
) -> None:
    change(teps=permitted)
    with connection(wire, BOTH, BOTH) as ends:
        assert_encrypted(ends, bytes((0x45, 3, chosen)), bytes((0x45, 4, 1, chosen)))
    # the socket's own list stays, for the day when the policy permits it again
    change(teps=None)
    with connection(wire, BOTH, BOTH) as ends:
        assert ends.active.transcript.hex() == "45042123" + "45040123"


@pytest.mark.rfc("8548:3.2-1")
def test_order_and_bits_stay(wire: Wire, change: Change) -> None:
    change(teps=(0x22, 0x30, 0x7F))
    offered = teps("7f21302223", self_aware=1)
    with connection(wire, offered, teps("3022")) as ends:
        assert_encrypted(ends, bytes.fromhex("4506027f3022"), bytes.fromhex("45040122"))


@pytest.mark.rfc("8548:5-11")
def test_only_permitted_teps_are_answered(field: Field, change: Change) -> None:
    """The peer offers both, most wanted one first; the listener would take either."""
    change(teps=(0x21,))
    with _listening(field, BOTH) as listener:
        peer = field.opener(listener.getsockname()[1], teps=(0x23, 0x21))
        assert peer.negotiated is not None and peer.negotiated.tep == 0x21
        peer.conn.abort()
        change(teps=(0x22,))
        assert _refused(field, listener, teps=(0x23, 0x21)) is Reason.HOST_POLICY
        change(teps=(0x21, 0x22))
        assert _refused(field, listener, teps=(0x23,)) is Reason.NO_VALID_TEP


def _listening(field: Field, setup: Callable[[socket.socket], object]) -> socket.socket:
    def make() -> socket.socket:
        sock = socket.socket()
        setup(sock)
        sock.bind((field.ours(), 0))
        sock.listen()
        sock.settimeout(8)
        return sock

    made: socket.socket = field.call(make)
    return made


def _refused(field: Field, listener: socket.socket, **wishes: Any) -> Reason:
    """The listener's reason, the SYN-ACK having had no option."""
    peer = field.opener(listener.getsockname()[1], **wishes)
    conn, address = listener.accept()
    while address != peer.conn.local:  # earlier ones still wait there
        conn.close()
        conn, address = listener.accept()
    with conn:
        assert not peer.encrypted
        assert peer.conn.remote_syn is not None and not peer.conn.remote_syn.eno
        peer.conn.abort()
        return kernel.result(conn).reason


def test_nothing_left_to_offer(wire: Wire, change: Change) -> None:
    change(teps=(0x22,))
    with connection(wire, BOTH, BOTH) as ends:
        assert_plain(ends, Reason.HOST_POLICY, Reason.HOST_POLICY)
        assert no_eno(ends.seen.segments)


def test_no_connect(wire: Wire, change: Change) -> None:
    change(connect=False)
    with connection(wire) as ends:
        assert_plain(ends, Reason.HOST_POLICY, Reason.SYN_WITHOUT_ENO)
        assert no_eno(ends.seen.segments)
    change(connect=True)
    with connection(wire) as ends:
        assert_encrypted(ends)


@pytest.mark.parametrize("passive", [tcpcrypt, raw("45040123")], ids=["teps", "raw"])
def test_no_listen(wire: Wire, change: Change, passive: Any) -> None:
    with listen(wire.b, wire.b.ip4, passive) as listener:  # open before the change
        change(listen=False)
        with wire.a.socket() as a, wire.capture() as seen:
            tcpcrypt(a)
            a.connect(listener.getsockname())
            b, _ = listener.accept()
            with b:
                assert kernel.result(a).reason is Reason.SYN_ACK_WITHOUT_ENO
                assert kernel.result(b).reason is Reason.HOST_POLICY
        assert seen.syns()[0].eno == (OFFER,) and no_eno(seen.syn_acks())


@pytest.mark.parametrize("to", ["10.69.0.2", "fd69::2"])
@pytest.mark.parametrize("active", [tcpcrypt, raw("450323")], ids=["teps", "raw"])
def test_skipped_remote_port(wire: Wire, change: Change, to: str, active: Any) -> None:
    with listen(wire.b, to) as skipped, listen(wire.b, to) as other:
        change(skip_ports=(22, skipped.getsockname()[1], 65535))
        for listener, encrypted in ((skipped, False), (other, True)):
            with wire.a.socket(skipped.family) as a:
                active(a)
                a.connect(listener.getsockname()[:2])
                result = kernel.result(a)
                assert (result.state is State.ENCRYPTED) is encrypted
                assert encrypted or result.reason is Reason.HOST_POLICY


@pytest.mark.parametrize("setup", [tcpcrypt, raw("45040123")], ids=["teps", "raw"])
def test_skipped_local_port(field: Field, change: Change, setup: Any) -> None:
    with _listening(field, setup) as listener:
        port = listener.getsockname()[1]
        change(skip_ports=(port,))
        assert _refused(field, listener) is Reason.HOST_POLICY
        change(skip_ports=(port ^ 1, port ^ 64, port ^ 0x8000))
        peer = field.opener(port)
        assert peer.encrypted
        peer.conn.abort()


@pytest.mark.parametrize("option", ["45042123", "45042321"])
def test_raw_options_with_a_forbidden_tep_are_not_sent(
    wire: Wire, change: Change, option: str
) -> None:
    change(teps=(0x23,))
    with connection(wire, raw(option)) as ends:
        assert_plain(ends, Reason.HOST_POLICY, Reason.SYN_WITHOUT_ENO)
        assert no_eno(ends.seen.segments)
    with connection(wire, tcpcrypt, raw("4505012123")) as ends:
        assert_plain(ends, Reason.SYN_ACK_WITHOUT_ENO, Reason.HOST_POLICY)
    with connection(wire, raw("45040223")) as ends:  # names 0x23 alone
        assert ends.active.state is State.ENCRYPTED


def test_what_a_socket_would_send(wire: Wire, change: Change) -> None:
    change(teps=(0x23,))
    with wire.a.socket() as sock:
        BOTH(sock)
        assert kernel.raw_option(sock).hex() == "450323"
        assert sock.getsockopt(socket.IPPROTO_TCP, kernel.TCP_ENO_TEPS, 40) == b"\x21\x23"


def test_applications_see_the_reason(wire: Wire, change: Change) -> None:
    change(connect=False)
    with served(wire) as listener, wire.capture() as seen:
        address = listener.getsockname()[:2]
        with dialled(wire, address) as a, listener.accept()[0] as b:
            assert a.eno.reason is Reason.HOST_POLICY and not a.eno.encrypted
            a.sendall(MARKER)
            assert b.recv(100) == MARKER
        seen.wait(lambda segments: any(s.payload == MARKER for s in segments))
        with pytest.raises(EncryptionRequiredError, match="host-policy"):
            dialled(wire, address, Config(require=True))
        seen.wait(lambda segments: any(s.flags & RST for s in segments))
        refused = seen.segments[-1].source[1]
        assert not any(s.payload for s in seen.segments if s.source[1] == refused)


def test_sending_while_a_plain_connection_opens(wire: Wire, change: Change) -> None:
    """As standard sockets do: nothing of ENO is pending, so nothing is waited for."""
    change(connect=False)
    from pyeno import Socket

    with listen(wire.b, wire.b.ip4) as listener, wire.b.rules("tcp flags syn drop"):
        for config in (None, Config(require=True)):
            sock = wire.a.inside(lambda c=config: Socket(config=c))
            with sock:
                sock.setblocking(False)
                assert sock.connect_ex(listener.getsockname()) == errno.EINPROGRESS
                with pytest.raises(BlockingIOError):
                    sock.send(MARKER)
                assert not select.select([], [sock], [], 0)[1]


# -- SYNs without an answer (section 4.6) ----------------------------------------------

DROPPED = "tcp flags & (syn|ack) == syn tcp option 69 exists drop"


@pytest.mark.rfc("8547:4.6-8")
@pytest.mark.parametrize(("syns", "offered"), [(1, 1), (2, 2)])
def test_a_path_that_drops_the_option(
    wire: Wire, change: Change, syns: int, offered: int
) -> None:
    """Then the connection opens without ENO, and says why."""
    change(syns=syns)
    with wire.b.rules(DROPPED), connection(wire) as ends:
        assert_plain(ends, Reason.NO_ANSWER, Reason.SYN_WITHOUT_ENO)
        assert [bool(s.eno) for s in ends.seen.syns()] == [True] * offered + [False]
        assert no_eno(ends.seen.syn_acks()) and no_eno(ends.seen.after())


def test_a_path_that_drops_the_answer(wire: Wire, change: Change) -> None:
    """The listener notices that the SYN has changed: plain TCP at both ends."""
    change(syns=1)
    rule = "tcp flags & (syn|ack) == syn|ack tcp option 69 exists drop"
    with wire.a.rules(rule), connection(wire) as ends:
        assert_plain(ends, Reason.NO_ANSWER, Reason.SYN_CHANGED)


def test_required_encryption_is_refused_without_an_answer(wire: Wire, change: Change) -> None:
    change(syns=1)
    with served(wire) as listener, wire.b.rules(DROPPED), wire.capture() as seen:
        with pytest.raises(EncryptionRequiredError, match="no-answer"):
            dialled(wire, listener.getsockname()[:2], Config(require=True))
        assert not any(s.payload for s in seen.segments)


def test_three_syns_by_default_and_all_on_demand(wire: Wire, change: Change) -> None:
    """A lost SYN or two must not cost the encryption."""
    lost = "tcp flags & (syn|ack) == syn numgen inc mod 100000 < {} drop"
    with wire.b.rules(lost.format(2)), connection(wire) as ends:
        assert_encrypted(ends)
    with wire.b.rules(lost.format(3)), connection(wire) as ends:
        assert ends.active.reason is Reason.NO_ANSWER
        assert [bool(s.eno) for s in ends.seen.syns()] == [True] * 3 + [False]
    change(syns=0)
    with wire.b.rules(lost.format(3)), connection(wire) as ends:
        assert_encrypted(ends)


# -- the commands --------------------------------------------------------------------


def _command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = cli.main(words)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_commands(elsewhere: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """`attach` sets it, `attach` again changes what is given, `status` shows it."""
    path, pin = map(str, elsewhere)
    where = "--pin", pin
    on = "attach", "--cgroup", path, *where

    def policy() -> Any:
        return json.loads(_command(capsys, "status", "--json", *where)[1])["policy"]

    assert _command(capsys, *on, "--teps", "curve25519,0x21", "--no-listen")[0] == 0
    wanted = {
        "connect": True, "listen": False, "teps": ["0x21", "0x23"], "skip_ports": [], "syns": 3,
    }  # fmt: skip
    assert policy() == wanted
    status, out, _ = _command(capsys, *on)
    assert status == 0 and "nothing changed" in out and policy() == wanted
    status, out, _ = _command(capsys, *on, "--skip-port", "443,22", "--skip-port", "65535")
    assert status == 0 and "the host's policy was changed" in out
    assert policy() == wanted | {"skip_ports": [22, 443, 65535]}
    _, out, _ = _command(capsys, "status", *where)
    words = "connect yes, listen no, TEPs 0x21 curve25519, skipped ports 22 443 65535"
    assert words in out or words.replace("0x21", "p256") in out
    _command(capsys, *on, "--no-connect", "--skip-port", "1", "--syns", "0")
    assert policy() == wanted | {"connect": False, "skip_ports": [1], "syns": 0}
    _command(capsys, *on, "--teps", "all", "--connect", "--listen", "--no-skip-ports")
    everything = {"connect": True, "listen": True, "teps": None, "skip_ports": []}
    assert policy() == everything | {"syns": 0}
    assert "nothing changed" in _command(capsys, *on, "--connect")[1]


def test_policy_ends_with_the_attachment(elsewhere: tuple[Path, Path]) -> None:
    path, pin = map(str, elsewhere)
    attach.attach(path, pin, changes={"connect": False})
    attach.detach(pin)
    assert attach.attach(path, pin).policy == Policy()


def test_a_bad_change_changes_nothing(attached: Any, change: Change) -> None:
    change(skip_ports=(7,))
    with pytest.raises(ValueError, match="allowed"):
        change(connect=False, skip_ports=(0,))
    with pytest.raises(ValueError, match="allowed"):
        change(connect=False, teps=(0x1F,))
    assert attach.status(str(attached.pin)).policy == Policy(skip_ports=(7,))
