"""Host B of TLS 1.3 by hand, from RFC 8446 alone: no TLS library, and any message wrong
where a test wants it wrong.

One suite (TLS_AES_128_GCM_SHA256), one group (X25519), one signature (P-256).
"""

import hashlib
import hmac
import os
from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
SERVER_HELLO, NEW_SESSION_TICKET, ENCRYPTED_EXTENSIONS, CERTIFICATE = 2, 4, 8, 11
CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, FINISHED, KEY_UPDATE = 13, 15, 20, 24
SUITE, GROUP, TLS_1_3, ECDSA = 0x1301, 0x001D, 0x0304, 0x0403
ALPN, SUPPORTED_VERSIONS, KEY_SHARE = 16, 43, 51


def u16(number: int) -> bytes:
    return number.to_bytes(2, "big")


def vector(data: bytes, size: int) -> bytes:
    """With a length of ``size`` bytes in front (section 3.4)."""
    return len(data).to_bytes(size, "big") + data


def message(kind: int, body: bytes) -> bytes:
    """Section 4."""
    return bytes([kind]) + vector(body, 3)


def record(kind: int, body: bytes) -> bytes:
    """Section 5.1."""
    return bytes([kind]) + b"\x03\x03" + vector(body, 2)


def records(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, body) of each whole record."""
    while len(stream) >= 5 and len(stream) >= 5 + (size := int.from_bytes(stream[3:5], "big")):
        yield stream[0], stream[5 : 5 + size]
        stream = stream[5 + size :]


def extension(kind: int, body: bytes) -> bytes:
    return u16(kind) + vector(body, 2)


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def expand_label(secret: bytes, label: bytes, context: bytes, size: int) -> bytes:
    """Section 7.1."""
    info = u16(size) + vector(b"tls13 " + label, 1) + vector(context, 1)
    return HKDFExpand(hashes.SHA256(), size, info).derive(secret)


def derive_secret(secret: bytes, label: bytes, messages: bytes) -> bytes:
    return expand_label(secret, label, digest(messages), 32)


def extract(salt: bytes, keying: bytes) -> bytes:
    return hmac.digest(salt, keying, "sha256")


class Direction:
    """Records under one traffic secret (sections 5.2, 5.3, 7.3)."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self.aead = AESGCM(expand_label(secret, b"key", b"", 16))
        self.iv = int.from_bytes(expand_label(secret, b"iv", b"", 12), "big")
        self.number = 0

    def _nonce(self) -> bytes:
        self.number += 1
        return (self.iv ^ (self.number - 1)).to_bytes(12, "big")

    def seal(self, kind: int, content: bytes) -> bytes:
        inner = content + bytes([kind])
        header = b"\x17\x03\x03" + u16(len(inner) + 16)
        return header + self.aead.encrypt(self._nonce(), inner, header)

    def open(self, body: bytes) -> tuple[int, bytes]:
        header = b"\x17\x03\x03" + u16(len(body))
        inner = self.aead.decrypt(self._nonce(), body, header).rstrip(b"\0")
        return inner[-1], inner[:-1]

    def next(self) -> "Direction":
        """After a KeyUpdate (section 7.2)."""
        return Direction(expand_label(self.secret, b"traffic upd", b"", 32))


class HostB:
    """Answers one ClientHello; then seals and opens records."""

    def __init__(self, name: bytes, certificate: bytes, key: ec.EllipticCurvePrivateKey):
        self.name = name
        self.certificate = certificate
        self.key = key
        self.suite, self.version = SUITE, TLS_1_3
        self.spoilt_signature = self.spoilt_finished = False
        self.request = b""
        """a CertificateRequest to send"""
        self.ecdhe = X25519PrivateKey.generate()

    def answer(self, client_hello: bytes) -> bytes:
        """Sections 4.1.3 to 4.4.4, for the record that host A sent first."""
        hello = client_hello[5:]
        share, session = self._read(hello)
        shared = self.ecdhe.exchange(X25519PublicKey.from_public_bytes(share))
        server_hello = self._server_hello(session)
        self.messages = hello + server_hello
        early = extract(bytes(32), bytes(32))
        secret = extract(derive_secret(early, b"derived", b""), shared)
        self.to_a = Direction(derive_secret(secret, b"s hs traffic", self.messages))
        self.from_a = Direction(derive_secret(secret, b"c hs traffic", self.messages))
        self.master = extract(derive_secret(secret, b"derived", b""), bytes(32))
        flight = b"".join(self._flight())
        return record(HANDSHAKE, server_hello) + self.to_a.seal(HANDSHAKE, flight)

    def _read(self, hello: bytes) -> tuple[bytes, bytes]:
        """(X25519 share, legacy_session_id) (section 4.1.2)."""
        at = 4 + 2 + 32
        session = hello[at + 1 : at + 1 + hello[at]]
        at += 1 + len(session)
        at += 2 + int.from_bytes(hello[at : at + 2], "big")
        at += 1 + hello[at] + 2
        while at < len(hello):
            kind, size = (int.from_bytes(hello[at + n : at + n + 2], "big") for n in (0, 2))
            body, at = hello[at + 4 : at + 4 + size], at + 4 + size
            if kind == KEY_SHARE:
                return dict(self._shares(body[2:]))[GROUP], session
        raise AssertionError("no key_share")

    @staticmethod
    def _shares(shares: bytes) -> Iterator[tuple[int, bytes]]:
        while shares:
            size = int.from_bytes(shares[2:4], "big")
            yield int.from_bytes(shares[:2], "big"), shares[4 : 4 + size]
            shares = shares[4 + size :]

    def _server_hello(self, session: bytes) -> bytes:
        public = self.ecdhe.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        extensions = extension(SUPPORTED_VERSIONS, u16(self.version)) + extension(
            KEY_SHARE, u16(GROUP) + vector(public, 2)
        )
        head = b"\x03\x03" + os.urandom(32) + vector(session, 1) + u16(self.suite) + b"\0"
        return message(SERVER_HELLO, head + vector(extensions, 2))

    def _flight(self) -> Iterator[bytes]:
        names = vector(vector(self.name, 1), 2) if self.name else b""
        alpn = extension(ALPN, names) if self.name else b""
        yield self._said(message(ENCRYPTED_EXTENSIONS, vector(alpn, 2)))
        if self.request:
            yield self._said(self.request)
        entry = vector(self.certificate, 3) + vector(b"", 2)
        yield self._said(message(CERTIFICATE, vector(b"", 1) + vector(entry, 3)))
        signed = b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + digest(self.messages)
        signature = bytearray(self.key.sign(signed, ec.ECDSA(hashes.SHA256())))
        signature[-1] ^= self.spoilt_signature
        yield self._said(message(CERTIFICATE_VERIFY, u16(ECDSA) + vector(bytes(signature), 2)))
        finished = bytearray(self._verify_data(self.to_a))
        finished[-1] ^= self.spoilt_finished
        yield self._said(message(FINISHED, bytes(finished)))

    def _said(self, text: bytes) -> bytes:
        self.messages += text
        return text

    def _verify_data(self, direction: Direction) -> bytes:
        key = expand_label(direction.secret, b"finished", b"", 32)
        return hmac.digest(key, digest(self.messages), "sha256")

    def finish(self, stream: bytes) -> bytes:
        """Host A's Finished (and nothing else but what middleboxes like to see); what
        follows it is returned.  Traffic keys from now on."""
        while stream:
            kind, body = next(records(stream))
            stream = stream[5 + len(body) :]
            if kind == APPLICATION_DATA:
                kind, content = self.from_a.open(body)
                assert kind == HANDSHAKE
                assert content == message(FINISHED, self._verify_data(self.from_a))
                break
            assert kind == CHANGE_CIPHER_SPEC
        self.exporter = derive_secret(self.master, b"exp master", self.messages)
        self.from_a = Direction(derive_secret(self.master, b"c ap traffic", self.messages))
        self.to_a = Direction(derive_secret(self.master, b"s ap traffic", self.messages))
        return stream

    def export(self, label: bytes, context: bytes, size: int) -> bytes:
        """Section 7.5."""
        secret = derive_secret(self.exporter, label, b"")
        return expand_label(secret, b"exporter", digest(context), size)

    def update(self, *, requested: bool) -> bytes:
        """A KeyUpdate (section 4.6.3): what is sealed later has the next keys."""
        sealed = self.to_a.seal(HANDSHAKE, message(KEY_UPDATE, bytes([requested])))
        self.to_a = self.to_a.next()
        return sealed
