"""Contexts of the standard library's ``ssl`` for TLS 1.3, and their certificate.

A P-256 certificate, names not verified; 1.3 and nothing older.
"""

import ctypes
import datetime
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pyeno.bench.errors import BenchError

AES_128 = "TLS_AES_128_GCM_SHA256"
_CONFIG = """openssl_conf = bench
[bench]
ssl_conf = modules
[modules]
system_default = suites
[suites]
Ciphersuites = {}
"""


@contextmanager
def _file(content: bytes) -> Iterator[str]:
    """A path that leads to ``content``, in memory only."""
    descriptor = os.memfd_create("pyeno-bench")
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def demand(suite: str) -> None:
    """Let contexts made from now on, in this process, have one TLS 1.3 suite.

    ``ssl`` has no way to name it before Python 3.15: OpenSSL's configuration does.
    BenchError where it cannot be reached.
    """
    import _ssl

    try:
        load = ctypes.CDLL(_ssl.__file__).CONF_modules_load_file
    except (AttributeError, OSError) as error:
        raise BenchError(f"this Python's OpenSSL cannot be configured: {error}") from None
    load.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong]
    with _file(_CONFIG.format(suite).encode()) as path:
        if load(path.encode(), None, 0) != 1:
            raise BenchError(f"OpenSSL refused the configuration that names {suite}")


def passive(tickets: bool) -> ssl.SSLContext:
    """For the accepting end; ``tickets``: offer resumption."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if not tickets:
        context.num_tickets = 0
    with _file(certificate()) as path:
        context.load_cert_chain(path)
    return context


def active() -> ssl.SSLContext:
    """For the connecting end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def check(tls: ssl.SSLSocket | ssl.SSLObject, suite: str | None) -> None:
    """BenchError unless it is TLS 1.3 with that suite (None: any)."""
    cipher = (tls.cipher() or ("no cipher",))[0]
    if tls.version() != "TLSv1.3" or (suite is not None and cipher != suite):
        raise BenchError(
            f"negotiated {tls.version()}, {cipher} instead of {suite or 'TLS 1.3'}"
        )


@cache
def certificate() -> bytes:
    """A self-signed P-256 certificate and its key, PEM; the same for all forked."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
