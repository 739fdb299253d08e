"""AEADs through ``cryptography``: the pure twin's, and the compiled core's where
the interpreter shares no libcrypto."""

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from pyeno.constants import Aead

Cipher = AESGCM | ChaCha20Poly1305


def foreign_aead(aead: int, key: bytes) -> Cipher:
    """``encrypt`` and ``decrypt`` of (nonce, data, associated data)."""
    return ChaCha20Poly1305(key) if aead == Aead.CHACHA20_POLY1305 else AESGCM(key)
