from typing import Protocol, final

from pyeno._native.framer import Opener, Sealer
from pyeno._values import Buffer

@final
class Lock:
    """As threading.Lock; taken in compiled code without a call."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...
    def locked(self) -> bool: ...
    def __enter__(self) -> bool: ...
    def __exit__(self, *_: object) -> None: ...

class Link(Protocol):
    """Who does what is not as usual, and the rest of a call that was begun here."""

    def send(self, data: Buffer) -> int: ...
    def sendall(self, data: Buffer) -> None: ...
    def recv(self, size: int) -> bytes: ...
    def recv_into(self, out: bytearray | memoryview) -> int: ...
    def keep_unsent(self, sealed: bytes, data: bytes) -> None: ...
    def first_sent(self) -> None: ...
    def fin_sealed(self) -> None: ...
    def look_out(self) -> None: ...
    def answer(self) -> None: ...
    def meaning(self, error: OSError) -> Exception: ...
    def receive_failed(self, error: OSError) -> Exception: ...

@final
class Pump:
    """The usual case of send and recv on one descriptor, compiled: seal and send(2),
    recv(2) and open, as the descriptor itself blocks or does not.

    One call seals many frames and hands the kernel as many as fit one batch; what
    is received is opened into the caller's memory where whole frames fit. The
    link is given to each call, and not kept: it holds the pump.
    """

    sending: bool
    """Nothing waits to be sent, looked at or told first. Whoever makes it so that
    something does sets it False; what was begun asks again after its lock is free."""
    receiving: bool
    """The same of receiving."""
    first: bool
    """The link wants to know when the next bytes are sent."""
    look_at: float
    """Moment of the monotonic clock from which the next sending call looks what came in."""

    def __init__(
        self,
        sealer: Sealer,
        opener: Opener,
        fd: int,
        writing: Lock,
        reading: Lock,
        *,
        paced: bool,
    ) -> None:
        """``writing`` and ``reading``: the link's locks. ``paced``: tell the sealer the
        time of every call."""
    def arm(self, limit: int) -> None:
        """``sending`` is True; no frame may reach past stream offset ``limit``."""
    @property
    def sent(self) -> int:
        """Stream bytes that the kernel took from here."""
    @property
    def heard(self) -> float:
        """When stream bytes came last, by the monotonic clock."""
    def send(self, link: Link, data: Buffer) -> int:
        """As socket.send(): the count of bytes in frames the kernel took whole."""
    def sendall(self, link: Link, data: Buffer) -> None: ...
    def finish(self, link: Link) -> bool:
        """Send the frame with FINp, without waiting and with more to come (TCP's FIN);
        False where the link is to send it, or what is left of it."""
    def discard(self) -> int:
        """Bytes that had come and are gone now, unread."""
    def recv(self, link: Link, size: int) -> bytes: ...
    def recv_into(self, link: Link, out: bytearray | memoryview) -> int: ...
