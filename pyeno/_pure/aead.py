"""What the pure framer's two classes share: a traffic key, and a turnstile."""

import threading
from typing import final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

import pyeno._complaints as say
from pyeno._pure.secret import Secret
from pyeno.constants import Aead


@final
class Key:
    """One traffic key: AEAD key and nonce randomizer (RFC 8548 figure 4)."""

    __slots__ = ("_cipher", "_nr")

    def __init__(self, aead: int, key: Secret) -> None:
        try:
            known = Aead(aead)
        except ValueError:
            raise say.unknown_aead(aead) from None
        data = key.data("traffic key", known.key_len + known.nonce_len)
        kind = ChaCha20Poly1305 if known is Aead.CHACHA20_POLY1305 else AESGCM
        self._cipher = kind(bytes(data[: known.key_len]))
        self._nr = int.from_bytes(data[known.key_len :])

    def _nonce(self, offset: int) -> bytes:
        """N = frame_ID XOR NR (section 3.6)."""
        return (self._nr ^ offset).to_bytes(12)

    def seal(self, text: bytes, offset: int, ad: bytes) -> bytes:
        return self._cipher.encrypt(self._nonce(offset), text, ad)

    def open(self, text: bytes, offset: int, ad: bytes) -> bytes:
        """:raises cryptography.exceptions.InvalidTag: the symbol FAIL"""
        return self._cipher.decrypt(self._nonce(offset), text, ad)


@final
class Turn:
    """Lets one thread in at a time and nobody after end(); never waits."""

    __slots__ = ("_lock", "_name", "live")

    def __init__(self, name: str) -> None:
        self._lock = threading.Lock()
        self._name = name
        self.live = True

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise say.busy(self._name)
        if not self.live:
            self._lock.release()
            raise say.wiped(self._name)

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def end(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise say.busy(self._name)
        self.live = False
        self._lock.release()
