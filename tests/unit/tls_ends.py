"""Two TLS ends without sockets, whose negotiation the test plays; and a foreign end:
the standard library's ``ssl``, which knows nothing of ENO."""

import contextlib
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from oracle import tls as by_hand

from pyeno import Config, Reason, Role
from pyeno._values import Outcome
from pyeno.errors import RemoteProtocolError
from pyeno.tls import keys
from pyeno.tls.binding import protocol_name
from pyeno.tls.connection import Connection
from pyeno.tls.definition import DEFINITION

TRANSCRIPT = bytes.fromhex("45033045040130")
OTHER = bytes.fromhex("4504213045040130")
NAME = protocol_name(TRANSCRIPT)
TLS = Config(teps=["tls"])
IDENTITY = keys.ephemeral()


def one(
    role: Role, config: Config = TLS, transcript: bytes = TRANSCRIPT, tep_byte: int = 0x30
) -> Connection:
    outcome = Outcome(Reason.NEGOTIATED, role, tep_byte=tep_byte, transcript=transcript)
    made = DEFINITION.create(outcome, config)
    assert isinstance(made, Connection)
    return made


def cut(stream: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """The stream in pieces of these sizes, again and again."""
    at = 0
    while at < len(stream):
        for size in sizes:
            yield stream[at : at + size]
            at += size


def shake(a: Connection, b: Connection, sizes: Iterable[int] = (1 << 20,)) -> None:
    """Carry bytes both ways until neither has any."""
    sizes = list(sizes)
    moved = True
    while moved:
        moved = False
        for here, there in ((a, b), (b, a)):
            for piece in filter(None, cut(here.data_to_send(), sizes)):
                moved = True
                there.receive_data(piece)


def pair(config: Config = TLS, other: Config | None = None) -> tuple[Connection, Connection]:
    a, b = one(Role.A, config), one(Role.B, other or config)
    shake(a, b)
    return a, b


def pem(path: Path, identity: keys.Identity = IDENTITY) -> Path:
    """A file with the key, and its certificate, as every TLS program takes them."""
    path.touch(0o600)
    path.write_bytes(
        identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + identity.certificate.public_bytes(Encoding.PEM)
    )
    return path


class Foreign:
    """One end of TLS by the standard library."""

    def __init__(
        self,
        role: Role,
        certificate: Path | None = None,
        names: tuple[bytes, ...] = (NAME,),
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> None:
        client = role is Role.A
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if client else ssl.PROTOCOL_TLS_SERVER)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        if names:
            context.set_alpn_protocols([name.decode() for name in names])
        if certificate is not None:
            context.load_cert_chain(certificate)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=not client)

    def shake(self) -> bool:
        """Whether the handshake is complete, as far as this end can tell."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def meet(self, host: Connection) -> None:
        """Handshake with one of ours; raises what either end raises."""
        for _ in range(6):
            self.shake()
            if sent := self.outgoing.read():
                host.receive_data(sent)
            if owed := host.data_to_send():
                self.incoming.write(owed)

    def send(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.outgoing.read()

    def receive(self, stream: bytes) -> bytes:
        self.incoming.write(stream)
        got = b""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while part := self.tls.read(1 << 16):
                got += part
        return got

    def close(self) -> bytes:
        """close_notify."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.outgoing.read()


CERTIFICATE = IDENTITY.certificate.public_bytes(Encoding.DER)


def fails(
    kind: type[Exception], end: Connection, stream: bytes, says: str | None = None
) -> Exception:
    """Taking this raises exactly that kind, at once or when it is read; then no data come."""
    established = end.established
    with pytest.raises(kind, match=says) as caught:
        end.receive_data(stream)
        assert established
        end.read(100)
    assert type(caught.value) is kind and isinstance(caught.value, RemoteProtocolError)
    assert "connection aborted" in str(caught.value).lower()
    if established:
        with pytest.raises(kind):
            end.read(100)
    else:
        assert not end.established
    return caught.value


def host(**wishes: Any) -> by_hand.HostB:
    made = by_hand.HostB(NAME, CERTIFICATE, IDENTITY.key)
    for name, value in wishes.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    return made


def met() -> tuple[Connection, by_hand.HostB]:
    """Host A, and host B by hand, keys agreed."""
    a, b = one(Role.A), host()
    a.receive_data(b.answer(a.data_to_send()))
    b.finish(a.data_to_send())
    return a, b


def spki(certificate: Any) -> bytes:
    return keys.public_key(lambda: certificate)
