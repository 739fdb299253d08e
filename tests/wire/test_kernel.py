"""TCP-ENO on the wire, between two Linux TCPs: what succeeds (RFC 8547 section 4)."""

import os
import socket
import sys

import pytest
from wire.capture import ACK
from wire.connect import (
    ANSWER,
    NON_SYN,
    OFFER,
    assert_encrypted,
    connection,
    disconnect,
    listen,
    no_eno,
    raw,
    tcpcrypt,
    teps,
)
from wire.netns import Wire

from pyeno import doctor, kernel
from pyeno.constants import Role, State
from pyeno.errors import KernelError

pytestmark = pytest.mark.wire


@pytest.mark.rfc(
    "8547:4.1-2",
    "8547:4.1-4",
    "8547:4.1-7",
    "8547:4.2-3",
    "8547:4.2-4",
    "8547:4.2-6",
    "8547:4.3-2",
    "8547:4.6-1",
    "8547:4.6-2",
    "8547:4.6-10",
    "8547:11-2",
    "8548:3.2-9",
)
def test_every_segment_until_a_non_syn_one_comes_back(wire: Wire) -> None:
    """Section 4.6: SYN form in SYN and SYN-ACK, non-SYN form in the ACKs."""
    with connection(wire) as ends:
        assert_encrypted(ends)
        port = ends.a.getsockname()[1]
        assert [s.eno for s in ends.seen.syns()] == [(OFFER,)]
        assert [s.eno for s in ends.seen.syn_acks()] == [(ANSWER,)]
        sent = [s for s in ends.seen.after() if s.source[1] == port]
        came = [s for s in ends.seen.after() if s.target[1] == port]
        # the ACK of the handshake, then data: no non-SYN segment had come yet
        assert sent[0].eno == (NON_SYN,) and sent[0].flags == ACK
        assert sent[1].eno == (NON_SYN,) and sent[1].payload == b"a"
        # b had received a non-SYN segment before it sent its first
        assert sent[2:] and no_eno(sent[2:]) and came and no_eno(came)


def test_passive_opener_speaks_first(wire: Wire) -> None:
    """Header prediction must not hide the first non-SYN segment from us."""
    with connection(wire, exchange=False) as ends:
        for i in range(3):
            ends.b.sendall(b"b")
            assert ends.a.recv(1) == b"b"
            ends.a.sendall(b"a")
            assert ends.b.recv(1) == b"a", i
        port = ends.a.getsockname()[1]
        sent = [s for s in ends.seen.after() if s.source[1] == port]
        assert sent[0].eno == (NON_SYN,) and no_eno(sent[1:])


@pytest.mark.rfc("8547:4.6-1")
def test_active_opener_keeps_saying_it_while_nothing_comes(wire: Wire) -> None:
    """The ACKs of b are lost: data goes out again and again with ENO."""
    rule = "tcp flags & (syn|ack) == ack numgen inc mod 10000 < 3 drop"
    with wire.a.rules(rule), connection(wire) as ends:
        assert_encrypted(ends)
        data = [s for s in ends.seen.after() if s.payload == b"a"]
        assert len(data) > 1 and all(s.eno == (NON_SYN,) for s in data)


@pytest.mark.parametrize(
    ("to", "bind"),
    [("10.69.0.2", None), ("fd69::2", None), ("10.69.0.2", "::"), ("fd69::2", "::")],
    ids=["ipv4", "ipv6", "dual-stack-ipv4", "dual-stack-ipv6"],
)
def test_address_families(wire: Wire, to: str, bind: str | None) -> None:
    with connection(wire, to=to, bind=bind) as ends:
        assert_encrypted(ends)


def test_loopback(wire: Wire) -> None:
    with (
        listen(wire.a, "127.0.0.1") as listener,
        wire.a.socket() as a,
    ):
        tcpcrypt(a)
        a.connect(listener.getsockname())
        b, _ = listener.accept()
        with b:
            assert kernel.result(a).transcript == kernel.result(b).transcript == OFFER + ANSWER


def test_reuseport_each_listener_has_its_own_configuration(wire: Wire) -> None:
    """The kernel picks the listener; the answer must be that listener's."""
    want = {b"\x21": 0x21, b"\x23": 0x23, b"": None}
    listeners, seen = {}, set()
    port = 0
    try:
        for setting in want:
            sock = wire.b.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((wire.b.ip4, port))
            port = sock.getsockname()[1]
            if setting:
                kernel.configure(sock, teps=setting)
            sock.listen()
            sock.setblocking(False)
            listeners[setting] = sock
        for _ in range(60):
            with wire.a.socket() as a:
                kernel.configure(a, teps=b"\x21\x23")
                a.connect((wire.b.ip4, port))
                setting, b = _accept_any(listeners)
                with b:
                    for result in (kernel.result(a), kernel.result(b)):
                        tep = result.tep_byte if result.state is State.ENCRYPTED else None
                        assert tep == want[setting]
                seen.add(setting)
            if len(seen) == 3:
                break
        assert seen == set(want)
    finally:
        for sock in listeners.values():
            sock.close()


def _accept_any(listeners: dict[bytes, socket.socket]) -> tuple[bytes, socket.socket]:
    for _ in range(1000):
        for setting, sock in listeners.items():
            try:
                return setting, sock.accept()[0]
            except BlockingIOError:
                continue
    raise AssertionError("no listener got the connection")


def test_listener_configured_after_listen(wire: Wire) -> None:
    if doctor.late_listeners():
        with connection(wire, late=True) as ends:
            assert_encrypted(ends)
        return
    with wire.b.socket() as listener:
        listener.listen()
        with pytest.raises(KernelError, match="before listen"):
            tcpcrypt(listener)
        assert kernel.result(listener) == kernel.NOT_CONFIGURED


@pytest.mark.rfc("8547:4.5-4", "8547:4.5-5", "8547:4.7-2", "8548:3.2-2")
@pytest.mark.parametrize(
    ("offered", "accepted", "chosen"),
    [("2321", "2123", 0x23), ("2123", "2321", 0x21), ("2023", "2321", 0x23)],
)
def test_passive_opener_chooses_its_highest_priority(
    wire: Wire, offered: str, accepted: str, chosen: int
) -> None:
    """Section 4.5: host A does not influence the priority."""
    with connection(wire, teps(offered), teps(accepted)) as ends:
        offer = bytes((0x45, 2 + len(offered) // 2)) + bytes.fromhex(offered)
        assert_encrypted(ends, offer, bytes((0x45, 4, 1, chosen)))


@pytest.mark.rfc("8547:4.2-1", "8547:4.2-7", "8547:4.2-9")
@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (1, 2), (2, 2)])
def test_application_aware_bits_are_exchanged(wire: Wire, a: int, b: int) -> None:
    """Section 4.2: "a" is visible to the other host; mandatory mode is satisfied."""
    with connection(wire, teps("23", self_aware=a), teps("23", self_aware=b)) as ends:
        offer = bytes.fromhex("45040223") if a else OFFER
        assert_encrypted(ends, offer, bytes((0x45, 4, 3 if b else 1, 0x23)))
        assert (ends.active.self_aware, ends.active.peer_aware) == (a, bool(b))
        assert (ends.passive.self_aware, ends.passive.peer_aware) == (b, bool(a))


def test_raw_option_of_the_active_opener_is_sent_as_it_is(wire: Wire) -> None:
    """Unknown TEPs, z bits and a length byte: section 4.2 and 4.4."""
    option = "450a1c 7f 82a1010203 23".replace(" ", "")
    option = f"45{len(option) // 2:02x}" + option[4:]
    with connection(wire, raw(option), teps("2123")) as ends:
        assert_encrypted(ends, bytes.fromhex(option), ANSWER)


@pytest.mark.rfc("8547:4.5-6")
def test_raw_answer_of_a_listener(wire: Wire) -> None:
    """Section 4.5: the last valid TEP of several in the SYN-ACK."""
    with connection(wire, teps("212223"), raw("4506012224" + "23")) as ends:
        assert ends.active == ends.passive._replace(role=Role.A)
        assert ends.active.transcript.hex() == "4505212223" + "450601222423"
        assert ends.active.tep_byte == 0x23


def test_resumption_suboptions(wire: Wire) -> None:
    """RFC 8548 section 3.5: both resumption suboptions, "v" kept in NEGTEP."""
    offer, answer = "450cb3" + "00" * 9, "450d01b3" + "11" * 9
    offer, answer = offer.replace("b3", "a3"), answer.replace("b3", "a3")
    with connection(wire, raw(offer), raw(answer)) as ends:
        for result in (ends.active, ends.passive):
            assert result.resumed and result.tep_byte == 0xA3
            assert result.transcript.hex() == offer + answer


def test_unprivileged_user(wire: Wire) -> None:
    """Once attached, nobody needs a privilege to use it."""
    with listen(wire.b, wire.b.ip4) as listener, wire.a.socket() as a:
        child = os.fork()
        if not child:
            try:
                os.setgid(65534)
                os.setuid(65534)
                assert kernel.configure(a, teps=b"\x23")
                a.connect(listener.getsockname())
                os._exit(0 if kernel.result(a).state is State.ENCRYPTED else 1)
            finally:
                sys.stdout.flush()
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.rfc("8547:5.1-2", "8547:5.1-13")
def test_session_id_written_once(wire: Wire) -> None:
    """Section 5.1: at least 33 bytes; readable by whoever has the socket."""
    with connection(wire) as ends:
        with pytest.raises(OSError, match="not connected"):
            kernel.session_id(ends.a)
        for wrong in (b"", bytes(32), bytes(65)):
            with pytest.raises(OSError, match="Invalid"):
                kernel.set_session_id(ends.a, wrong)
        kernel.set_session_id(ends.a, bytes(range(33)))
        assert kernel.session_id(ends.a) == bytes(range(33))
        with pytest.raises(FileExistsError):
            kernel.set_session_id(ends.a, bytes(33))
        assert kernel.session_id(ends.a) == bytes(range(33))


def test_reconnecting_a_socket_starts_anew(wire: Wire) -> None:
    with listen(wire.b, wire.b.ip4) as listener, wire.a.socket() as a:
        tcpcrypt(a)
        a.connect(listener.getsockname())
        listener.accept()[0].close()
        kernel.set_session_id(a, bytes(33))
        a.connect_ex(("", 0))
        disconnect(a)
        with listen(wire.b, wire.b.ip4, teps("22")) as other:
            a.connect(other.getsockname())
            other.accept()[0].close()
            result = kernel.result(a)
            assert result.state is State.DISABLED and not result.transcript
            with pytest.raises(OSError, match="not connected"):
                kernel.session_id(a)
