"""Key-agreement schemes, one per tcpcrypt TEP (RFC 8548 section 5)."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from pyeno.constants import Tep
from pyeno.tcpcrypt.agreement import Secret, x25519, x25519_public


class Randomness(Protocol):
    """Where a connection takes its randomness from; tests inject their own."""

    def public(self, size: int) -> bytes:
        """Bytes that will be sent: nonces."""

    def secret(self, size: int) -> Secret:
        """Bytes that stay here: private keys."""


class KeyPair(Protocol):
    """One ephemeral key pair: used for one exchange, then wiped."""

    @property
    def public(self) -> bytes:
        """Pub_A or Pub_B as transmitted."""

    def exchange(self, public: bytes) -> Secret:
        """ES; raises RemoteProtocolError if the peer's key fails validation."""

    def wipe(self) -> None:
        """Forget the private key."""


class Curve25519:
    """ECDHE-Curve25519: 32 bytes, no length prefix."""

    PUBLIC_LEN = 32

    def __init__(self, randomness: Randomness) -> None:
        self._private = randomness.secret(32)
        self.public = x25519_public(self._private)

    def exchange(self, public: bytes) -> Secret:
        return x25519(self._private, public)

    def wipe(self) -> None:
        self._private.wipe()


class Scheme(NamedTuple):
    """How a TEP agrees on ES."""

    public_len: int
    generate: Callable[[Randomness], KeyPair]


SCHEMES: dict[int, Scheme] = {
    Tep.TCPCRYPT_ECDHE_Curve25519: Scheme(Curve25519.PUBLIC_LEN, Curve25519),
}
