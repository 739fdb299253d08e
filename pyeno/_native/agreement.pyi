from pyeno._native.secret import Secret
from pyeno._values import Buffer

def x25519_public(private: Secret) -> bytes:
    """The 32-byte public key of a 32-byte private one (RFC 7748 section 5)."""

def x25519(private: Secret, public: Buffer) -> Secret:
    """ES, 32 bytes (RFC 8548 section 5).

    Raises ``RemoteProtocolError`` if ``public`` has not 32 bytes or has low
    order (RFC 7748 section 6); ``ValueError`` if ``private`` has not 32 bytes.
    """
