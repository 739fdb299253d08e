"""Everything pyeno raises.

Disabled encryption is no exception: it is an outcome with a reason.  These
are for bad input from the application (local), for bad input from the peer
(remote; RFC 8548 section 3.3 calls what follows an *abort*), and for an
application that demanded encryption.
"""


class PyenoError(Exception):
    """Base of all errors pyeno defines."""


class ConfigError(PyenoError, ValueError):
    """A configuration that cannot be meant: says which field and what is allowed."""


class LocalProtocolError(PyenoError):
    """The application asked for what the protocol does not allow now."""


class NotEncryptedError(LocalProtocolError):
    """No session ID: ENO failed or no connection yet (RFC 8547 section 5.1)."""


class EncryptionRequiredError(PyenoError, ConnectionError):
    """The application demanded encryption and ENO was disabled.

    ``reason`` is the :class:`pyeno.Reason`.
    """

    def __init__(self, message: str, reason: object = None) -> None:
        super().__init__(message)
        self.reason = reason


class KernelError(PyenoError, OSError):
    """The kernel half cannot be loaded, attached or asked; says what mends it."""


class RemoteProtocolError(PyenoError, ConnectionError):
    """The peer broke RFC 8548; the connection is aborted with a RST."""


class AuthenticationError(RemoteProtocolError):
    """A frame failed authentication (RFC 8548 section 3.6); in :mod:`pyeno.auth`, the peer."""


class TruncationError(RemoteProtocolError):
    """The stream ended without an authenticated FINp (RFC 8548 section 3.7)."""


class HandshakeTimeoutError(RemoteProtocolError, TimeoutError):
    """The peer did not complete the key exchange in time."""


class PeerDeadError(RemoteProtocolError, TimeoutError):
    """The peer did not prove that it is alive (RFC 8548 section 3.9)."""


class IllFormedOptionError(RemoteProtocolError):
    """A SYN-form ENO option breaks RFC 8547 section 4.1 or 4.4.

    ``reason`` is the :class:`pyeno.Reason`, ``offset`` the index of the
    offending byte in the option, its kind byte being 0.
    """

    def __init__(self, message: str, reason: object, offset: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.offset = offset


def ending(error: Exception) -> str:
    """How it ended, in reports: ``truncated``, ``auth-failed``, or ``reset`` by either side."""
    if isinstance(error, AuthenticationError):
        return "auth-failed"
    return "truncated" if isinstance(error, TruncationError) else "reset"
