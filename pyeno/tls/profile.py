"""What a completed handshake must have agreed on, whoever is at the other end.

OpenSSL was told as much by :mod:`pyeno.tls.context`; this looks whether it kept to it,
and at what it cannot be told: "TEPs MUST NOT make data confidentiality dependent on
encryption algorithms with a security strength of less than 120 bits" (RFC 8547
section 5), which of TLS 1.3's groups rules out ffdhe2048.
"""

from typing import Final

from OpenSSL import SSL

from pyeno.constants import Aead
from pyeno.tls.errors import DowngradeError

SUITES: Final = {
    Aead.AES_128_GCM: "TLS_AES_128_GCM_SHA256",
    Aead.CHACHA20_POLY1305: "TLS_CHACHA20_POLY1305_SHA256",
    Aead.AES_256_GCM: "TLS_AES_256_GCM_SHA384",
}
"""RFC 8446 appendix B.4; the first is the one that every host has (the draft, section 6)."""

_AEADS: Final = {suite: aead for aead, suite in SUITES.items()}
_FINITE_FIELD: Final = "ffdhe"


def check(connection: SSL.Connection, allowed: tuple[Aead, ...]) -> Aead:
    """The AEAD of a connection whose handshake is complete; raises DowngradeError.
    [8547:5-4, 5-5]"""
    version = connection.get_protocol_version_name()
    if version != "TLSv1.3":
        raise DowngradeError(
            f"the handshake ended with {version}; allowed: TLSv1.3; connection aborted"
        )
    suite = connection.get_cipher_name()
    aead = _AEADS.get(suite or "")
    if aead not in allowed:
        raise DowngradeError(
            f"the handshake ended with cipher suite {suite}; allowed: "
            f"{', '.join(SUITES[each] for each in allowed)} (Config.aeads); connection aborted"
        )
    group = connection.get_group_name()
    if group is None or group.lower().startswith(_FINITE_FIELD):
        raise DowngradeError(
            f"the handshake ended with group {group}; allowed: those of elliptic curves "
            "(RFC 8547 section 5); connection aborted"
        )
    return aead
