"""RFC 8548 section 5: one key-agreement scheme per TEP.

A scheme turns a private key into the Pub field as transmitted, and a private key with the
remote Pub field into ES.  Curve25519 and Curve448 send bare keys; the NIST curves send a
compressed point behind a two-byte pubkey_len.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from . import OracleError


class Scheme(ABC):
    """`field_len`: bytes of Pub_A and Pub_B on the wire; `private_len`: of a private key."""

    name: str
    field_len: int
    private_len: int

    def private(self, seed: bytes) -> bytes:
        """A private key from `private_len` random bytes."""
        return seed

    @abstractmethod
    def public(self, private: bytes) -> bytes:
        """The Pub field for a private key."""

    @abstractmethod
    def shared(self, private: bytes, remote: bytes) -> bytes:
        """ES.  Raises OracleError("bad-public-key") where section 5 says to abort."""


class X25519(Scheme):
    name, field_len, private_len = "Curve25519", 32, 32

    def public(self, private: bytes) -> bytes:
        key = x25519.X25519PrivateKey.from_private_bytes(private)
        return key.public_key().public_bytes_raw()

    def shared(self, private: bytes, remote: bytes) -> bytes:
        key = x25519.X25519PrivateKey.from_private_bytes(private)
        try:  # raises when the result is all zero (RFC 7748 section 6)
            return key.exchange(x25519.X25519PublicKey.from_public_bytes(remote))
        except ValueError:
            raise OracleError("bad-public-key", remote.hex()) from None


class X448(Scheme):
    name, field_len, private_len = "Curve448", 56, 56

    def public(self, private: bytes) -> bytes:
        key = x448.X448PrivateKey.from_private_bytes(private)
        return key.public_key().public_bytes_raw()

    def shared(self, private: bytes, remote: bytes) -> bytes:
        key = x448.X448PrivateKey.from_private_bytes(private)
        try:
            return key.exchange(x448.X448PublicKey.from_public_bytes(remote))
        except ValueError:
            raise OracleError("bad-public-key", remote.hex()) from None


@dataclass(frozen=True)
class Nist(Scheme):
    """ECDHE-P256 and ECDHE-P521.

    The figure of section 5 puts the last byte of pubkey at L - 1 counted from the first byte
    of pubkey_len, so L counts its own two bytes: `counts_itself`.  A peer that sends the bare
    length (33, 67) is understood too; the field has the same size either way.
    """

    name: str
    curve: ec.EllipticCurve
    point_len: int
    order: int
    counts_itself: bool = True

    @property
    def field_len(self) -> int:  # type: ignore[override]
        return 2 + self.point_len

    @property
    def private_len(self) -> int:  # type: ignore[override]
        return self.point_len - 1

    def private(self, seed: bytes) -> bytes:
        scalar = int.from_bytes(seed, "big") % (self.order - 1) + 1
        return scalar.to_bytes(self.private_len, "big")

    def _key(self, private: bytes) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(int.from_bytes(private, "big"), self.curve)

    def public(self, private: bytes) -> bytes:
        point = self._key(private).public_key()
        octets = point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        length = self.field_len if self.counts_itself else self.point_len
        return length.to_bytes(2, "big") + octets

    def shared(self, private: bytes, remote: bytes) -> bytes:
        length, point = int.from_bytes(remote[:2], "big"), remote[2:]
        if length not in (self.field_len, self.point_len) or len(point) != self.point_len:
            raise OracleError("bad-public-key", f"pubkey_len {length}")
        if point[0] not in (2, 3):  # "MUST encode these pubkey values in compressed format"
            raise OracleError("bad-public-key", f"first octet {point[0]:#x}")
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(self.curve, point)
        except ValueError:
            raise OracleError("bad-public-key", remote.hex()) from None
        return self._key(private).exchange(ec.ECDH(), key)


_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P521_ORDER = int(
    "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
    "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
    16,
)

SCHEMES: dict[int, Scheme] = {
    0x21: Nist("P256", ec.SECP256R1(), 33, _P256_ORDER),
    0x22: Nist("P521", ec.SECP521R1(), 67, _P521_ORDER),
    0x23: X25519(),
    0x24: X448(),
}
