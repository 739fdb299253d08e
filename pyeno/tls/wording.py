"""OpenSSL's words for what went wrong, told as one of this package's errors.

pyOpenSSL gives texts, no numbers: ``[(library, function, reason), …]``.  Alerts that
were received are reasons like "tlsv1 alert unknown ca"; the prefix differs by version.
"""

import re
from typing import Final

from OpenSSL import SSL

from pyeno.errors import AuthenticationError, RemoteProtocolError
from pyeno.tls.errors import (
    ALERTS,
    AlertError,
    CertificateError,
    DowngradeError,
    TlsError,
    TranscriptError,
)

_ALERT: Final = re.compile(r"(?:tls|tlsv1|tlsv13|sslv3|ssl/tls) (alert )?([a-z ]+)")
_RESPELT: Final = {"user_cancelled": "user_canceled"}
_DOWNGRADES: Final = (
    "version too low", "unsupported protocol", "wrong ssl version", "bad protocol version",
    "inappropriate fallback", "no shared cipher", "wrong cipher returned",
    "unknown cipher returned", "no suitable key share", "no suitable groups",
    "no shared groups", "bad key share", "ciphersuite digest has changed",
    "no suitable signature algorithm", "no shared signature algorithms",
)  # fmt: skip
_FORGERIES: Final = (
    "bad record mac", "digest check failed", "bad signature", "decryption failed",
)  # fmt: skip
_CERTIFICATES: Final = (
    "certificate", "x509", "asn1", "no certs", "unable to find public key", "wrong signature",
    "cert length",
)  # fmt: skip
_NO_RECORDS: Final = ("wrong version number", "http request", "https proxy request")
ABORTED: Final = "connection aborted"


def reasons(error: SSL.Error) -> list[tuple[str, str]]:
    """(library, reason) of each entry of OpenSSL's queue."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return [(entry[0].lower(), entry[-1].lower()) for entry in queue]


def tell(error: SSL.Error, *, when: str) -> RemoteProtocolError:
    """What to raise; ``when``: "the handshake", "a record"."""
    if isinstance(error, SSL.ZeroReturnError):
        return TlsError(f"close_notify came in the middle of {when}; {ABORTED}")
    queue = reasons(error)
    alert = _alert(queue)
    if alert is not None:
        return _refused(alert, when)
    said = "; ".join(dict.fromkeys(reason for _, reason in queue if reason)) or "no reason"
    words = " ".join(f"{library} {reason}" for library, reason in queue)
    if _any(_FORGERIES, words):
        return AuthenticationError(
            f"{when} failed authentication: it was altered on the way, or made under other "
            f"keys ({said}); {ABORTED}"
        )
    if _any(_NO_RECORDS, words):
        return TlsError(
            f"what came is no TLS record, where {when} was due ({said}): is the peer's TLS TEP "
            f"at work, or something in between? {ABORTED.capitalize()}"
        )
    if _any(_DOWNGRADES, words):
        return DowngradeError(
            f"{when} had no version, cipher suite or group of this TEP's profile ({said}); "
            f"{ABORTED}"
        )
    if _any(_CERTIFICATES, words):
        return CertificateError(f"host B's certificate cannot be read ({said}); {ABORTED}")
    return TlsError(f"{when} broke TLS 1.3 ({said}); {ABORTED}")


def _any(needles: tuple[str, ...], words: str) -> bool:
    return any(needle in words for needle in needles)


def _alert(queue: list[tuple[str, str]]) -> str | None:
    """The name of the alert that was received, if one was."""
    if len(queue) == 1 and not queue[0][1]:
        return "unknown"  # OpenSSL has no text for the number
    for _, reason in queue:
        found = _ALERT.fullmatch(reason)
        if found:
            name = found[2].replace(" ", "_")
            name = _RESPELT.get(name, name)
            if found[1] or name in ALERTS:
                return name
    return None


def _refused(alert: str, when: str) -> RemoteProtocolError:
    if alert == "no_application_protocol":
        return TranscriptError(
            "host B saw other ENO options than this host and refused (TLS alert "
            f"no_application_protocol): somebody altered them; {ABORTED}"
        )
    if alert == "bad_record_mac":
        return AlertError(
            f"the peer refused with the TLS alert bad_record_mac: what this host sent was "
            f"altered on the way; {ABORTED}",
            alert,
        )
    return AlertError(
        f"the peer refused with the TLS alert {alert} during {when}; its own error says why; "
        f"{ABORTED}",
        alert,
    )
