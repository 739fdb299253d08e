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
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from pyeno import kernel, tep
from pyeno._values import Outcome, TepData
from pyeno.config import Config, as_config
from pyeno.constants import K_LEN, RESUME_NONCE_MAX, Role
from pyeno.errors import KernelError, LocalProtocolError
from pyeno.kernel import Result
from pyeno.sockets.raw import descriptor

if TYPE_CHECKING:
    from types import ModuleType

    from pyeno.tcpcrypt.agreement import Secret
    from pyeno.tcpcrypt.sessions import Session

# struct eno_established of ext/wire/eno_abi.h, up to the secret
_ESTABLISHED = struct.Struct("=B7x64sBBHI18s8s6x")
_TCP = int(socket.IPPROTO_TCP)
_OF_CONNECTION, _OF_SCOPE, _OF_USER = 0, 1, 2


class Resuming(Protocol):
    """What is needed of a :class:`pyeno.tep.TepConnection` here."""

    @property
    def established(self) -> bool: ...
    @property
    def session_id(self) -> bytes: ...
    def resume(self, session: "Session") -> None: ...
    def next_session(self) -> "Session | None": ...


class Caching:
    """Takes, puts and flushes for one connection."""

    __slots__ = ("_config", "_keeps", "_outcome", "_result", "_resumes", "_ss")

    def __init__(
        self,
        outcome: Outcome,
        result: Result,
        config: Config,
        ss: "Secret | None" = None,
        *,
        resumes: bool,
    ) -> None:
        self._ss = ss
        self._resumes = resumes
        self._outcome = outcome
        self._result = result
        self._config = config
        self._keeps = config.cache

    def resume(self, sock: socket.socket, connection: "Resuming") -> bool:
        """Give a resumed connection its secret; whether it is one.

        Raises LocalProtocolError where another process took it, KernelError where
        the kernel cannot be asked any more.
        """
        result = self._result
        if not (result.resumed and self._resumes) or connection.established:
            return False
        ss = _take(descriptor(sock)) if self._ss is None else self._ss
        session = _session()(self._outcome, result.tag, result.original_role, ss)
        try:
            connection.resume(session)
        finally:
            session.wipe()
        return True

    def publish(self, sock: socket.socket, connection: "Resuming") -> None:
        """Tell the host's own tools the session ID (RFC 8547 section 5.1), and cache
        what a later connection may resume; without either all the same.
        [8548:3.5-26, 3.5-27, 3.5-28, 3.5-33]"""
        session = connection.next_session()
        try:
            if session is None or not self._keeps or not self._put(sock, connection, session):
                kernel.set_session_id(sock, connection.session_id)
        except OSError:
            pass
        finally:
            if session is not None:
                session.wipe()

    def _put(self, sock: socket.socket, connection: "Resuming", session: "Session") -> bool:
        """Both in one system call; False where the kernel did not take them."""
        value = _established(connection.session_id, session, self._config.session_lifetime)
        try:
            session.ss.to_option(descriptor(sock), _TCP, kernel.TCP_ENO_ESTABLISHED, value)
        except OSError:
            return False  # no room, or detached: the next key exchange is a fresh one
        return True

    def wipe(self) -> None:
        """Forget a secret that was not used."""
        if self._ss is not None:
            self._ss.wipe()

    def flush(self, sock: socket.socket) -> None:
        """Forget what this connection put, and put nothing any more. [8548:3.5-39]"""
        self._keeps = False
        _flush(sock, _OF_CONNECTION)


# with the first connection, as the rest of tcpcrypt, not with `import pyeno`
@cache
def _agreement() -> "ModuleType":
    return import_module("pyeno.tcpcrypt.agreement")


@cache
def _session() -> "Callable[[Outcome, int, Role, Secret], Session]":
    from pyeno.tcpcrypt.sessions import Session

    return Session.named


def result(sock: socket.socket) -> "tuple[Result, Secret | None]":
    """kernel.result(), and with it the secret of a resumed session, for who uses it at
    once: what was taken cannot be taken by a child of this process any more."""
    try:
        value, ss = _agreement().Secret.split_option(
            descriptor(sock), _TCP, kernel.TCP_ENO_RESULT_TAKE, kernel.RESULT_LEN, K_LEN
        )
    except OSError:  # nothing attached, or older programs: that tells which
        return kernel.result(sock), None
    found = kernel.parse_result(value)
    return found, ss if found.given else None


def _take(fileno: int) -> "Secret":
    try:
        ss: Secret = _agreement().Secret.from_option(
            fileno, _TCP, kernel.TCP_ENO_SESSION_TAKE, K_LEN
        )
        return ss
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


def _established(session_id: bytes, session: "Session", lifetime: int) -> bytes:
    original_b = session.original_role is Role.B
    # the nonce from getrandom(): the kernel half has no generator of its own [8548:3.5-2]
    nonce = os.urandom(RESUME_NONCE_MAX)
    return _ESTABLISHED.pack(
        len(session_id), session_id,
        session.tep, original_b, session.aead, lifetime, session.identifier, nonce,
    )  # fmt: skip


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
        data=[] if not config.data_teps else _suboption_data(config),
    )


def _suboption_data(config: Config) -> list[TepData]:
    """Asked anew for each socket; TepError for an answer that cannot be sent."""
    found = map(tep.get, config.data_teps)
    entries = [tep.table_entry(each, config) for each in found if each is not None]
    return [entry for entry in entries if entry is not None]


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
