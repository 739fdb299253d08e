"""Key agreement for TEP 0x23 and the opaque :class:`Secret` (RFC 8548 section 5)."""

from typing import TYPE_CHECKING

from pyeno._backend import load

if TYPE_CHECKING:
    from pyeno._native.agreement import x25519, x25519_public
    from pyeno._native.secret import Secret
else:
    Secret = load("secret").Secret
    x25519 = load("agreement").x25519
    x25519_public = load("agreement").x25519_public

__all__ = ["Secret", "x25519", "x25519_public"]
