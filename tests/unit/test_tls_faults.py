"""What a TLS peer, or somebody on the path, can do wrong in the handshake: each ends the
connection with an error of its own, and no byte of plaintext comes of it."""

import ssl
from pathlib import Path

import pytest
from OpenSSL import SSL
from oracle import tls as by_hand
from unit.tls_ends import NAME, OTHER, TRANSCRIPT, Foreign, fails, host, met, one, pem

from pyeno import Aead, Config, Role
from pyeno.errors import AuthenticationError
from pyeno.tls.binding import HANDSHAKE_FAILURE, NO_APPLICATION_PROTOCOL, protocol_name
from pyeno.tls.errors import (
    ALERTS,
    AlertError,
    DowngradeError,
    TlsError,
    TranscriptError,
)

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
