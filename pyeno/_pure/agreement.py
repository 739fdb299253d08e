"""ECDHE-Curve25519, pure twin (RFC 8548 section 5)."""

from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)

from pyeno._complaints import all_zero_secret, private_key_length, public_key_length
from pyeno._pure.secret import Secret
from pyeno._values import Buffer

X25519_LEN = 32


def _private(private: Secret) -> X25519PrivateKey:
    if len(private) != X25519_LEN:
        raise private_key_length(len(private))
    return X25519PrivateKey.from_private_bytes(private.export())


def x25519_public(private: Secret) -> bytes:
    """Pub for a 32-byte private key."""
    return _private(private).public_key().public_bytes_raw()


def x25519(private: Secret, public: Buffer) -> Secret:
    """ES; RemoteProtocolError if the peer's key forces it to zero."""
    key = _private(private)
    if len(public) != X25519_LEN:
        raise public_key_length(len(public))
    try:
        return Secret(key.exchange(X25519PublicKey.from_public_bytes(bytes(public))))
    except ValueError:
        raise all_zero_secret() from None
