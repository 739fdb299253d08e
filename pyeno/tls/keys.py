"""Host B's signing key and its certificate; the peer's public key.

TLS 1.3 wants a signature of host B, and so a key.  By default it means nothing to
anybody and is soon another one; a long-lived one is there to be recognized (trust on
first use).  The certificate around it says nothing: nobody validates it (the draft,
section 4.1.2).
"""

import base64
import contextlib
import datetime
import hashlib
import os
from collections.abc import Callable
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
    load_ssh_private_key,
)
from cryptography.x509.oid import NameOID

from pyeno._keyfiles import read_secret
from pyeno.errors import ConfigError
from pyeno.tls.errors import CertificateError

CURVE: Final = ec.SECP256R1()
# no clock: "the certificate has no well-defined expiration date" (RFC 5280 section 4.1.2.5)
_FROM: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_UNTIL: Final = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "TCP-ENO")])


class Identity(NamedTuple):
    """A key and the certificate that carries its public half."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def ephemeral() -> Identity:
    """A new P-256 key, nowhere but in memory."""
    return certify(ec.generate_private_key(CURVE))


def certify(key: ec.EllipticCurvePrivateKey) -> Identity:
    """With a self-signed certificate, as small as X.509 allows."""
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .sign(key, hashes.SHA256())
    )
    return Identity(key, certificate)


# -- a long-lived key ----------------------------------------------------------------


class KeyFile(NamedTuple):
    """A file that holds one, and how it was when it was looked at."""

    path: str
    state: tuple[int, ...]


def look(path: str | PathLike[str]) -> KeyFile:
    """The file as it is now, so that a replaced one is read again; raises ConfigError."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise ConfigError(f"tls_key: cannot read {path}: {error.strerror}") from None
    return KeyFile(
        os.fspath(path), (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    )


@lru_cache(maxsize=16)
def load(file: KeyFile) -> Identity:
    """The P-256 private key of a PEM or OpenSSH file, not encrypted, that only its owner
    can read; raises ConfigError."""
    try:
        data = read_secret(file.path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"tls_key: {error}") from None
    parse = load_ssh_private_key if b"BEGIN OPENSSH" in data else load_pem_private_key
    try:
        key = parse(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != CURVE.name:
        raise ConfigError(
            f"tls_key: {file.path} holds no P-256 private key, or an encrypted one; make one: "
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE"
        )
    return certify(key)


# -- the peer's ------------------------------------------------------------------------


def public_key(certificate: Callable[[], x509.Certificate | None]) -> bytes:
    """The key that host B's CertificateVerify was checked with: SubjectPublicKeyInfo, DER.

    Raises CertificateError for what cannot be read, and where a KeyUsage does not allow
    signatures (RFC 8446 section 4.4.2.2).
    """
    try:
        read = certificate()
        if read is None:
            raise ValueError("none")
        signs = _signs(read)
        key = read.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except Exception as error:  # ValueError, and many that are none: the bytes are the peer's
        raise CertificateError(
            f"host B's certificate cannot be read ({error}); connection aborted"
        ) from None
    if not signs:
        raise CertificateError(
            "host B's certificate does not allow its key to sign: KeyUsage lacks "
            "digitalSignature (RFC 8446 section 4.4.2.2); connection aborted"
        )
    return key


def _signs(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    except x509.ExtensionNotFound:
        return True
    return usage.value.digital_signature


def fingerprint(key: bytes) -> str:
    """Of a SubjectPublicKeyInfo: ``SHA256:…`` as ``ssh-keygen -l`` writes it, of a key that
    OpenSSH has no name for that of the DER itself."""
    blob = key
    with contextlib.suppress(ValueError, UnsupportedAlgorithm):
        public: Any = load_der_public_key(key)
        line = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        blob = base64.b64decode(line.split()[1])
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"
