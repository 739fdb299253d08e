"""Ephemeral keys and how they are written, by TEP (RFC 8548 section 5)."""

from typing import Protocol

from pyeno.constants import ECDHE
from pyeno.errors import LocalProtocolError
from pyeno.tcpcrypt.agreement import KeyPair, Secret
from pyeno.tcpcrypt.messages import PUBKEY_LEN_LEN
from pyeno.tcpcrypt.spares import SPARES
from pyeno.tcpcrypt.system import SYSTEM

_DRAWS = 64


class Randomness(Protocol):
    """Where a connection takes its randomness from; tests inject their own."""

    def public(self, size: int) -> bytes:
        """Bytes that will be sent: nonces."""

    def secret(self, size: int) -> Secret:
        """Bytes that stay here: private keys."""


def generate(tep: int, randomness: Randomness) -> KeyPair:
    """A key pair for one connection, made ahead where the system's randomness serves."""
    spare = SPARES.take(tep) if randomness is SYSTEM else None
    return spare or _draw(tep, randomness)


def make_ahead(tep: int, randomness: Randomness) -> None:
    """The next connection's, where there is likely to be one."""
    if randomness is SYSTEM and SPARES.wants(tep):
        SPARES.put(tep, _draw(tep, randomness))


def _draw(tep: int, randomness: Randomness) -> KeyPair:
    """A fresh key pair: "short-lived values that MUST be refreshed frequently".

    A scalar is drawn again until it is from 1 to the order less 1, which favours
    none (FIPS 186-5 section A.2.2); of 2^32 draws one is refused.
    """
    for _ in range(_DRAWS):
        private = randomness.secret(ECDHE[tep].secret_len)
        try:
            return KeyPair(tep, private)
        except ValueError:
            continue
        finally:
            private.wipe()
    raise LocalProtocolError(
        f"{_DRAWS} draws in a row gave no private key: what serves as randomness is not random"
    )


def encode_public(tep: int, public: bytes, remote: bytes = b"") -> bytes:
    """Pub_A or Pub_B: the public key, behind pubkey_len where the TEP has that field.

    ``remote``: the other host's Pub; whether its pubkey_len counts its own two
    bytes decides whether ours does. [8548:5-3, 5-9]
    """
    if not ECDHE[tep].pubkey_len:
        return public
    prefix = remote[:PUBKEY_LEN_LEN] or ECDHE[tep].pubkey_len.to_bytes(PUBKEY_LEN_LEN, "big")
    return prefix + public


def bare_public(tep: int, pub: bytes) -> bytes:
    """The public key in a Pub that :mod:`~pyeno.tcpcrypt.messages` has parsed."""
    return pub[-ECDHE[tep].public_len :]
