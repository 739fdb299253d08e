"""TCP that encrypts itself: TCP-ENO (RFC 8547) and tcpcrypt (RFC 8548).

with pyeno.create_connection(("host.example", 7000)) as s:
    s.sendall(b"hello")
    print(s.eno.encrypted, s.recv(100))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pyeno._backend import backend
from pyeno._version import __version__
from pyeno.config import Config
from pyeno.constants import Aead, Reason, Role, Tep
from pyeno.errors import (
    AuthenticationError,
    ConfigError,
    EncryptionRequiredError,
    HandshakeTimeoutError,
    IllFormedOptionError,
    KernelError,
    LocalProtocolError,
    NotEncryptedError,
    PeerDeadError,
    PyenoError,
    RemoteProtocolError,
    TepError,
    TruncationError,
)
from pyeno.sockets import Info, Socket, create_connection, create_server, flush_sessions

if TYPE_CHECKING:
    from pyeno.aio import (
        create_eno_connection,
        create_eno_server,
        open_connection,
        start_eno,
        start_server,
    )

__all__ = [
    "Aead", "AuthenticationError", "Config", "ConfigError", "EncryptionRequiredError",
    "HandshakeTimeoutError", "IllFormedOptionError", "Info", "KernelError",
    "LocalProtocolError", "NotEncryptedError", "PeerDeadError", "PyenoError", "Reason",
    "RemoteProtocolError", "Role", "Socket", "Tep", "TepError", "TruncationError",
    "__version__", "backend", "create_connection", "create_eno_connection",
    "create_eno_server", "create_server", "flush_sessions", "open_connection", "start_eno",
    "start_server",
]  # fmt: skip

_ASYNCIO = {
    "create_eno_connection", "create_eno_server", "open_connection", "start_eno", "start_server"
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """asyncio is imported by those who use it."""
    if name in _ASYNCIO:
        return getattr(import_module("pyeno.aio"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
