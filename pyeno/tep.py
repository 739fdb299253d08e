"""TCP encryption protocols: what every TEP has to give (RFC 8547 section 5).

Sockets drive a :class:`TepConnection` without knowing which TEP it is.  The
registry maps identifiers to factories; tcpcrypt's entries are made on first
use so that importing this module costs nothing.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from pyeno._values import Buffer, Outcome
from pyeno.constants import Tep

if TYPE_CHECKING:
    from pyeno.config import Config
    from pyeno.events import Event
    from pyeno.pump import Lock, Pump
    from pyeno.tcpcrypt.sessions import Session


class TepConnection(Protocol):
    """One encrypted connection without I/O.

    Stream bytes go in through ``receive_data`` (or ``room``/``received``,
    without a copy), stream bytes to send come out of ``data_to_send`` and
    ``seal_into``.  Whatever raises :class:`pyeno.RemoteProtocolError` obliges
    the caller to abort the TCP connection.
    """

    @property
    def established(self) -> bool:
        """Keys are agreed: application data may be sent."""

    @property
    def finished(self) -> bool:
        """The peer's end of stream has been authenticated and all data read."""

    @property
    def session_id(self) -> bytes:
        """At least 33 bytes; raises NotEncryptedError before ``established``."""

    @property
    def aead(self) -> int | None:
        """The negotiated AEAD's number, if the TEP has such a notion."""

    @property
    def generation(self) -> int:
        """The local key generation."""

    @property
    def remote_generation(self) -> int:
        """The generation of the peer's frames."""

    @property
    def unanswered(self) -> bool:
        """A rekeying of this host has not been answered: the remote generation is lower.

        With ``opened`` it tells whether the peer is alive, for those who have a
        clock: frames opened while nothing is unanswered are fresh.
        """

    @property
    def opened(self) -> int:
        """Stream bytes up to the last frame that was authenticated."""

    @property
    def sealed(self) -> int:
        """Stream bytes made so far, to be sent all of them, once ``established``."""

    @property
    def buffered(self) -> int:
        """Stream bytes received and not opened yet."""

    @property
    def ended(self) -> bool:
        """The peer's end of stream has been authenticated; data may be unread."""

    def dataless(self, head: bytes) -> tuple[int, bool]:
        """Of the stream bytes that come next: (how many are whole frames without
        application data, whether data are among what follows them).

        Nothing is authenticated by that; it tells what can be received without
        taking data out of the kernel.
        """

    @property
    def awaited(self) -> int:
        """Authenticated application bytes ready to be read."""

    @property
    def frame_data(self) -> int:
        """Application bytes in one frame at most."""

    @property
    def owes(self) -> bool:
        """``data_to_send`` has something."""

    def meanwhile(self) -> None:
        """Bytes of the key exchange are on their way and the peer computes: a moment for
        what later connections will need."""

    def resume(self, session: "Session") -> None:
        """Take the secret of the session the negotiation resumed: ``established``.

        Raises LocalProtocolError for another session, or where none was resumed.
        """

    def next_session(self) -> "Session | None":
        """What a later connection may resume, once ``established``; whoever asks first
        has it and wipes it."""

    def data_to_send(self) -> bytes:
        """Protocol bytes owed to the peer; sent before any ``seal_into``."""

    def receive_data(self, data: Buffer) -> None:
        """Take bytes of the TCP stream."""

    def room(self, size: int) -> memoryview:
        """A buffer of at least one byte to receive into; ``received`` commits."""

    def received(self, size: int) -> None:
        """Commit ``size`` bytes written into ``room``."""

    def receive_eof(self) -> None:
        """The TCP stream ended; raises TruncationError unless authenticated."""

    def read(self, size: int) -> bytes:
        """Up to ``size`` application bytes; empty: none yet, or ``finished``."""

    def read_into(self, out: bytearray | memoryview) -> int:
        """The same into a buffer."""

    def peek(self, size: int) -> bytes:
        """What ``read`` would give of the bytes ``awaited``; they stay."""

    def open_ahead(self) -> None:
        """Open all that was received, whatever is ``awaited``."""

    @property
    def urgent_index(self) -> int | None:
        """Of the newest urgent byte in the application stream; ``read`` ends before it."""

    @property
    def urgent_byte(self) -> int | None:
        """That byte."""

    @property
    def read_index(self) -> int:
        """Of the byte that ``read`` gives next."""

    @property
    def oob_inline(self) -> bool:
        """Whether ``read`` gives the urgent byte too; True at first."""

    @oob_inline.setter
    def oob_inline(self, wish: bool) -> None: ...

    def next_event(self) -> "Event | None":
        """The next thing that happened, for sans-IO users."""

    def seal_into(
        self, out: bytearray | memoryview, data: Buffer, *, fin: bool = False
    ) -> tuple[int, int]:
        """(application bytes taken, stream bytes written)."""

    def send(self, data: Buffer, *, fin: bool = False, urgent: bool = False) -> bytes:
        """The stream bytes for this application data; ``urgent``: its last byte is."""

    def rekey(self) -> None:
        """Initiate rekeying: with the next data, or with an empty frame if
        ``data_to_send`` is asked first and the protocol allows one."""

    def pump(self, fd: int, writing: "Lock", reading: "Lock") -> "Pump | None":
        """What seals and opens straight from and to the descriptor, under these locks of
        its owner, once ``established``; None where the TEP has nothing compiled."""

    def arm(self, pump: "Pump") -> None:
        """Let the pump send, up to where something else has to be done first."""

    def wipe(self) -> None:
        """Forget every secret."""


Factory = Callable[[Outcome, "Config"], TepConnection]


@cache
def _tcpcrypt_factory() -> Factory:
    made: Factory = import_module("pyeno.tcpcrypt.connection").create
    return made


def _tcpcrypt(outcome: Outcome, config: "Config") -> TepConnection:
    return _tcpcrypt_factory()(outcome, config)


_REGISTRY: dict[int, tuple[str, Factory]] = {
    Tep.TCPCRYPT_ECDHE_P256: ("p256", _tcpcrypt),  # [8548:5-14]
    Tep.TCPCRYPT_ECDHE_P521: ("p521", _tcpcrypt),  # [8548:5-15]
    Tep.TCPCRYPT_ECDHE_Curve25519: ("curve25519", _tcpcrypt),
    Tep.TCPCRYPT_ECDHE_Curve448: ("curve448", _tcpcrypt),  # [8548:5-13, 8.3-1]
}


def names() -> dict[str, Tep]:
    """The TEPs that can be negotiated, by the names users may write."""
    return {name: Tep(identifier) for identifier, (name, _) in _REGISTRY.items()}


def name(tep_byte: int) -> str:
    """The user's name of a TEP, or its number in hexadecimal."""
    for identifier, (known, _) in _REGISTRY.items():
        if identifier == tep_byte & 0x7F:
            return known
    return f"0x{tep_byte & 0x7F:02x}"


def create_connection(outcome: Outcome, config: "Config") -> TepConnection:
    """The sans-IO connection of the negotiated TEP."""
    return _REGISTRY[outcome.tep_byte & 0x7F][1](outcome, config)
