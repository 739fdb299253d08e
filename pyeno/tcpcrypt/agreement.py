"""Key agreement of each TEP (RFC 8548 section 5).

A :class:`KeyPair` gives Pub_A or Pub_B, and with the remote public key the
ephemeral secret ES.  It refuses a remote key that is no point of the curve
("MUST validate public keys as described in Section 5", IEEE 1363 A.16.10) and
one of low order: "implementations MUST check whether the computed
Diffie-Hellman shared secret is the all-zero value and abort if so".

:class:`Secret` carries private keys, ephemeral secrets and traffic keys from
stage to stage: opaque bytes, wiped when no longer needed.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyeno._native.agreement import KeyPair as KeyPair
    from pyeno._native.secret import Secret as Secret
else:
    from pyeno._backend import load

    KeyPair = load("agreement").KeyPair
    Secret = load("secret").Secret

__all__ = ["KeyPair", "Secret"]
