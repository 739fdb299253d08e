"""Keys in files, and public keys in words.

Ed25519 keys are OpenSSH's (``ssh-keygen -t ed25519``), pre-shared ones
hexadecimal digits (``openssl rand -hex 32``).
"""

import base64
import hashlib
import re
from os import PathLike
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_ssh_private_key,
    load_ssh_public_key,
)

from pyeno._keyfiles import read_secret
from pyeno.auth.errors import KeyFileError
from pyeno.auth.psk import KEY_MIN

ALGORITHM: Final = "ssh-ed25519"
"""of identities, each key its 32 bytes"""
TLS_ALGORITHM: Final = "ecdsa-sha2-nistp256"
"""of TLS's keys, each an uncompressed point of 65 bytes (RFC 5656, RFC 5480 section 2.2)"""
ALGORITHMS: Final = (ALGORITHM, TLS_ALGORITHM)
ED25519_LEN: Final = 32
_HEX: Final = re.compile(rb"\s*([0-9A-Fa-f]+)\s*")


def raw_public(key: Ed25519PublicKey) -> bytes:
    """Its 32 bytes (RFC 8032 section 5.1.5)."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def raw_point(spki: bytes) -> bytes:
    """The 65 bytes of a P-256 key in a SubjectPublicKeyInfo; raises ValueError for others."""
    try:
        public = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        public = None
    if not isinstance(public, EllipticCurvePublicKey) or not isinstance(
        public.curve, SECP256R1
    ):
        raise ValueError("no P-256 key")
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def encode_public(key: bytes) -> str:
    """``ssh-ed25519 AAAA…`` or ``ecdsa-sha2-nistp256 AAAA…``, as in ``.pub`` files
    (RFC 4253 section 6.6, RFC 8709, RFC 5656)."""
    public: Ed25519PublicKey | EllipticCurvePublicKey
    if len(key) == ED25519_LEN:
        public = Ed25519PublicKey.from_public_bytes(key)
    else:
        public = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), key)
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def parse_public(text: str) -> bytes:
    """The inverse; raises ValueError."""
    try:
        public = load_ssh_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        public = None
    algorithm = text.split(None, 1)[0] if text.strip() else ALGORITHM
    if algorithm == TLS_ALGORITHM and isinstance(public, EllipticCurvePublicKey):
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    if not isinstance(public, Ed25519PublicKey):
        named = algorithm if algorithm in ALGORITHMS else ALGORITHM
        raise ValueError(f"no {named} public key in base64")
    return raw_public(public)


def fingerprint(key: bytes) -> str:
    """``SHA256:…`` of a public key, as ``ssh-keygen -l`` writes it."""
    blob = base64.b64decode(encode_public(key).split()[1])
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"


def load_identity(path: str | PathLike[str]) -> Ed25519PrivateKey:
    """The Ed25519 private key of an OpenSSH file that is not encrypted.

    Raises KeyFileError for what is none, or can be read by others; OSError.
    """
    data = _read_secret(path)
    try:
        key = load_ssh_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(
            f"{path}: no Ed25519 private key of OpenSSH's, or an encrypted one; make one: "
            "ssh-keygen -t ed25519 -N ''"
        )
    return key


def load_psk(path: str | PathLike[str]) -> bytes:
    """A pre-shared key: hexadecimal digits, two a byte, 16 bytes or more.

    Raises KeyFileError for what is none, or can be read by others; OSError.
    """
    found = _HEX.fullmatch(_read_secret(path))
    if found is None or len(found[1]) % 2 or len(found[1]) < 2 * KEY_MIN:
        raise KeyFileError(
            f"{path}: no pre-shared key, which is {2 * KEY_MIN} hexadecimal digits or more, "
            "two for each byte, and nothing else; make one: openssl rand -hex 32"
        )
    return bytes.fromhex(found[1].decode())


def _read_secret(path: str | PathLike[str]) -> bytes:
    try:
        return read_secret(path)
    except ValueError as error:
        raise KeyFileError(str(error)) from None
