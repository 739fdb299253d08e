"""ECDHE-Curve25519 key agreement (RFC 8548 section 5).

:func:`x25519_public` gives Pub_A or Pub_B of a private key, and
:func:`x25519` the ephemeral secret ES of a private key and the remote public
key.  A remote key of low order is refused: "implementations MUST check
whether the computed Diffie-Hellman shared secret is the all-zero value and
abort if so".

:class:`Secret` carries private keys, ephemeral secrets and traffic keys from
stage to stage: opaque bytes, wiped when no longer needed.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyeno._native.agreement import x25519 as x25519
    from pyeno._native.agreement import x25519_public as x25519_public
    from pyeno._native.secret import Secret as Secret
else:
    from pyeno._backend import load

    _twin = load("agreement")
    x25519 = _twin.x25519
    x25519_public = _twin.x25519_public
    Secret = load("secret").Secret

__all__ = ["Secret", "x25519", "x25519_public"]
