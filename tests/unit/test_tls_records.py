"""TLS records that are altered, misplaced or too many: no byte of plaintext comes of them."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import tls as by_hand
from unit.tls_ends import TLS, fails, met, one, pair, shake

from pyeno import Role
from pyeno.errors import AuthenticationError, RemoteProtocolError, TepError
from pyeno.tls.errors import (
    TlsError,
)

# -- what comes where it must not -------------------------------------------------------------

STRANGERS = {
    "text": b"SSH-2.0-OpenSSH_9.2p1 Debian",
    "http": b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",
    "tcpcrypt": bytes.fromhex("15101a0e") + bytes(80),
    "zeros": bytes(100),
    "application data": by_hand.record(by_hand.APPLICATION_DATA, b"data before the handshake"),
    "close_notify first": by_hand.record(by_hand.ALERT, b"\1\0"),
    "change_cipher_spec first": by_hand.record(by_hand.CHANGE_CIPHER_SPEC, b"\1"),
    "a record too long": b"\x16\x03\x03\xff\xff" + bytes(100),
    "an unknown type": by_hand.record(99, b"x"),
    "a hello of nothing": by_hand.record(by_hand.HANDSHAKE, by_hand.message(1, b"")),
    "a message of its own role": by_hand.record(22, by_hand.message(2, bytes(40))),
}  # fmt: skip


def test_a_close_notify_in_the_handshake() -> None:
    a, b = one(Role.A), one(Role.B)
    b.receive_data(a.data_to_send())
    b.data_to_send()
    fails(TlsError, b, STRANGERS["close_notify first"])
    a = one(Role.A)
    a.data_to_send()
    fails(TlsError, a, STRANGERS["close_notify first"], "in the middle of the handshake")


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("what", STRANGERS)
def test_no_handshake(role: Role, what: str) -> None:
    end = one(role)
    end.data_to_send()
    with pytest.raises((TlsError, AuthenticationError)) as caught:
        end.receive_data(STRANGERS[what])
        end.receive_eof()
    assert isinstance(caught.value, RemoteProtocolError) and not end.established
    assert not end.owes


AFTER: dict[str, Callable[[by_hand.HostB], bytes]] = {
    "a record of no key": lambda b: by_hand.record(by_hand.APPLICATION_DATA, bytes(40)),
    "plaintext": lambda b: b"plaintext, as from somebody who lost his keys",
    "a cleartext handshake": lambda b: by_hand.record(by_hand.HANDSHAKE, bytes(40)),
    "a hello request": lambda b: b.to_a.seal(by_hand.HANDSHAKE, by_hand.message(0, b"")),
    "an unknown message": lambda b: b.to_a.seal(by_hand.HANDSHAKE, by_hand.message(99, b"")),
    "a wish to know the client": lambda b: b.to_a.seal(by_hand.HANDSHAKE, REQUEST),
    "a bad KeyUpdate": lambda b: b.to_a.seal(
        by_hand.HANDSHAKE, by_hand.message(by_hand.KEY_UPDATE, b"\2")
    ),
    "an unknown type": lambda b: b.to_a.seal(99, b"x"),
    "too much in a record": lambda b: b.to_a.seal(by_hand.APPLICATION_DATA, bytes(16385)),
}
REQUEST = by_hand.message(
    by_hand.CERTIFICATE_REQUEST,
    b"\1x" + by_hand.vector(by_hand.extension(13, b"\0\2\4\3"), 2),
)


@pytest.mark.parametrize("what", AFTER)
def test_bad_records(what: str) -> None:
    """What came before is read first; then the error, for ever."""
    a, b = met()
    a.receive_data(b.to_a.seal(by_hand.APPLICATION_DATA, b"good") + AFTER[what](b))
    assert a.read(100) == b"good"
    for _ in range(2):
        with pytest.raises((TlsError, AuthenticationError)):
            a.read(100)
    assert b.from_a.open(next(by_hand.records(a.last_words()))[1])[0] == by_hand.ALERT
    a.receive_data(b"more")
    assert a.buffered


@given(at=st.integers(0, 10**6), flip=st.integers(1, 255))
@settings(max_examples=100, deadline=None)
@pytest.mark.rfc("8547:5-2")
def test_every_byte_of_a_record_is_authenticated(at: int, flip: int) -> None:
    a, b = pair()
    stream = bytearray(a.send(b"secret data" * 9))
    stream[at % len(stream)] ^= flip
    with pytest.raises((TlsError, AuthenticationError, RemoteProtocolError)):
        b.receive_data(stream)
        assert b.read(100) == b""
        b.receive_eof()
    assert b.awaited == 0


@given(at=st.integers(0, 10**6), flip=st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_every_byte_of_the_handshake_is_authenticated(at: int, flip: int) -> None:
    """Whatever is changed on the way, no two ends are established that do not agree; and no
    code of ours is to blame."""
    a, b = one(Role.A), one(Role.B)
    changed = False
    try:
        for here, there in ((a, b), (b, a), (a, b), (b, a)):
            stream = bytearray(here.data_to_send())
            if stream and not changed and at % 3 == (here is b):
                stream[at // 3 % len(stream)] ^= flip
                changed = True
            there.receive_data(stream)
            there.receive_eof() if not stream and not there.established else None
        shake(a, b)
        b.receive_data(a.send(b"x"))
        assert b.read(1) in (b"x", b"")
    except TepError:
        raise
    except RemoteProtocolError:
        return
    assert not (a.established and b.established) or a.session_id == b.session_id


def test_records_out_of_order_or_twice() -> None:
    for order in (b"21", b"11", b"2"):
        a, b = pair()
        first, second = a.send(b"first"), a.send(b"second")
        stream = b"".join(first if each == ord("1") else second for each in order)
        b.receive_data(stream)
        got = b.read(5) if order == b"11" else b""
        assert got in (b"", b"first")
        with pytest.raises(AuthenticationError):
            b.read(100)


@pytest.mark.parametrize("cut", [0, 1, 3, 10])
@pytest.mark.parametrize("more", [b"x", by_hand.record(23, b"no more"), bytes(100)])
def test_nothing_follows_close_notify(more: bytes, cut: int) -> None:
    """Not in the same read either: RFC 8446 section 6.1 says "ignored", RFC 8547 section 5
    that the end of the stream is authenticated."""
    a, b = pair()
    stream = a.send(b"last", fin=True) + more
    b.receive_data(stream[: len(stream) - cut])
    assert b.read(100) == b"last"
    b.receive_data(stream[len(stream) - cut :])
    with pytest.raises(RemoteProtocolError, match=r"follows? the"):
        b.read(100)


# -- KeyUpdate ------------------------------------------------------------------------------


def test_key_updates_of_the_peer() -> None:
    """Data go on under new keys; a wish for this host's is answered ahead of the next data
    (RFC 8446 section 4.6.3)."""
    a, b = met()
    for turn in range(3):
        a.receive_data(b.update(requested=bool(turn)))
        a.receive_data(b.to_a.seal(by_hand.APPLICATION_DATA, b"under new keys"))
        assert a.read(100) == b"under new keys"
        stream = a.send(b"answer")
        told = []
        for _, body in by_hand.records(stream):
            kind, content = b.from_a.open(body)
            told.append(kind)
            if kind == by_hand.HANDSHAKE:
                assert content == by_hand.message(by_hand.KEY_UPDATE, b"\0")
                b.from_a = b.from_a.next()
        assert told == [by_hand.HANDSHAKE] * bool(turn) + [by_hand.APPLICATION_DATA]


def test_no_answer_after_the_end() -> None:
    a, b = met()
    kind, content = b.from_a.open(next(by_hand.records(a.send(b"", fin=True)))[1])
    assert (kind, content) == (by_hand.ALERT, b"\1\0")
    a.receive_data(b.update(requested=True))
    a.receive_data(b.to_a.seal(by_hand.APPLICATION_DATA, b"still to be read"))
    assert a.read(100) == b"still to be read" and not a.owes


def test_a_flood_of_key_updates_takes_no_memory() -> None:
    a, b = met()
    with pytest.raises(TlsError, match="KeyUpdates"):
        for _ in range(1000):
            a.receive_data(b.update(requested=True))
            a.read(1)
    assert len(a.last_words()) < 5000
    a, b = met()
    for _ in range(1000):
        a.receive_data(b.update(requested=True))
        a.data_to_send()
    a.receive_data(b.to_a.seal(by_hand.APPLICATION_DATA, b"fine"))
    assert a.read(9) == b"fine"


def test_tickets_are_ignored() -> None:
    a, b = met()
    ticket = bytes(8) + b"\1n" + by_hand.vector(b"ticket", 2) + by_hand.vector(b"", 2)
    message = by_hand.message(by_hand.NEW_SESSION_TICKET, ticket)
    a.receive_data(b.to_a.seal(by_hand.HANDSHAKE, message))
    a.receive_data(b.to_a.seal(by_hand.APPLICATION_DATA, b"data"))
    assert a.read(9) == b"data" and TLS.keylog is None
