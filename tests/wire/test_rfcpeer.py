"""The user-space tcpcrypt host against itself, over a wire in memory: no privilege needed."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from oracle import OracleError, eno
from oracle.frames import DATA_MAX
from wire import middlebox_hooks as hooks
from wire.rfcpeer import EnoPeer, Faults
from wire.rfcpeer_host import Host
from wire.rfcpeer_link import MemoryLink
from wire.rfcpeer_packet import PSH, SYN

A, B = "10.0.0.1", "10.0.0.2"
PORT = 7
Hosts = tuple[Host, Host]


def joined(mangle: Callable[[bytes, str], list[bytes]] | None = None) -> Iterator[Hosts]:
    left, right = MemoryLink.pair(mangle)
    with Host(left) as one, Host(right) as two:
        yield one, two


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    yield from joined()


def opened(hosts: Hosts, one: dict[str, Any], two: dict[str, Any]) -> tuple[EnoPeer, EnoPeer]:
    """An active and a passive opener with TCP established."""
    passive = EnoPeer(hosts[1], **two).listen(PORT)
    active = EnoPeer(hosts[0], source=A, **one).connect((B, PORT))
    return active, passive.accept()


def together(*calls: Callable[[], object]) -> list[BaseException | None]:
    """Run calls at the same time; what each raised."""
    raised: list[BaseException | None] = [None] * len(calls)

    def run(i: int, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:
            raised[i] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def keyed(hosts: Hosts, one: dict[str, Any], two: dict[str, Any]) -> tuple[EnoPeer, EnoPeer]:
    """Two peers that have agreed on keys."""
    a, b = opened(hosts, one, two)
    assert a.encrypted and b.encrypted, (a.reason, b.reason)
    for error in together(a.handshake, b.handshake):
        if error is not None:
            raise error
    return a, b


def exchange(a: EnoPeer, b: EnoPeer) -> None:
    """Data both ways, a rekey, and a proper end."""
    assert a.keys is not None and b.keys is not None
    assert a.session_id == b.session_id
    data = bytes(range(256)) * 600
    a.send(data)
    b.send(data, chunk=1000)
    assert (b.recv_exactly(len(data)), a.recv_exactly(len(data))) == (data, data)
    a.rekey(b"next")
    assert b.recv() == b"next"
    assert a.recv_frame().rekey
    assert a.sealer.generation == a.opener.generation == b.sealer.generation == 1
    assert together(lambda: a.finish(), lambda: b.finish()) == [None, None]


@pytest.mark.parametrize("tep", eno.TCPCRYPT_TEPS)
@pytest.mark.parametrize("aead", [0x0001, 0x0002, 0x0010])
def test_conversation(hosts: Hosts, tep: int, aead: int) -> None:
    a, b = keyed(hosts, {"teps": (0x7F, tep)}, {"teps": (tep,), "aeads": (aead,)})
    assert (a.role, b.role) == ("A", "B")
    assert a.keys is not None and a.keys.aead == aead
    assert a.negotiated == b.negotiated
    exchange(a, b)
    for peer in a, b:  # RFC 8547 section 4.6
        assert [bool(s.eno) for s in peer.conn.sent[:2]] == [True, peer is a]
        last = next(s for s in peer.conn.sent if s.payload)
        assert last.flags & PSH


def test_simultaneous_open(hosts: Hosts) -> None:
    a = EnoPeer(hosts[0], source=A).cross((B, 9), 8)
    b = EnoPeer(hosts[1], source=B, b=1).connect((A, 8), port=9)
    a.wait_open()
    assert (a.role, b.role, b.conn.sent[0].flags) == ("A", "B", SYN)
    for error in together(a.handshake, b.handshake):
        assert error is None
    exchange(a, b)


def test_simultaneous_open_without_b(hosts: Hosts) -> None:
    a = EnoPeer(hosts[0], source=A).cross((B, 9), 8)
    b = EnoPeer(hosts[1], source=B).connect((A, 8), port=9)
    a.wait_open()
    assert (a.reason, b.reason) == ("same-b-0", "same-b-0")


def test_resumption_keeps_and_swaps_roles(hosts: Hosts) -> None:
    a, b = keyed(hosts, {}, {})
    sessions = a.session, b.session
    exchange(a, b)
    a, b = keyed(hosts, {"sessions": (sessions[0],)}, {"sessions": (sessions[1],)})
    assert a.negotiated is not None and a.negotiated.mode == "resume"
    assert a.session_id[0] == 0xA3
    sessions = b.session, a.session  # the other host opens the next one
    exchange(a, b)
    one, two = {"sessions": (sessions[0],)}, {"sessions": (sessions[1],), "nonce_len": 0}
    a, b = keyed(hosts, one, two)
    assert (a.role, a.original_role, a.session.i) == ("A", "B", 3)
    exchange(a, b)


def test_resumption_declined(hosts: Hosts) -> None:
    a, b = keyed(hosts, {}, {})
    session = a.session
    exchange(a, b)
    a, b = keyed(hosts, {"sessions": (session,)}, {})
    assert a.negotiated is not None and a.negotiated.mode == "fresh"
    exchange(a, b)


REFUSED_OPTIONS = {
    "none": (b"", None, "missing"),
    "two": (b"\x45\x03\x23\x45\x03\x23", None, "multiple"),
    "ill-formed": (b"\x45\x04\x23\x80", None, "length-beyond-end"),
    "b set": (b"\x45\x04\x01\x23", None, None),
    "unknown TEP": (b"\x45\x03\x77", None, None),
    "no ACK option": (None, b"", None),
}


@pytest.mark.parametrize("name", REFUSED_OPTIONS)
def test_options_that_disable(hosts: Hosts, name: str) -> None:
    option, ack, reason = REFUSED_OPTIONS[name]
    a, b = opened(hosts, {"option": option, "ack_option": ack}, {})
    assert not b.encrypted and not a.encrypted
    assert reason is None or b.reason == reason
    a.conn.send(b"plain")
    assert b.conn.recv() == b"plain"


@pytest.mark.parametrize("kind", ["syn", "syn-ack", "ack", "all"])
def test_stripped(kind: str) -> None:
    for hosts in joined(hooks.strip_eno(kind)):
        a, b = opened(hosts, {}, {})
        assert not b.encrypted
        # what RFC 8547 section 9 calls the second type: A can't know that its ACK lost ENO
        assert a.encrypted == (kind == "ack")


def test_lossy_wire() -> None:
    lose = hooks.drop(hooks.nth(lambda s, d: True, {1, 5, 12, 30, 31, 50}))
    for hosts in joined(lose):
        a, b = keyed(hosts, {}, {})
        exchange(a, b)
        assert a.conn.retransmissions + b.conn.retransmissions > 0


INIT_FAULTS = {
    "magic": (Faults(magic=0x01020304), "bad-magic"),
    "short": (Faults(truncate=1), "short-init"),
    "zero public key": (Faults(public=bytes(32)), "bad-public-key"),
    "low-order public key": (Faults(public=b"\x01" + bytes(31)), "bad-public-key"),
}


@pytest.mark.parametrize("role", "AB")
@pytest.mark.parametrize("name", INIT_FAULTS)
def test_init_faults_are_noticed(hosts: Hosts, name: str, role: str) -> None:
    faults, reason = INIT_FAULTS[name]
    one, two = ({"faults": faults}, {}) if role == "A" else ({}, {"faults": faults})
    a, b = opened(hosts, one, two)
    wrong, right = (a, b) if role == "A" else (b, a)
    thread = threading.Thread(target=lambda: together(wrong.handshake))
    thread.start()
    with pytest.raises(OracleError, match=reason):
        right.handshake()
    right.abort()
    wrong.conn.wait_reset()
    thread.join()


def test_cipher_faults(hosts: Hosts) -> None:
    a, b = opened(hosts, {"faults": Faults(ciphers=(0x7F01,))}, {})
    thread = threading.Thread(target=lambda: together(a.handshake))
    thread.start()
    with pytest.raises(OracleError, match="no-common-cipher"):
        b.handshake()
    b.abort()
    thread.join()
    a, b = opened(hosts, {"aeads": (0x0001,)}, {"faults": Faults(cipher=0x0002)})
    raised = together(a.handshake, b.handshake)
    assert "cipher-not-offered" in str(raised[0])


def test_init_withheld(hosts: Hosts) -> None:
    for faults in Faults(silent=True), Faults(message_len=1 << 30):
        a, b = opened(hosts, {"faults": faults}, {})
        thread = threading.Thread(target=together, args=(partial(a.handshake, 0.1),))
        thread.start()
        with pytest.raises(TimeoutError):
            b.handshake(0.2)
        thread.join()
    a, b = opened(hosts, {"faults": Faults(plaintext=b"GET / HTTP/1.0\r\n\r\n")}, {})
    a.handshake()
    with pytest.raises(OracleError, match="bad-magic"):
        b.handshake()


def test_odd_but_legal(hosts: Hosts) -> None:
    """Init in 1-byte segments, with an ignored tail, data right behind Init2, reserved bits."""
    tail = Faults(segment=1, ignored=b"ignore me")
    a, b = keyed(hosts, {"faults": tail}, {"faults": Faults(ignored=b"x", with_init2=b"early")})
    sizes = [len(s.payload) for s in a.conn.sent if s.payload]
    assert a.keys is not None and sizes == [1] * len(a.keys.init1)
    assert a.recv() == b"early"
    first = next(s for s in b.conn.sent if s.payload)
    assert len(first.payload) == len(a.keys.init2) + 3 + 1 + 5 + 16
    a.send_frame(b"reserved", cres=0x7F, fres=0x3F)
    a.send_frame(b"urgent", urgent=5)
    assert b.recv_exactly(14) == b"reservedurgent"
    assert (b.frames[0].control, b.frames[0].flags, b.frames[1].urgent) == (0xFE, 0xFC, 5)
    exchange(a, b)


def bad_tag(a: EnoPeer) -> None:
    a.send_frame(b"data", bad_tag=True)


def wrong_clen(a: EnoPeer) -> None:
    a.send_frame(b"data", clen=20)


def short_clen(a: EnoPeer) -> None:
    a.send_frame(b"data", clen=15)


def forged_rekey(a: EnoPeer) -> None:
    a.send_frame(b"data", control=1)


def swapped(a: EnoPeer) -> None:
    a.send_swapped(b"first", b"second")


def after_fin(a: EnoPeer) -> None:
    a.send_frame(fin=True)
    a.send_frame(b"more")


def bare_fin(a: EnoPeer) -> None:
    a.fin_without_finp()


def part_then_fin(a: EnoPeer) -> None:
    a.send_part(b"data", -1)
    a.fin_without_finp()


FRAME_FAULTS: dict[Callable[[EnoPeer], None], str] = {
    bad_tag: "authentication-failed",
    wrong_clen: "authentication-failed",
    short_clen: "authentication-failed",
    forged_rekey: "authentication-failed",
    swapped: "authentication-failed",
    after_fin: "after-finp",
    bare_fin: "fin-without-finp",
    part_then_fin: "fin-without-finp",
}


@pytest.mark.parametrize("fault", FRAME_FAULTS, ids=lambda f: f.__name__)
def test_frame_faults_are_noticed(hosts: Hosts, fault: Callable[[EnoPeer], None]) -> None:
    a, b = keyed(hosts, {}, {})
    a.send(b"good")
    assert b.recv() == b"good"
    fault(a)
    a.conn.flush()
    with pytest.raises(OracleError, match=FRAME_FAULTS[fault]):
        for _ in range(3):
            b.recv_frame(2)


def test_reset_midway(hosts: Hosts) -> None:
    a, b = keyed(hosts, {}, {})
    a.send_part(bytes(DATA_MAX), 5000)
    a.conn.flush()
    a.abort()
    with pytest.raises(ConnectionResetError):
        b.recv()


def test_rekey_left_unanswered(hosts: Hosts) -> None:
    a, b = keyed(hosts, {}, {})
    b.answer_rekey = False
    a.rekey()
    a.send(b"x")
    assert b.recv() == b"x"
    assert (b.sealer.generation, b.opener.generation) == (0, 1)
    b.send(b"old keys still")
    assert a.recv() == b"old keys still"
