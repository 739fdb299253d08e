"""TLS 1.3 over ENO between kernels' own TCP (identifier 0x30)."""

import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wire import middlebox_hooks as hooks
from wire.conftest import Attached
from wire.crossing import MARKER as SAID
from wire.crossing import Side, crossing
from wire.foreign_tls import opened as raw_opened
from wire.middlebox import Middlebox
from wire.netns import Wire
from wire.pairs import MARKER, TIMEOUT, dialled, pair, served
from wire.simultaneous import Crossing, Loss
from wire.tls_by_hand import TLS, by_hand

import pyeno
from pyeno import Config, Reason, Role
from pyeno.constants import Tep
from pyeno.errors import (
    EncryptionRequiredError,
    LocalProtocolError,
    RemoteProtocolError,
    TruncationError,
)
from pyeno.tls.connection import Connection
from pyeno.tls.errors import AlertError, TlsError, TranscriptError

pytestmark = pytest.mark.wire

OFFER, ANSWER, NON_SYN = (bytes.fromhex(h) for h in ("450330", "45040130", "4502"))
CLIENT_HELLO = b"\x16\x03\x01"
_ports = itertools.count(6900)


@pytest.fixture(scope="module")
def box(attached: Attached) -> Iterator[Middlebox]:
    with Middlebox() as made:
        yield made


def both_ways(a: pyeno.Socket, b: pyeno.Socket, size: int) -> None:
    """Data each way at once, then each end's."""
    data = os.urandom(size)
    got: dict[int, bytes] = {}

    def talk(here: int, sock: pyeno.Socket) -> None:
        sender = threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(1)))
        sender.start()
        parts = bytearray()
        while part := sock.recv(1 << 16):
            parts += part
        sender.join()
        got[here] = bytes(parts)

    threads = [threading.Thread(target=talk, args=way) for way in enumerate((a, b))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {0: data, 1: data}


@pytest.mark.parametrize("size", [len(MARKER), 5 << 20])
def test_between_two_hosts(wire: Wire, size: int) -> None:
    """ENO 0x30 in SYN and SYN-ACK, then TLS records and no byte of plaintext."""
    with wire.capture() as seen, pair(wire, TLS, TLS) as (a, b):
        for sock, role in ((a, Role.A), (b, Role.B)):
            info = sock.eno
            assert info.encrypted and info.tep == Tep.TLS and info.role is role
            assert info.transcript == OFFER + ANSWER and not info.resumed
            assert info.aead is not None and info.generation == 0
        assert a.eno.session_id == b.eno.session_id
        assert a.eno.session_id[0] == 0x30 and len(a.eno.session_id) == 33
        assert (a.eno.peer_key is None, b.eno.peer_key) == (False, None)
        a.sendall(MARKER)
        assert b.recv(100) == MARKER
        both_ways(a, b, size)
    assert [s.eno for s in seen.segments[:3]] == [(OFFER,), (ANSWER,), (NON_SYN,)]
    stream = b"".join(s.payload for s in seen.segments)
    assert MARKER not in stream and stream.startswith(CLIENT_HELLO)
    assert not any(s.flags & 4 for s in seen.segments)


def test_over_ipv6(wire: Wire) -> None:
    address, family = (wire.b.ip6, 0), socket.AF_INET6
    with wire.b.inside(lambda: pyeno.create_server(address, family=family, config=TLS)) as end:
        end.settimeout(TIMEOUT)
        b = Side(lambda: end.accept()[0], SAID, True, True)
        with dialled(wire, end.getsockname()[:2], TLS) as a:
            assert a.recv(100) == SAID and a.eno.session_id == b.eno.session_id
            a.shutdown(socket.SHUT_WR)
            assert b.wait().error is None
        b.close()


def test_role_b_of_a_simultaneous_open(attached: Attached) -> None:
    """Who opened does not say who is the TLS client: b = 1 does (RFC 8547 section 4.3)."""
    with Middlebox() as box:
        box.hook = Crossing(box, {5001: Loss()})
        ways = (
            (box.left, (box.left4, 5001), (box.right4, 5002), True),
            (box.right, (box.right4, 5002), (box.left4, 5001), False),
        )

        def opener(way: Any) -> Callable[[], pyeno.Socket]:
            host, source, target, role_b = way
            config = TLS.but(role_b=role_b)
            return lambda: host.call(
                lambda: pyeno.create_connection(target, 20, source, config=config)
            )

        left, right = (Side(opener(way), SAID, True, False) for way in ways)
        try:
            for side in left, right:
                assert side.wait().error is None, side
                assert side.data == SAID
            assert (left.eno.role, right.eno.role) == (Role.B, Role.A)
            assert left.eno.session_id == right.eno.session_id
            assert right.eno.peer_key and left.eno.peer_key is None
            assert SAID not in box.payload("left") + box.payload("right")
            assert box.payload("left").startswith(CLIENT_HELLO)
        finally:
            left.close()
            right.close()


@pytest.mark.parametrize(
    ("active", "passive", "tep"),
    [
        (["tls", "curve25519"], ["tls"], 0x30),
        (["tls"], ["curve25519", "tls"], 0x30),
        (["tls", "curve25519"], ["curve25519", "tls"], 0x23),
        (["curve25519", "tls"], ["tls", "curve25519"], 0x30),
        (["curve25519", "tls"], ["curve448", "curve25519"], 0x23),
        (["tls"], ["curve25519"], None),
    ],
)
def test_the_choice_is_made_at_run_time(
    wire: Wire, active: list[str], passive: list[str], tep: int | None
) -> None:
    """Host B's policy picks; hosts that share none talk plainly, and say why."""
    with pair(wire, Config(teps=active), Config(teps=passive)) as (a, b):
        both_ways(a, b, 1000)
        assert a.eno.tep == b.eno.tep == tep
        if tep is None:
            assert a.eno.reason is Reason.SYN_ACK_WITHOUT_ENO
        else:
            assert a.eno.session_id == b.eno.session_id


def test_a_host_without_it(wire: Wire) -> None:
    with served(wire, Config()) as listener, pytest.raises(EncryptionRequiredError):
        dialled(wire, listener.getsockname()[:2], TLS)


def test_modes_of_sockets(wire: Wire) -> None:
    """Timeouts, non-blocking, peeking; what it has not is refused."""
    with pair(wire, TLS, TLS) as (a, b):
        b.settimeout(0.05)
        with pytest.raises(TimeoutError):
            b.recv(10)
        b.setblocking(False)
        with pytest.raises(BlockingIOError):
            b.recv(10)
        b.settimeout(TIMEOUT)
        a.sendmsg([b"gath", b"ered"])
        assert b.recv(4, socket.MSG_PEEK) == b"gath" and b.recv(4) == b"gath"
        assert b.pending() == 4 and b.recv(100) == b"ered"
        with pytest.raises(LocalProtocolError, match="urgent"):
            a.send(b"x", socket.MSG_OOB)
        with pytest.raises(LocalProtocolError, match="no rekeying"):
            a.rekey()
        a.setblocking(False)
        sent = 0
        with pytest.raises(BlockingIOError):
            for _ in range(1000):
                sent += a.send(bytes(1 << 16))
        got = 0
        while got < sent:
            got += len(b.recv(1 << 20))
        assert got == sent


# -- ends -------------------------------------------------------------------------------------


def test_half_close(wire: Wire) -> None:
    """close_notify ends one direction; the other goes on (RFC 8446 section 6.1)."""
    with pair(wire, TLS, TLS) as (a, b):
        a.sendall(b"question")
        a.shutdown(socket.SHUT_WR)
        assert b.recv(100) == b"question" and b.recv(100) == b""
        b.sendall(b"answer")
        b.shutdown(socket.SHUT_WR)
        assert a.recv(100) == b"answer" and a.recv(100) == b""


Ending = Callable[[socket.socket, Connection], object]


def ended_by(wire: Wire, end: Ending, after: Ending = lambda raw, _: None) -> Any:
    """What a socket's reader gets that has read MARKER, when its raw peer ends so."""
    with (
        served(wire, TLS) as listener,
        raw_opened(wire.a, listener.getsockname()[:2]) as raw,
        listener.accept()[0] as b,
    ):
        b.settimeout(TIMEOUT)
        shaken = threading.Thread(target=b.do_handshake)
        shaken.start()
        connection = by_hand(raw)
        shaken.join()
        raw.sendall(connection.send(MARKER))
        assert b.recv(100) == MARKER
        end(raw, connection)
        try:
            return b.recv(100)
        except Exception as error:
            with pytest.raises(type(error)):
                b.recv(100)
            with pytest.raises(OSError):
                b.sendall(b"never plaintext")
            after(raw, connection)
            return error


def reset(raw: socket.socket, _: Connection) -> None:
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    raw.close()


def test_ends_of_the_peer(wire: Wire) -> None:
    """A close_notify, a FIN without it, a RST without it."""
    assert ended_by(wire, lambda raw, end: raw.sendall(end.send(b"", fin=True))) == b""
    fin = ended_by(wire, lambda raw, _: raw.shutdown(socket.SHUT_WR))
    assert isinstance(fin, TruncationError)
    torn = ended_by(
        wire, lambda raw, end: (raw.sendall(end.send(b"x" * 99)[:50]), raw.shutdown(1))
    )
    assert isinstance(torn, TruncationError)
    assert isinstance(ended_by(wire, reset), ConnectionResetError)


@pytest.mark.parametrize(
    "stream", [b"plaintext", b"\x17\x03\x03\x00\x40" + bytes(64)], ids=["plain", "forged"]
)
def test_bad_records_reset_the_connection(wire: Wire, stream: bytes) -> None:
    """The peer learns why: an alert comes ahead of the RST."""
    words: list[Exception] = []

    def hear(raw: socket.socket, connection: Connection) -> None:
        try:
            while data := raw.recv(1 << 16):
                connection.receive_data(data)
                connection.read(1)
        except Exception as error:
            words.append(error)

    error = ended_by(wire, lambda raw, _: raw.sendall(stream), hear)
    assert isinstance(error, RemoteProtocolError), error
    assert isinstance(words[0], AlertError), words
    assert words[0].alert in {"bad_record_mac", "unexpected_message"}


def test_a_peer_that_keeps_silent(wire: Wire) -> None:
    config = TLS.but(handshake_timeout=0.3)
    with (
        served(wire, config) as listener,
        raw_opened(wire.a, listener.getsockname()[:2]) as raw,
        listener.accept()[0] as b,
    ):
        with pytest.raises(pyeno.errors.HandshakeTimeoutError):
            b.do_handshake()
        with pytest.raises(ConnectionResetError):
            raw.recv(1)


def test_a_peer_that_speaks_something_else(wire: Wire) -> None:
    for words in b"GET / HTTP/1.1\r\n\r\n", b"\x15\x10\x1a\x0e" + bytes(70):
        with (
            served(wire, TLS) as listener,
            raw_opened(wire.a, listener.getsockname()[:2]) as raw,
        ):
            raw.sendall(words)
            with listener.accept()[0] as b, pytest.raises(TlsError, match="no TLS record"):
                b.recv(100)
            with pytest.raises(ConnectionResetError):
                raw.recv(1)


# -- a man in the middle -------------------------------------------------------

MIXED = Config(teps=["tls", "curve25519"], require=True)
ALTERED = {
    "a TEP taken out of the SYN": ("syn", b"\x45\x03\x30"),
    "a TEP put into the SYN": ("syn", b"\x45\x05\x30\x23\x21"),
    "TEPs in another order": ("syn", b"\x45\x04\x30\x23"),
    "the application-aware bit set": ("syn", b"\x45\x05\x02\x30\x23"),
    "a bit of the SYN-ACK": ("syn-ack", b"\x45\x04\x03\x30"),
}


@pytest.mark.rfc("8547:4.8-1")
@pytest.mark.parametrize("name", ALTERED)
def test_altered_options(box: Middlebox, name: str) -> None:
    """TLS is agreed on all the same, and fails at both ends; nothing is sent."""
    kind, option = ALTERED[name]
    b_config = TLS.but(teps=["tls"])
    hook = hooks.replace_eno(kind, option)
    with crossing(box, hook, config=b_config, a_config=MIXED) as cross:
        a, b = cross.both()
        assert isinstance(b.error, TranscriptError) and "saw other" in str(b.error)
        assert isinstance(a.error, TranscriptError), repr(a.error)
        assert "no_application_protocol" in str(a.error)
        cross.wait_rst()
        assert SAID not in cross.payload("right") + cross.payload("left")
        assert cross.payload("right").startswith(CLIENT_HELLO)


@pytest.mark.parametrize("direction", ["right", "left"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_bit_flipped_on_the_way(box: Middlebox, direction: str, number: int) -> None:
    """In the handshake or in data: an error at one end at least, and never a wrong byte."""
    when = hooks.nth(hooks.moving(direction, hooks.kind("data")), {number})
    say = (os.urandom(20000), os.urandom(20000))
    with crossing(box, hooks.flip(when, bit=77), config=TLS, a_config=TLS, say=say) as cross:
        a, b = cross.both()
        for side, said in ((a, say[1]), (b, say[0])):
            assert said.startswith(side.data)
        errors = (a.error, b.error, a.sending_error, b.sending_error)
        assert any(isinstance(error, RemoteProtocolError) for error in errors), errors
