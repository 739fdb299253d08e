"""What a TLS peer, or somebody on the path, can do wrong: each ends the connection with an
error of its own, and no byte of plaintext comes of it."""

import datetime
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from oracle import tls as by_hand
from unit.tls_ends import IDENTITY, NAME, OTHER, TLS, TRANSCRIPT, Foreign, one, pair, pem, shake

from pyeno import Aead, Config, Role
from pyeno.errors import AuthenticationError, RemoteProtocolError, TepError
from pyeno.tls.binding import HANDSHAKE_FAILURE, NO_APPLICATION_PROTOCOL, protocol_name
from pyeno.tls.connection import Connection
from pyeno.tls.errors import (
    ALERTS,
    AlertError,
    CertificateError,
    DowngradeError,
    TlsError,
    TranscriptError,
)

CERTIFICATE = IDENTITY.certificate.public_bytes(Encoding.DER)
# RFC 8446 section 6, RFC 7301 section 3.2
NUMBERS = {
    10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow",
    40: "handshake_failure", 42: "bad_certificate", 43: "unsupported_certificate",
    44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
    47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
    51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security",
    80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled",
    109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name",
    113: "bad_certificate_status_response", 115: "unknown_psk_identity",
    116: "certificate_required", 120: "no_application_protocol",
}  # fmt: skip


def fails(
    kind: type[Exception], end: Connection, stream: bytes, says: str | None = None
) -> Exception:
    """Taking this raises exactly that kind, at once or when it is read; then no data come."""
    established = end.established
    with pytest.raises(kind, match=says) as caught:
        end.receive_data(stream)
        assert established
        end.read(100)
    assert type(caught.value) is kind and isinstance(caught.value, RemoteProtocolError)
    assert "connection aborted" in str(caught.value).lower()
    if established:
        with pytest.raises(kind):
            end.read(100)
    else:
        assert not end.established
    return caught.value


def host(**wishes: Any) -> by_hand.HostB:
    made = by_hand.HostB(NAME, CERTIFICATE, IDENTITY.key)
    for name, value in wishes.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    return made


def met() -> tuple[Connection, by_hand.HostB]:
    """Host A, and host B by hand, keys agreed."""
    a, b = one(Role.A), host()
    a.receive_data(b.answer(a.data_to_send()))
    b.finish(a.data_to_send())
    return a, b


# -- alerts -----------------------------------------------------------------------------


def test_the_names_of_alerts() -> None:
    assert set(NUMBERS.values()) | {"close_notify"} == ALERTS


@pytest.mark.parametrize("number", sorted(set(NUMBERS) - {120}))
@pytest.mark.parametrize("when", ["handshake", "records"])
def test_alerts_have_their_names(number: int, when: str) -> None:
    body = bytes((2, number))
    if (number, when) == (90, "records"):
        when = "handshake"  # user_canceled is a warning there, whatever level it claims
    if when == "handshake":
        a = one(Role.A)
        a.data_to_send()
        stream = by_hand.record(by_hand.ALERT, body)
    else:
        a, b = met()
        stream = b.to_a.seal(by_hand.ALERT, body)
    error = fails(AlertError, a, stream, NUMBERS[number])
    assert isinstance(error, AlertError) and error.alert == NUMBERS[number]
    assert a.last_words() == b""  # an alert is not answered by another


def test_alerts_without_a_name() -> None:
    a, b = met()
    fails(AlertError, a, b.to_a.seal(by_hand.ALERT, b"\2\xc8"), "unknown")


def test_a_cleartext_alert_ends_nothing_once_there_are_keys() -> None:
    """A forged close_notify is no end of the stream."""
    a, _ = met()
    fails(TlsError, a, by_hand.record(by_hand.ALERT, b"\1\0"))
    assert not a.ended


# -- the binding ------------------------------------------------------------------------


@pytest.mark.rfc("8547:4.8-1")
@pytest.mark.parametrize("flip", range(len(TRANSCRIPT)))
def test_altered_options_fail_the_handshake_at_both_ends(flip: int) -> None:
    altered = bytearray(TRANSCRIPT)
    altered[flip] ^= 1
    a, b = one(Role.A), one(Role.B, transcript=bytes(altered))
    error = fails(TranscriptError, b, a.data_to_send(), "saw other ENO options")
    assert TRANSCRIPT.hex() in str(error) and altered.hex() in str(error)
    words = b.last_words()
    assert words == NO_APPLICATION_PROTOCOL and not b.owes
    fails(TranscriptError, a, words, "no_application_protocol")


@pytest.mark.parametrize(
    ("names", "words", "says"),
    [
        ((), HANDSHAKE_FAILURE, "no ALPN"),
        ((b"h2",), NO_APPLICATION_PROTOCOL, "1 names, 0 of ENO options"),
        ((protocol_name(OTHER),), NO_APPLICATION_PROTOCOL, OTHER.hex()),
        ((NAME, b"h2"), NO_APPLICATION_PROTOCOL, "2 names, 1 of ENO options"),
        ((protocol_name(OTHER), NAME), NO_APPLICATION_PROTOCOL, "2 names, 2 of"),
    ],
)
def test_host_a_must_offer_the_transcript_and_nothing_else(
    names: tuple[bytes, ...], words: bytes, says: str
) -> None:
    foreign, b = Foreign(Role.A, names=names), one(Role.B)
    foreign.shake()
    fails(TranscriptError, b, foreign.outgoing.read(), says)
    assert b.last_words() == words
    foreign.incoming.write(words)
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure|no.application.protocol"):
        foreign.shake()


def test_host_b_must_select_it() -> None:
    a = one(Role.A)
    fails(TranscriptError, a, host(name=b"").answer(a.data_to_send()), "without selecting")
    assert not a.owes  # no Finished


@pytest.mark.parametrize("name", [b"h2", NAME + b"0", protocol_name(OTHER)])
def test_host_b_must_select_nothing_else(name: bytes) -> None:
    a = one(Role.A)
    fails(TlsError, a, host(name=name).answer(a.data_to_send()))


def test_who_alters_the_hello_too_is_found_out() -> None:
    """He makes both ends see their own transcript; Finished covers what he changed."""
    altered = TRANSCRIPT.replace(b"\x30", b"\x21", 1)
    a, b = one(Role.A), one(Role.B, transcript=altered)
    hello = a.data_to_send()
    assert hello.count(NAME) == 1
    b.receive_data(hello.replace(NAME, protocol_name(altered)))
    fails(AuthenticationError, a, b.data_to_send())
    fails(AlertError, b, a.last_words(), "bad_record_mac")


# -- downgrades ---------------------------------------------------------------------------


def test_no_older_version(tmp_path: Path) -> None:
    """Host A that knows TLS 1.2 only, then host B."""
    version = ssl.TLSVersion.TLSv1_2
    foreign, b = Foreign(Role.A, version=version), one(Role.B)
    foreign.shake()
    fails(DowngradeError, b, foreign.outgoing.read(), "unsupported protocol")
    foreign.incoming.write(b.last_words())
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        foreign.shake()
    foreign, a = Foreign(Role.B, pem(tmp_path / "pem"), version=version), one(Role.A)
    foreign.incoming.write(a.data_to_send())
    with pytest.raises(ssl.SSLError, match=r"(?i)unsupported.protocol"):
        foreign.shake()
    error = fails(AlertError, a, foreign.outgoing.read(), "protocol_version")
    assert isinstance(error, AlertError)


@pytest.mark.parametrize("version", [0x0301, 0x0302, 0x0303, 0x0305, 0x7F1C])
def test_a_hello_that_chooses_another_version(version: int) -> None:
    a = one(Role.A)
    fails(DowngradeError, a, host(version=version).answer(a.data_to_send()), "version")


@pytest.mark.parametrize(
    "suite",
    [0x1304, 0x1305, 0xC0B4, 0xC0B5, 0xC02B, 0x002F, 0x0000],
    ids=["CCM", "CCM_8", "SHA256 alone", "SHA384 alone", "of TLS 1.2", "CBC", "null"],
)
def test_a_hello_that_chooses_a_suite_not_offered(suite: int) -> None:
    a = one(Role.A)
    fails(DowngradeError, a, host(suite=suite).answer(a.data_to_send()), "cipher returned")


@pytest.mark.rfc("8547:5-5")
def test_nothing_but_the_three_suites_is_offered() -> None:
    hello = one(Role.A).data_to_send()[5:]
    at = 4 + 2 + 32
    at += 1 + hello[at]
    size = int.from_bytes(hello[at : at + 2], "big")
    suites = {int.from_bytes(hello[at + n : at + n + 2], "big") for n in range(2, size + 2, 2)}
    assert suites - {0x00FF} == {0x1301, 0x1302, 0x1303}  # 0x00ff signals, and is no suite


def test_a_peer_that_knows_other_suites_only() -> None:
    a, b = raw_a(b"TLS_AES_128_CCM_SHA256"), one(Role.B)
    fails(DowngradeError, b, a.bio_read(1 << 16), "no shared cipher")
    assert b.last_words()[5:] == bytes((2, 40))


def test_policies_that_share_no_suite() -> None:
    a = one(Role.A, Config(teps=["tls"], aeads=[Aead.CHACHA20_POLY1305]))
    b = one(Role.B, Config(teps=["tls"], aeads=[Aead.AES_128_GCM]))
    fails(DowngradeError, b, a.data_to_send(), "no shared cipher")
    fails(AlertError, a, b.last_words(), "handshake_failure")


def raw_a(suites: bytes) -> SSL.Connection:
    """Host A by OpenSSL, with suites of its own choice."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_tls13_ciphersuites(suites)
    connection = SSL.Connection(context, None)
    connection.set_alpn_protos([NAME])
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    return connection


@pytest.mark.rfc("8547:5-4")
def test_a_group_below_120_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8547 section 5.  OpenSSL offers ffdhe2048 last; a peer that has nothing else gets
    it, and is refused before any data."""
    for role in Role:
        monkeypatch.setattr(SSL.Connection, "get_group_name", lambda self: "ffdhe2048")
        foreign, end = Foreign(role.opposite, pem(tmp_path / "pem")), one(role)
        with pytest.raises(DowngradeError, match="ffdhe2048"):
            foreign.meet(end)
        assert not end.established


@pytest.mark.parametrize("group", ["prime256v1", "X25519"])
def test_the_groups_that_every_peer_may_have(tmp_path: Path, group: str) -> None:
    """A peer with one of them only; host B asks host A for it, where it must."""
    for role in Role:
        foreign, end = Foreign(role.opposite, pem(tmp_path / "pem")), one(role)
        context = foreign.tls.context
        context.set_ecdh_curve(group)
        foreign.tls = context.wrap_bio(
            foreign.incoming, foreign.outgoing, server_side=role is Role.A
        )
        foreign.meet(end)
        assert end.established


# -- certificates ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [b"", b"garbage", bytes(3000), b"\x30\x00", CERTIFICATE[:-1], CERTIFICATE + b"x",
     CERTIFICATE.replace(b"700101000000Z", b"7001010000xxZ")],
)  # fmt: skip
def test_certificate_garbage(garbage: bytes) -> None:
    a = one(Role.A)
    fails(CertificateError, a, host(certificate=garbage).answer(a.data_to_send()))
    assert a.peer_key is None and not a.owes


@given(at=st.integers(0, len(CERTIFICATE) - 1), flip=st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_certificates_with_a_byte_changed(at: int, flip: int) -> None:
    """Either the key is still the one that signed, or the handshake fails."""
    spoilt = bytearray(CERTIFICATE)
    spoilt[at] ^= flip
    a = one(Role.A)
    flight = host(certificate=bytes(spoilt)).answer(a.data_to_send())
    try:
        a.receive_data(flight)
    except (TlsError, AuthenticationError):
        assert not a.established and a.peer_key is None
    else:
        assert a.peer_key is not None and a.peer_key in CERTIFICATE


def certificate(*extensions: Any) -> bytes:
    name = x509.Name([])
    day = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, IDENTITY.key.public_key(), 1, day, day)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(IDENTITY.key, hashes.SHA256()).public_bytes(Encoding.DER)


def usage(**wishes: bool) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: wishes.get(name, False) for name in names})


def test_key_usage() -> None:
    """RFC 8446 section 4.4.2.2; names and dates do not matter."""
    for good in certificate(), certificate(usage(digital_signature=True)):
        a = one(Role.A)
        a.receive_data(host(certificate=good).answer(a.data_to_send()))
        assert a.established
    a, bad = one(Role.A), certificate(usage(key_agreement=True))
    fails(CertificateError, a, host(certificate=bad).answer(a.data_to_send()), "Signature")
    a, bad = (
        one(Role.A),
        certificate(usage(digital_signature=True)).replace(
            b"\x04\x04\x03\x02\x07\x80", b"\x04\x04\x09\x02\x07\x80"
        ),
    )
    fails(CertificateError, a, host(certificate=bad).answer(a.data_to_send()), "read")


@pytest.mark.parametrize("spoilt", ["spoilt_signature", "spoilt_finished"])
def test_forged_handshakes(spoilt: str) -> None:
    a = one(Role.A)
    fails(AuthenticationError, a, host(**{spoilt: True}).answer(a.data_to_send()))
    assert len(a.last_words()) > 5


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
