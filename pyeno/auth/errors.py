"""Why an authentication failed, and what is wrong with files of keys.

Whatever the peer is to blame for is a :class:`PeerNotAuthenticatedError`; the
connection is reset before it is raised.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

from pyeno.errors import AuthenticationError, ConfigError, RemoteProtocolError


class PeerNotAuthenticatedError(AuthenticationError):
    """The peer is not who it should be, as far as this host can tell."""


class MessageError(PeerNotAuthenticatedError):
    """No message of this protocol; ``offset`` is the offending byte's in the message."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class MethodError(PeerNotAuthenticatedError):
    """The peer authenticates by another method."""


class ReflectionError(PeerNotAuthenticatedError):
    """The peer claims this host's role, or sent back what this host sent."""


class ProofError(PeerNotAuthenticatedError):
    """The peer's proof is of another key, another context, or another session ID:
    somebody may be in the middle."""


class UnknownKeyError(PeerNotAuthenticatedError):
    """The peer's public key is pinned nowhere; ``fingerprint`` is the key's."""

    def __init__(self, message: str, fingerprint: str) -> None:
        super().__init__(message)
        self.fingerprint = fingerprint


class ChangedKeyError(PeerNotAuthenticatedError):
    """Another key is pinned for this name, in line ``line`` of the file ``path``;
    ``fingerprint`` is that of the key the peer has now."""

    def __init__(self, message: str, fingerprint: str, path: str, line: int) -> None:
        super().__init__(message)
        self.fingerprint = fingerprint
        self.path = path
        self.line = line


class EndedEarlyError(PeerNotAuthenticatedError):
    """The peer ended its stream in the middle of the authentication."""


class RefusedByPeerError(PeerNotAuthenticatedError):
    """The connection was reset in the middle of the authentication."""


class AuthenticationTimeoutError(PeerNotAuthenticatedError, TimeoutError):
    """The peer did not complete the authentication in time."""


class KnownHostsError(ConfigError):
    """A file of pinned keys that cannot be meant: ``path``, and ``line`` or 0."""

    def __init__(self, what: str, path: str, line: int = 0) -> None:
        where = f"{path}, line {line}" if line else path
        super().__init__(f"{where}: {what}")
        self.path = path
        self.line = line


class KeyFileError(ConfigError):
    """A file that holds no key, or is no safe place for one."""


TIMEOUT: Final = 15.0
"""Seconds for a whole authentication, as for the key exchange."""
TIMEOUT_MAX: Final = 10**9


def check_timeout(timeout: float | None) -> None:
    """Raise ConfigError for what is no time."""
    if timeout is not None and not 0 < timeout <= TIMEOUT_MAX:
        raise ConfigError(
            f"timeout: {timeout}; allowed: seconds above 0, at most {TIMEOUT_MAX}, or None for "
            "no limit"
        )


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Tell what a connection's end means in the middle of an authentication."""
    try:
        yield
    except RemoteProtocolError:
        raise
    except TimeoutError as error:
        raise AuthenticationTimeoutError(
            "the peer did not complete the authentication in time: does its application "
            "authenticate too? Connection reset"
        ) from error
    except ConnectionError as error:
        raise RefusedByPeerError(
            "the connection was reset in the middle of the authentication: by the peer, if it "
            "does not accept this host's key (its own error says why), or by somebody between"
        ) from error
