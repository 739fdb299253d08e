"""What a sans-IO connection tells its user: frozen events."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class EncryptionEnabled:
    """The key exchange is complete (RFC 8548 section 3.3)."""

    session_id: bytes
    aead: int | None
    """as :attr:`pyeno.tep.TepConnection.aead`"""


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Authenticated application data, in order."""

    data: bytes


@dataclass(frozen=True, slots=True)
class UrgentReceived:
    """Where the last byte of urgent data is (RFC 8548 section 3.7).

    Data received before it ends there: the ``DataReceived`` that begins at
    ``index`` of the application datastream begins with that byte.
    """

    index: int


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """The peer's frames now use this generation (RFC 8548 section 3.8)."""

    remote_generation: int


@dataclass(frozen=True, slots=True)
class EndOfStream:
    """An authenticated FINp: the peer sends no more (RFC 8548 section 3.7)."""


Event: TypeAlias = EncryptionEnabled | DataReceived | UrgentReceived | Rekeyed | EndOfStream
