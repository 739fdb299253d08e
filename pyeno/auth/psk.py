"""Mutual authentication by a key that both ends hold: HMAC-SHA256 (RFC 2104)."""

import hmac
from typing import Final

from pyeno.auth.binding import ChannelBinding
from pyeno.auth.exchange import Authenticated, Exchange, bad_proof
from pyeno.auth.messages import Hello, Method
from pyeno.constants import Role
from pyeno.errors import ConfigError
from pyeno.tcpcrypt.schemes import Randomness
from pyeno.tcpcrypt.system import SYSTEM

KEY_MIN: Final = 16
"""Bytes of a key at least.  Whoever connects is given a proof, and may try keys
against it at leisure: it must be random, not a password."""


class PskExchange(Exchange):
    """One end's part; see :class:`~pyeno.auth.exchange.Exchange`."""

    method = Method.PSK

    def __init__(
        self,
        binding: ChannelBinding,
        key: bytes,
        *,
        context: bytes = b"",
        randomness: Randomness = SYSTEM,
    ) -> None:
        if not isinstance(key, bytes | bytearray | memoryview):
            raise TypeError(f"key: bytes, not {type(key).__name__}")
        if len(key) < KEY_MIN:
            raise ConfigError(
                f"key: {len(key)} bytes; allowed: {KEY_MIN} or more, random ones "
                "(secrets.token_bytes(32)), no password"
            )
        self._key = bytes(key)
        super().__init__(binding, b"", context, randomness)

    def _meet(self, hello: Hello) -> None:
        """There is no public key to judge."""

    def _prove(self) -> bytes:
        return self._digest(self._binding.role)

    def _verify(self, proof: bytes) -> None:
        if not hmac.compare_digest(proof, self._digest(self._binding.role.opposite)):
            raise bad_proof("HMAC")

    def _digest(self, role: Role) -> bytes:
        return hmac.digest(self._key, self.statement(role), "sha256")

    def _authenticated(self) -> Authenticated:
        return Authenticated(self.method.name.lower())
