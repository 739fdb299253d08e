from typing import final

from pyeno._native.secret import Secret
from pyeno._values import Buffer

@final
class KeyPair:
    """One ephemeral key pair of a TEP (RFC 8548 section 5), for one exchange.

    The private key is outside Python's heap, and wiped by ``wipe()`` or with
    the object.
    """

    def __init__(self, tep: int, private: Secret) -> None:
        """``private``: a big-endian scalar for P-256 and P-521, of which bits beyond
        the order's are cleared; what RFC 7748 takes for Curve25519 and Curve448.
        It is copied; whoever holds it wipes it.

        Raises ``ValueError`` for another TEP, another size, or a scalar that is not
        from 1 to the order less 1.
        """
    @property
    def public(self) -> bytes:
        """The bare public key: a compressed point, or a u coordinate."""
    def exchange(self, public: Buffer) -> Secret:
        """ES, as long as the private key, with the remote bare public key.

        Raises ``RemoteProtocolError`` for another size, for what is no compressed
        point of the curve, and for an all-zero secret.
        """
    def wipe(self) -> None:
        """Forget the private key; may be repeated."""
