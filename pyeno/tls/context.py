"""OpenSSL's contexts: the profile of TLS 1.3 that this TEP speaks.

    versions     1.3 alone, so no renegotiation and no compression; no 0-RTT
    suites       the three AEADs of ``Config.aeads``: nothing null, nothing without AEAD
    groups       OpenSSL's own, X25519 and P-256 among them; see ``profile``
    host A       no validation of certificates: it wants the key, not the name
    host B       no client authentication; no session is kept, so none is resumed

A context is made once for many connections, since it takes a tenth of a handshake.
Host B's default key is the context's: a new one for each ``USES`` connections.
"""

import os
import threading
from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from OpenSSL import SSL

from pyeno._keylog import append
from pyeno.constants import Aead, Role
from pyeno.tls import binding, keys
from pyeno.tls.profile import SUITES

if TYPE_CHECKING:
    from pyeno.config import Config

USES: Final = 100
"""connections with one ephemeral key, whose certificate lets the peers that see it tell
that they meet one host again.  A key a connection would make handshakes half as dear."""

_KEPT: Final = 64
"""contexts, of different policies"""


class _Wish(NamedTuple):
    """What makes contexts differ."""

    role: Role
    aeads: tuple[Aead, ...]
    keylog: str | None
    key: keys.KeyFile | None


class _Kept:
    """A context, and how many connections it may still have; None: any number."""

    def __init__(self, context: SSL.Context, uses: int | None) -> None:
        self.context = context
        self.uses = uses


_lock = threading.RLock()  # re-entrant: a signal handler may connect, too
_kept: dict[_Wish, _Kept] = {}


def get(role: Role, config: "Config") -> SSL.Context:
    """The context of a new connection; raises ConfigError for a bad ``tls_key``."""
    keylog = None if config.keylog is None else os.fspath(config.keylog)
    key = None
    if role is Role.B and config.tls_key is not None:
        key = keys.look(config.tls_key)
    wish = _Wish(role, config.aeads, keylog, key)
    with _lock:
        kept = _kept.get(wish)
        if kept is None or kept.uses == 0:
            kept = _kept[wish] = _make(wish)
            while len(_kept) > _KEPT:
                del _kept[next(iter(_kept))]
        if kept.uses is not None:
            kept.uses -= 1
        return kept.context


def _forget() -> None:
    """A child process has keys of its own."""
    global _lock
    _lock = threading.RLock()  # fork() may have copied it held
    _kept.clear()


os.register_at_fork(after_in_child=_forget)


def _make(wish: _Wish) -> _Kept:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(":".join(SUITES[aead] for aead in wish.aeads).encode())
    context.set_verify(SSL.VERIFY_NONE)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # no ticket holds a secret; two empty ones are still sent, see docs/tls.md
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE)
    # an idle connection keeps no buffers
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    if wish.keylog is not None:
        context.set_keylog_callback(_logging(wish.keylog))
    if wish.role is Role.A:
        return _Kept(context, None)
    identity = keys.ephemeral() if wish.key is None else keys.load(wish.key)
    context.use_privatekey(identity.key)
    context.use_certificate(identity.certificate)
    context.set_alpn_select_callback(binding.select)
    return _Kept(context, USES if wish.key is None else None)


def _logging(path: str | PathLike[str]) -> Callable[[Any, bytes], None]:
    """NSS's format: what Wireshark reads (``SSLKEYLOGFILE``)."""

    def log(_: Any, line: bytes) -> None:
        append(path, line + b"\n")

    return log
