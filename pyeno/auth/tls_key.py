"""Who host B is, by the key that its TLS handshake proved.

Nothing is sent: the handshake, whose transcript covers the ENO options, has the proof
already.  Host A alone learns something; host B does not know who host A is.
"""

from typing import Any, Final

from pyeno.auth.binding import channel_binding, info_of
from pyeno.auth.errors import UnknownKeyError
from pyeno.auth.exchange import Authenticated
from pyeno.auth.keys import TLS_ALGORITHM, fingerprint, raw_point
from pyeno.auth.pins import Pins
from pyeno.errors import LocalProtocolError

METHOD: Final = "tls-key"


def key_of(connection: Any) -> bytes:
    """Host B's key as it came, SubjectPublicKeyInfo.

    Raises NotEncryptedError, and LocalProtocolError where nobody proved a key: as host B,
    or where the TEP is another.
    """
    channel_binding(connection)
    key = info_of(connection).peer_key
    if key is None:
        raise LocalProtocolError(
            "no key of the peer: only host A of a TLS connection has host B's; "
            "Config(teps=['tls'], require=True) makes the active opener host A of one"
        )
    return key


def recognize(key: bytes, pins: Pins) -> Authenticated:
    """Whether it is the pinned one; raises UnknownKeyError, ChangedKeyError, OSError."""
    try:
        point = raw_point(key)
    except ValueError:
        from pyeno.tls.keys import fingerprint as of_any

        raise UnknownKeyError(
            f"host B's TLS key {of_any(key)} is no {TLS_ALGORITHM} key, so none that can be "
            "pinned; connection reset",
            of_any(key),
        ) from None
    name, new = pins.judge(point)
    if new:
        pins.pin(point)
    return Authenticated(METHOD, name, fingerprint(point), new)
