"""Who is at the other end: authentication bound to the session ID and role.

Encryption alone keeps out those who only listen.  Whoever can be in the middle is
found out by a proof that covers the session ID, of which he has two (RFC 8547
sections 5.1, 8.4, 10; RFC 8548 section 8)::

    with pyeno.create_connection(("host.example", 7000)) as s:
        pyeno.auth.authenticate_psk(s, key)

:mod:`pyeno.auth.aio` has the same for asyncio, AnyIO and Trio.
"""

from pyeno.auth.awareness import NotAuthenticated, WhyNot, unaware
from pyeno.auth.binding import NAME, ChannelBinding, channel_binding
from pyeno.auth.blocking import (
    authenticate_ed25519,
    authenticate_psk,
    authenticate_tls_key,
    if_aware,
)
from pyeno.auth.ed25519 import Ed25519Exchange
from pyeno.auth.errors import (
    AuthenticationTimeoutError,
    ChangedKeyError,
    EndedEarlyError,
    KeyFileError,
    KnownHostsError,
    MessageError,
    MethodError,
    PeerNotAuthenticatedError,
    ProofError,
    ReflectionError,
    RefusedByPeerError,
    UnknownKeyError,
)
from pyeno.auth.exchange import Authenticated
from pyeno.auth.keys import fingerprint, load_identity, load_psk
from pyeno.auth.known_hosts import KnownHosts
from pyeno.auth.pins import Pins
from pyeno.auth.psk import PskExchange

__all__ = [
    "NAME", "Authenticated", "AuthenticationTimeoutError", "ChangedKeyError", "ChannelBinding",
    "Ed25519Exchange", "EndedEarlyError", "KeyFileError", "KnownHosts", "KnownHostsError",
    "MessageError", "MethodError", "NotAuthenticated", "PeerNotAuthenticatedError", "Pins",
    "ProofError", "PskExchange", "ReflectionError", "RefusedByPeerError", "UnknownKeyError",
    "WhyNot", "authenticate_ed25519", "authenticate_psk", "authenticate_tls_key",
    "channel_binding", "fingerprint", "if_aware", "load_identity", "load_psk", "unaware",
]  # fmt: skip
