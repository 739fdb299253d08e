"""What sockets, asyncio and relays ask of a TEP's connection; they ask nothing else.

:class:`Essential` is what a TEP must give.  What :class:`TepConnection` adds to
it not every protocol has: :class:`pyeno.tep.Defaults` answers for one that has
not, and a :class:`pyeno.tep.Definition` says beforehand which are meant.
"""

from typing import TYPE_CHECKING, Protocol

from pyeno._values import Buffer

if TYPE_CHECKING:
    from pyeno.events import Event
    from pyeno.pump import Lock, Pump
    from pyeno.tcpcrypt.sessions import Session


class Essential(Protocol):
    """One encrypted connection without I/O.

    Stream bytes go in through ``receive_data`` (or ``room``/``received``,
    without a copy), stream bytes to send come out of ``data_to_send`` and
    ``seal_into``.  Whatever raises :class:`pyeno.RemoteProtocolError` obliges
    the caller to abort the TCP connection.  One thread may send while another
    receives.
    """

    # -- what is known -------------------------------------------------------

    @property
    def established(self) -> bool:
        """Keys are agreed: application data may be sent."""

    @property
    def session_id(self) -> bytes:
        """At least 33 bytes; raises NotEncryptedError before ``established``."""

    @property
    def ended(self) -> bool:
        """The peer's end of stream has been authenticated; data may be unread."""

    @property
    def finished(self) -> bool:
        """The peer's end of stream has been authenticated and all data read."""

    @property
    def opened(self) -> int:
        """Stream bytes up to the last frame that was authenticated."""

    @property
    def buffered(self) -> int:
        """Stream bytes received and not opened yet."""

    @property
    def awaited(self) -> int:
        """Authenticated application bytes ready to be read."""

    @property
    def sealed(self) -> int:
        """Stream bytes made so far, to be sent all of them, once ``established``."""

    @property
    def owes(self) -> bool:
        """``data_to_send`` has something."""

    @property
    def frame_data(self) -> int:
        """Application bytes in one frame at most."""

    # -- stream bytes in, application bytes out --------------------------------

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

    def next_event(self) -> "Event | None":
        """The next thing that happened, for sans-IO users."""

    # -- application bytes in, stream bytes out --------------------------------

    def data_to_send(self) -> bytes:
        """Protocol bytes owed to the peer; sent before any ``seal_into``."""

    def seal_into(
        self, out: bytearray | memoryview, data: Buffer, *, fin: bool = False
    ) -> tuple[int, int]:
        """(application bytes taken, stream bytes written)."""

    def send(self, data: Buffer, *, fin: bool = False, urgent: bool = False) -> bytes:
        """The stream bytes for this application data; ``urgent``: its last byte is."""

    def wipe(self) -> None:
        """Forget every secret; nothing can be sent or read afterwards."""


class TepConnection(Essential, Protocol):
    """An :class:`Essential` connection and what some TEPs can do beyond that."""

    @property
    def aead(self) -> int | None:
        """The negotiated AEAD's number, if the TEP has such a notion."""

    @property
    def peer_key(self) -> bytes | None:
        """The public key that the peer proved to hold, if the TEP asks for one:
        SubjectPublicKeyInfo, in DER (RFC 5280 section 4.1.2.7)."""

    def last_words(self) -> bytes:
        """What to send, if it can leave at once, ahead of the RST of an aborted
        connection: tells the peer why."""

    # -- rekeying: Definition.rekeys -------------------------------------------

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

    def rekey(self) -> None:
        """Initiate rekeying: with the next data, or with an empty frame if
        ``data_to_send`` is asked first and the protocol allows one."""

    # -- urgent data: Definition.urgent ----------------------------------------

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

    # -- resumption from the kernel's session cache: Definition.resumes --------

    def resume(self, session: "Session") -> None:
        """Take the secret of the session the negotiation resumed: ``established``.

        Raises LocalProtocolError for another session, or where none was resumed.
        """

    def next_session(self) -> "Session | None":
        """What a later connection may resume, once ``established``; whoever asks first
        has it and wipes it."""

    # -- speed -----------------------------------------------------------------

    def meanwhile(self) -> None:
        """Bytes of the key exchange are on their way and the peer computes: a moment for
        what later connections will need."""

    def dataless(self, head: bytes) -> tuple[int, bool]:
        """Of the stream bytes that come next: (how many are whole frames without
        application data, whether data are among what follows them).

        Nothing is authenticated by that; it tells what can be received without
        taking data out of the kernel.
        """

    def pump(self, fd: int, writing: "Lock", reading: "Lock") -> "Pump | None":
        """What seals and opens straight from and to the descriptor, under these locks of
        its owner, once ``established``; None where the TEP has nothing compiled."""

    def arm(self, pump: "Pump") -> None:
        """Let the pump send, up to where something else has to be done first."""
