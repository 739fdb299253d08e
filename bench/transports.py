"""The three things compared: plain TCP, stdlib TLS 1.3, pyeno.

Each gives ``listen() -> socket`` and ``connect(address) -> socket`` whose
sockets are used alike by the scenarios.
"""

import datetime
import socket
import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import pyeno


class Transport(Protocol):
    """One row of a comparison."""

    name: str

    def listen(self, host: str) -> socket.socket:
        """A listening socket on a free port."""

    def accept(self, listener: socket.socket) -> socket.socket:
        """One accepted connection, ready for data."""

    def connect(self, address: tuple[str, int]) -> socket.socket:
        """One connection, ready for data."""


class Plain:
    """Kernel TCP and nothing else."""

    name = "plain"

    def listen(self, host: str) -> socket.socket:
        return socket.create_server((host, 0), backlog=128)

    def accept(self, listener: socket.socket) -> socket.socket:
        return listener.accept()[0]

    def connect(self, address: tuple[str, int]) -> socket.socket:
        return socket.create_connection(address)


class Tls(Plain):
    """Stdlib ``ssl``, TLS 1.3, its default cipher, a P-256 certificate."""

    name = "tls1.3"

    def __init__(self) -> None:
        self.passive = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.passive.minimum_version = ssl.TLSVersion.TLSv1_3
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "certificate.pem"
            path.write_bytes(certificate())
            self.passive.load_cert_chain(path)
        self.active = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.active.minimum_version = ssl.TLSVersion.TLSv1_3
        self.active.check_hostname = False
        self.active.verify_mode = ssl.CERT_NONE

    def accept(self, listener: socket.socket) -> socket.socket:
        return self.passive.wrap_socket(super().accept(listener), server_side=True)

    def connect(self, address: tuple[str, int]) -> socket.socket:
        return self.active.wrap_socket(super().connect(address))


class Eno:
    """pyeno; a connection that is not encrypted is an error, not a result."""

    def __init__(self, aead: pyeno.Aead) -> None:
        self.name = f"pyeno-{aead.name.lower()}"
        self._config = pyeno.Config(aeads=(aead,), require=True)

    def listen(self, host: str) -> socket.socket:
        return pyeno.create_server((host, 0), backlog=128, config=self._config)

    def accept(self, listener: socket.socket) -> socket.socket:
        return listener.accept()[0]

    def connect(self, address: tuple[str, int]) -> socket.socket:
        return pyeno.create_connection(address, config=self._config)


@cache
def certificate() -> bytes:
    """A self-signed P-256 certificate and its key, PEM."""
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
