"""Authentication over a :class:`pyeno.Socket` that blocks.

After a failure the connection is reset, its keys are forgotten, and the error is
raised again by every later call.  An error of the caller's own (a bad key, a bad
file, a connection that is not encrypted) changes nothing.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from os import PathLike
from typing import Concatenate, ParamSpec

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pyeno.auth.awareness import NotAuthenticated, unaware
from pyeno.auth.binding import channel_binding
from pyeno.auth.ed25519 import Ed25519Exchange
from pyeno.auth.errors import TIMEOUT, check_timeout, told
from pyeno.auth.exchange import Authenticated, Exchange
from pyeno.auth.known_hosts import KnownHosts
from pyeno.auth.pins import Pins
from pyeno.auth.psk import PskExchange
from pyeno.auth.tls_key import key_of, recognize
from pyeno.errors import LocalProtocolError, RemoteProtocolError
from pyeno.sockets.raw import deadline_after
from pyeno.sockets.sock import Socket

P = ParamSpec("P")


def authenticate_psk(
    sock: Socket, key: bytes, *, context: bytes = b"", timeout: float | None = TIMEOUT
) -> Authenticated:
    """Prove to the peer that this host holds ``key``, and have it prove the same.

    ``context`` names the application: what is proved for one proves nothing to
    another.  ``timeout`` is in seconds, for the whole.  Raises NotEncryptedError,
    ConfigError, PeerNotAuthenticatedError, OSError.
    """
    _prepare(sock, timeout)
    return _run(sock, PskExchange(channel_binding(sock), key, context=context), timeout)


def authenticate_ed25519(
    sock: Socket,
    private_key: Ed25519PrivateKey,
    *,
    known_hosts: KnownHosts | str | PathLike[str],
    name: str | None = None,
    port: int | None = None,
    trust_on_first_use: bool = False,
    context: bytes = b"",
    timeout: float | None = TIMEOUT,
) -> Authenticated:
    """Prove to the peer that this host holds ``private_key``, and have it prove that
    it holds one pinned in ``known_hosts``: to ``name`` (and ``port``) or, where no name
    is given, to any.

    ``trust_on_first_use`` pins the key of a name that has none.  The rest as
    :func:`authenticate_psk`.
    """
    _prepare(sock, timeout)
    pins = Pins(known_hosts, name, port, trust_on_first_use=trust_on_first_use)
    exchange = Ed25519Exchange(channel_binding(sock), private_key, pins, context=context)
    return _run(sock, exchange, timeout)


def authenticate_tls_key(
    sock: Socket,
    *,
    known_hosts: KnownHosts | str | PathLike[str],
    name: str,
    port: int | None = None,
    trust_on_first_use: bool = False,
) -> Authenticated:
    """As host A of TLS, have host B be the one whose long-lived key (``Config.tls_key``) is
    pinned in ``known_hosts`` to ``name`` (and ``port``); nothing is sent.

    ``trust_on_first_use`` pins the key of a name that has none.  Raises
    LocalProtocolError, ConfigError, UnknownKeyError, ChangedKeyError, OSError.
    """
    pins = Pins(known_hosts, name, port, trust_on_first_use=trust_on_first_use)
    sock.do_handshake()
    key = key_of(sock)
    try:
        return recognize(key, pins)
    except RemoteProtocolError as error:
        link = sock.link()
        if link is not None:
            link.fail(error)
        raise
    except BaseException:
        sock.abort()
        raise


def if_aware(
    sock: Socket,
    authenticate: Callable[Concatenate[Socket, P], Authenticated],
    *arguments: P.args,
    **options: P.kwargs,
) -> Authenticated | NotAuthenticated:
    """``authenticate(sock, …)`` where both ends set the application-aware bit (RFC 8547
    section 8.4); elsewhere nothing is sent, and what is returned says why."""
    skipped = unaware(sock)
    if skipped is not None:
        return skipped
    return authenticate(sock, *arguments, **options)


def _prepare(sock: Socket, timeout: float | None) -> None:
    check_timeout(timeout)
    if sock.gettimeout() == 0:
        raise LocalProtocolError(
            "this socket does not block: give it a timeout, or use pyeno.auth.aio, or drive a "
            "PskExchange or Ed25519Exchange yourself"
        )
    sock.do_handshake()


def _run(sock: Socket, exchange: Exchange, timeout: float | None) -> Authenticated:
    try:
        with _patience(sock, timeout) as renew, told():
            while not exchange.done:
                _step(sock, exchange, renew)
    except RemoteProtocolError as error:
        link = sock.link()
        if link is not None:
            link.fail(error)
        raise
    except BaseException:
        sock.abort()
        raise
    return exchange.authenticated


def _step(sock: Socket, exchange: Exchange, renew: Callable[[], None]) -> None:
    """Send what is owed, then take one message or a part of it, and never a byte of what
    the application sends after it."""
    renew()
    if owed := exchange.data_to_send():
        sock.sendall(owed)
    if exchange.wanted:
        renew()
        if data := sock.recv(exchange.wanted):
            exchange.receive_data(data)
        else:
            exchange.receive_eof()


@contextlib.contextmanager
def _patience(sock: Socket, timeout: float | None) -> Iterator[Callable[[], None]]:
    """What to call before each wait, so that all of them together end in time."""
    own = sock.gettimeout()
    until = deadline_after(timeout)

    def renew() -> None:
        limits = [] if own is None else [own]
        if until is not None:
            limits.append(until - time.monotonic())
        if limits and min(limits) <= 0:
            raise TimeoutError("timed out")
        sock.settimeout(min(limits, default=None))

    try:
        yield renew
    finally:
        with contextlib.suppress(OSError):  # another thread closed it
            sock.settimeout(own)
