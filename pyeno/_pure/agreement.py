"""Key agreement: the pure twin of ``pyeno._native.agreement``."""

from typing import Any, NoReturn, final

import pyeno._complaints as say
from pyeno._curves import CURVES
from pyeno._pure.secret import Secret, octets
from pyeno._values import Buffer
from pyeno.constants import ECDHE


@final
class KeyPair:
    __slots__ = ("_key", "_public", "_tep")

    def __init__(self, tep: int, private: Secret) -> None:
        if tep not in ECDHE:
            raise say.unknown_scheme(tep)
        curve, key = CURVES[tep], private.data("private key", ECDHE[tep].secret_len)
        buffer = bytearray(curve.head + key + curve.tail)
        buffer[len(curve.head)] &= curve.mask
        try:
            loaded: Any = curve.load(buffer)
        except ValueError:
            raise say.private_key() from None
        finally:
            buffer[:] = bytes(len(buffer))
        self._tep, self._key, self._public = tep, loaded, curve.public(loaded)

    def __repr__(self) -> str:
        return "<KeyPair: wiped>" if self._key is None else f"<KeyPair: TEP {self._tep:#04x}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a KeyPair cannot be pickled or copied")

    @property
    def public(self) -> bytes:
        return self._public

    def exchange(self, public: Buffer) -> Secret:
        if self._key is None:
            raise say.wiped("KeyPair")
        curve, remote = CURVES[self._tep], bytes(octets(public))
        if len(remote) != ECDHE[self._tep].public_len:
            raise say.public_key_len(len(remote), ECDHE[self._tep].public_len)
        if curve.starts and remote[0] not in curve.starts:
            raise say.not_compressed(remote[0])
        try:
            point = curve.decode(remote)
        except ValueError:
            raise say.not_on_curve() from None
        try:
            es = curve.exchange(self._key, point)
        except ValueError:
            raise say.low_order() from None
        # "MUST check whether the computed Diffie-Hellman shared secret is the all-zero
        # value and abort if so"; OpenSSL's status is not relied on [8548:5-7]
        if not curve.starts and not any(es):
            raise say.low_order()
        return Secret(es)

    def wipe(self) -> None:
        self._key = None
