"""One connection's part in the session cache, which the kernel keeps.

A resumed connection takes its secret when it is first used, so that accepting
and then forking works: the kernel gives it once, to whichever process asks
first.  Every connection puts the next session as soon as its own keys exist
(RFC 8548 section 3.5); nothing of it stays in this process.
"""

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

from pyeno import kernel
from pyeno._values import Outcome
from pyeno.config import Config, as_config
from pyeno.constants import K_LEN, RESUME_NONCE_MAX, Role
from pyeno.errors import KernelError, LocalProtocolError
from pyeno.kernel import Result
from pyeno.sockets.raw import descriptor
from pyeno.tep import TepConnection

if TYPE_CHECKING:
    from pyeno.tcpcrypt.sessions import Session

# struct eno_session_entry of ext/wire/eno_abi.h, up to the secret
_ENTRY = struct.Struct("=BBHI18s8s6x")
_OF_CONNECTION, _OF_SCOPE, _OF_USER = 0, 1, 2


class Caching:
    """Takes, puts and flushes for one connection."""

    __slots__ = ("_config", "_keeps", "_outcome", "_result")

    def __init__(self, outcome: Outcome, result: Result, config: Config) -> None:
        self._outcome = outcome
        self._result = result
        self._config = config
        self._keeps = config.cache

    def resume(self, sock: socket.socket, connection: TepConnection) -> bool:
        """Give a resumed connection its secret; whether it is one.

        Raises LocalProtocolError where another process took it, KernelError where
        the kernel cannot be asked any more.
        """
        result = self._result
        if not result.resumed or connection.established:
            return False
        session = _take(descriptor(sock), self._outcome, result)
        try:
            connection.resume(session)
        finally:
            session.wipe()
        return True

    def put(self, sock: socket.socket, connection: TepConnection) -> None:
        """Cache what a later connection may resume; without it all the same.
        [8548:3.5-26, 3.5-27, 3.5-28, 3.5-33]"""
        session = connection.next_session()
        if session is None:
            return
        try:
            if self._keeps:
                session.ss.to_option(
                    descriptor(sock),
                    socket.IPPROTO_TCP,
                    kernel.TCP_ENO_SESSION_PUT,
                    _entry(session, self._config.session_lifetime),
                )
        except OSError:
            pass  # no room, or detached meanwhile: the next key exchange is a fresh one
        finally:
            session.wipe()

    def flush(self, sock: socket.socket) -> None:
        """Forget what this connection put, and put nothing any more. [8548:3.5-39]"""
        self._keeps = False
        _flush(sock, _OF_CONNECTION)


def _take(fileno: int, outcome: Outcome, result: Result) -> "Session":
    # with the first connection, as the rest of tcpcrypt, not with `import pyeno`
    from pyeno.tcpcrypt.agreement import Secret
    from pyeno.tcpcrypt.sessions import Session

    try:
        ss = Secret.from_option(fileno, socket.IPPROTO_TCP, kernel.TCP_ENO_SESSION_TAKE, K_LEN)
        return Session.named(outcome, result.tag, result.original_role, ss)
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT:
            raise KernelError(
                errno.ENOPROTOOPT,
                "the BPF programs were detached while this connection opened: its session "
                "secret is out of reach; connection reset, connect again",
            ) from None
        if error.errno != errno.ENOTCONN:
            raise
        raise LocalProtocolError(
            "the keys of this resumed connection are another process's, which used it "
            "first (fork); leave the connection to that one"
        ) from None


def _entry(session: "Session", lifetime: int) -> bytes:
    original_b = session.original_role is Role.B
    # the nonce from getrandom(): the kernel half has no generator of its own [8548:3.5-2]
    nonce = os.urandom(RESUME_NONCE_MAX)
    return _ENTRY.pack(
        session.tep, original_b, session.aead, lifetime, session.identifier, nonce
    )


def _flush(sock: socket.socket, what: int) -> None:
    try:
        sock.setsockopt(socket.IPPROTO_TCP, kernel.TCP_ENO_SESSION_FLUSH, what)
    except OSError as error:
        if error.errno not in (errno.ENOPROTOOPT, errno.ENOTCONN):
            raise


def configure(sock: socket.socket, config: Config) -> bool:
    """Give the kernel this policy; False where it has no ENO."""
    return kernel.configure(
        sock,
        teps=bytes(reversed(config.teps)),
        self_aware=config.self_aware,
        role_b=config.role_b,
        nonce_len=config.resumption_nonce_len if config.resume else None,
        token=config.session_token,
    )


def flush_sessions(config: Config | None = None, *, everything: bool = False) -> bool:
    """Forget this user's cached sessions under the policy of ``config``.

    ``everything``: under every policy.  Connections that are open live on.
    Returns False where this host has no ENO, hence no cache.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        if not configure(sock, as_config(config)):
            return False
        _flush(sock, _OF_USER if everything else _OF_SCOPE)
        return True
