"""X25519 on secrets: the pure twin of ``pyeno._native.agreement``."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

import pyeno._complaints as say
from pyeno._pure.secret import Secret, octets
from pyeno._values import Buffer

X25519_LEN: Final = 32


def _private(secret: Secret) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(secret.data("private key", X25519_LEN))


def x25519_public(private: Secret) -> bytes:
    return _private(private).public_key().public_bytes_raw()


def x25519(private: Secret, public: Buffer) -> Secret:
    key = _private(private)
    point = octets(public)
    if len(point) != X25519_LEN:
        raise say.public_key_len(len(point))
    try:
        es = key.exchange(X25519PublicKey.from_public_bytes(bytes(point)))
    except ValueError:
        # OpenSSL refuses the all-zero shared secret (RFC 7748 section 6)
        raise say.low_order() from None
    return Secret(es)
