"""Host B's certificate and its signature: whatever is wrong with them has its own error."""

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.tls_ends import (
    CERTIFICATE,
    IDENTITY,
    fails,
    host,
    one,
)

from pyeno import Role
from pyeno.errors import AuthenticationError
from pyeno.tls.errors import (
    CertificateError,
    TlsError,
)


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
