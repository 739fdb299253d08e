"""ECDH by ``cryptography``: what the compiled core and its pure twin know of it.

A private key is loaded from a buffer that the caller fills and wipes: ``head``,
the key with its first byte under ``mask``, ``tail``.  What is made of it lives
in OpenSSL, which clears it when the key object goes.
"""

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
)

from pyeno.constants import ECDHE, Tep


class Nist:
    """P-256 and P-521.

    The private key is loaded as an ECPrivateKey (RFC 5915 section 3):
    ``derive_private_key`` wants a Python int, which nobody can wipe.
    """

    starts: tuple[int, ...] = (2, 3)
    """What a compressed point begins with (SEC 1 section 2.3.3)."""

    def __init__(self, tep: Tep, curve: ec.EllipticCurve, oid: str) -> None:
        size, name = ECDHE[tep].secret_len, bytes.fromhex(oid)
        octets = b"\x02\x01\x01\x04" + bytes([size])
        self.tail = b"\xa0" + bytes([2 + len(name), 6, len(name)]) + name
        self.head = b"\x30" + bytes([len(octets) + size + len(self.tail)]) + octets
        self.mask = 0xFF >> -curve.key_size % 8
        self._curve = curve

    def load(self, private: bytearray) -> Any:
        """The key; ValueError unless it is from 1 to the order less 1."""
        return load_der_private_key(private, None)

    def public(self, key: Any) -> bytes:
        point: bytes = key.public_key().public_bytes(
            Encoding.X962, PublicFormat.CompressedPoint
        )  # [8548:5-4]
        return point

    def decode(self, public: bytes) -> Any:
        """The point; ValueError unless it is valid (IEEE 1363 section A.16.10).

        OpenSSL checks that the coordinate is below p and the point on the curve; a
        compressed one is not infinity, and with a cofactor of 1 that is all. [8548:5-5]
        """
        return ec.EllipticCurvePublicKey.from_encoded_point(self._curve, public)

    def exchange(self, key: Any, public: Any) -> bytes:
        es: bytes = key.exchange(ec.ECDH(), public)
        return es


class Montgomery:
    """Curve25519 and Curve448: every u coordinate is taken (RFC 7748 section 5)."""

    starts: tuple[int, ...] = ()
    head = tail = b""
    mask = 0xFF

    def __init__(self, private: Any, public: Any) -> None:
        self._private, self._public = private, public

    def load(self, private: bytearray) -> Any:
        return self._private.from_private_bytes(private)

    def public(self, key: Any) -> bytes:
        u: bytes = key.public_key().public_bytes_raw()
        return u

    def decode(self, public: bytes) -> Any:
        return self._public.from_public_bytes(public)

    def exchange(self, key: Any, public: Any) -> bytes:
        """ES; ValueError if OpenSSL finds it all zero (RFC 7748 section 6)."""
        es: bytes = key.exchange(public)
        return es


CURVES: Final[dict[int, Nist | Montgomery]] = {
    Tep.TCPCRYPT_ECDHE_P256: Nist(Tep.TCPCRYPT_ECDHE_P256, ec.SECP256R1(), "2a8648ce3d030107"),
    Tep.TCPCRYPT_ECDHE_P521: Nist(Tep.TCPCRYPT_ECDHE_P521, ec.SECP521R1(), "2b81040023"),
    Tep.TCPCRYPT_ECDHE_Curve25519: Montgomery(x25519.X25519PrivateKey, x25519.X25519PublicKey),
    Tep.TCPCRYPT_ECDHE_Curve448: Montgomery(x448.X448PrivateKey, x448.X448PublicKey),
}
"""The curve of each TEP of RFC 8548."""
