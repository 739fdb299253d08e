"""Encryption frames (RFC 8548 sections 3.6 to 3.8 and 4.2).

:class:`Sealer` turns application data into frames, :class:`Opener` the TCP
stream into authenticated application data.  Both take the offset at which
frames begin in their direction of the stream (the length of the Init message)
and derive every nonce themselves.  Neither does I/O::

    sealer = Sealer(Aead.AES_128_GCM, outgoing.traffic_key(), len(init1))
    sock.sendall(sealer.seal(b"hello", fin=True))

    opener = Opener(Aead.AES_128_GCM, incoming.traffic_key(), len(init2))
    with opener.room(65536) as view:
        n = sock.recv_into(view)
    opener.received(n)
    data = opener.read(65536)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyeno._native.framer import Opener as Opener
    from pyeno._native.framer import Sealer as Sealer
else:
    from pyeno._backend import load

    _twin = load("framer")
    Opener = _twin.Opener
    Sealer = _twin.Sealer

__all__ = ["Opener", "Sealer"]
