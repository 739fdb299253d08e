"""Mutual authentication by Ed25519 signatures (RFC 8032), with pinned public keys."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from nacl.bindings import crypto_core_ed25519_is_valid_point

from pyeno.auth.binding import ChannelBinding
from pyeno.auth.errors import MessageError
from pyeno.auth.exchange import Authenticated, Exchange, bad_proof
from pyeno.auth.keys import fingerprint, raw_public
from pyeno.auth.messages import KEY_OFFSET, Hello, Method
from pyeno.auth.pins import Pins
from pyeno.tcpcrypt.schemes import Randomness
from pyeno.tcpcrypt.system import SYSTEM


class Ed25519Exchange(Exchange):
    """One end's part; see :class:`~pyeno.auth.exchange.Exchange`.

    The peer's key is judged before anything is signed for it, and pinned only once
    it has proved that it holds the private key.
    """

    method = Method.ED25519

    def __init__(
        self,
        binding: ChannelBinding,
        private_key: Ed25519PrivateKey,
        pins: Pins,
        *,
        context: bytes = b"",
        randomness: Randomness = SYSTEM,
    ) -> None:
        if not isinstance(private_key, Ed25519PrivateKey):
            raise TypeError(
                f"private_key: an Ed25519PrivateKey, not {type(private_key).__name__}: "
                "load_identity() reads one from a file"
            )
        self._private_key = private_key
        self._pins = pins
        self._key = b""
        self._name = ""
        self._new = False
        super().__init__(binding, raw_public(private_key.public_key()), context, randomness)

    def _meet(self, hello: Hello) -> None:
        # of a point of small order anybody can make signatures, without a private key
        if not crypto_core_ed25519_is_valid_point(hello.key):
            raise MessageError(
                f"HELLO: public key at offset {KEY_OFFSET} is no Ed25519 key; connection reset",
                KEY_OFFSET,
            )
        self._name, self._new = self._pins.judge(hello.key)
        self._key = hello.key

    def _prove(self) -> bytes:
        return self._private_key.sign(self.statement(self._binding.role))

    def _verify(self, proof: bytes) -> None:
        statement = self.statement(self._binding.role.opposite)
        try:
            Ed25519PublicKey.from_public_bytes(self._key).verify(proof, statement)
        except InvalidSignature:
            raise bad_proof("signature") from None
        if self._new:
            self._pins.pin(self._key)

    def _authenticated(self) -> Authenticated:
        print_ = fingerprint(self._key)
        return Authenticated(self.method.name.lower(), self._name, print_, self._new)
