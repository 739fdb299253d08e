"""How a TLS connection fails: one class for each cause, and OpenSSL's words put
into the words of RFC 8446.

All of them oblige the caller to tear the connection down: "If the TLS handshake
fails, the endpoint MUST tear down the TCP connection and MUST NOT send plaintext
data" (the draft, section 2).
"""

from typing import Final

from pyeno.errors import RemoteProtocolError

ALERTS: Final = frozenset({
    "close_notify", "unexpected_message", "bad_record_mac", "record_overflow",
    "handshake_failure", "bad_certificate", "unsupported_certificate", "certificate_revoked",
    "certificate_expired", "certificate_unknown", "illegal_parameter", "unknown_ca",
    "access_denied", "decode_error", "decrypt_error", "protocol_version",
    "insufficient_security", "internal_error", "inappropriate_fallback", "user_canceled",
    "missing_extension", "unsupported_extension", "unrecognized_name",
    "bad_certificate_status_response", "unknown_psk_identity", "certificate_required",
    "no_application_protocol",
})  # fmt: skip
"""RFC 8446 section 6, and RFC 7301's."""


class TlsError(RemoteProtocolError):
    """The peer, or somebody on the path, broke TLS 1.3 or this TEP's profile of it."""


class AlertError(TlsError):
    """The peer refused with a TLS alert: ``alert`` is its name in RFC 8446 section 6."""

    def __init__(self, message: str, alert: str) -> None:
        super().__init__(message)
        self.alert = alert


class TranscriptError(TlsError):
    """The two hosts saw different ENO options: somebody altered them."""


class DowngradeError(TlsError):
    """A version, cipher suite or group that this TEP's profile does not have."""


class CertificateError(TlsError):
    """Host B's certificate holds no key that can be used."""
