"""Encryption frames (RFC 8548 sections 3.6, 3.7, 4.2).

    control | clen | AEAD(flags [| urgent] | data)

The framer follows the TCP stream's offset; frame ID and nonce come from it.
"""

from typing import TYPE_CHECKING

from pyeno._backend import load

if TYPE_CHECKING:
    from pyeno._native.framer import Opener, Sealer
else:
    Opener = load("framer").Opener
    Sealer = load("framer").Sealer

__all__ = ["Opener", "Sealer"]
