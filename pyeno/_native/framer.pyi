from typing import final

from pyeno._native.secret import Secret
from pyeno._values import Buffer

@final
class Sealer:
    """Application data to frames (RFC 8548 sections 3.6 to 3.8).

    One thread at a time: a second one gets ``LocalProtocolError``, as does
    whoever uses it after ``wipe()`` or seals after FINp. A failed call changes
    nothing.
    """

    def __init__(self, aead: int, key: Secret, offset: int, *, frame_size: int = ...) -> None:
        """``key``: a traffic key. ``offset``: stream bytes sent before the first
        frame. ``frame_size``: application bytes per frame at most, 1 to 65518.
        """
    @property
    def offset(self) -> int:
        """Of the next frame in the TCP stream, in bytes."""
    @property
    def generation(self) -> int:
        """Local generation number: rekeyings so far (section 3.8)."""
    @property
    def finished(self) -> bool:
        """A frame with FINp has been sealed."""
    def pace(self, now: int) -> None:
        """Tell when the next frames are sealed, in milliseconds of any clock. The first
        128 KiB after a second without any, and at the start, go in frames of 14000
        bytes at most, which fit what TCP sends at once. Without it all may be large."""
    def seal(self, data: Buffer, *, fin: bool = False, urgent: int | None = None) -> bytes:
        """One frame or more; exactly one, empty, for no data.

        ``fin`` sets FINp on the last one. ``urgent`` is the index in ``data`` of
        the last urgent byte; ``data`` then must fit one frame (section 3.7).
        """
    def seal_into(
        self, out: bytearray | memoryview, data: Buffer, *, fin: bool = False
    ) -> tuple[int, int]:
        """As many frames as fit in ``out``: (bytes of data taken, bytes written).

        FINp is set only if all data was taken. ``ValueError`` if ``out`` has no
        room for a frame's 20 bytes and one of data.
        """
    def rekey(self, key: Secret) -> None:
        """Go on under the next generation's key: the next frame has rekey = 1."""
    def wipe(self) -> None: ...

@final
class Opener:
    """The TCP stream to authenticated application data (sections 3.6 to 3.8).

    Errors of the peer raise ``RemoteProtocolError``, a failed authentication
    its subclass ``AuthenticationError``: after what was authenticated before
    has been read, and again at every later call. One thread at a time.
    """

    def __init__(self, aead: int, key: Secret, offset: int) -> None:
        """``key``: a traffic key. ``offset``: stream bytes received before the
        first frame."""
    @property
    def offset(self) -> int:
        """Of the next frame to open in the TCP stream, in bytes."""
    @property
    def generation(self) -> int:
        """Remote generation number: frames with rekey = 1 opened (section 3.8)."""
    @property
    def finished(self) -> bool:
        """FINp is authenticated: the end of file is where ``pending`` ends, unless
        more stream bytes come, which is an error (section 3.7)."""
    @property
    def buffered(self) -> int:
        """Stream bytes fed and not opened yet."""
    @property
    def pending(self) -> int:
        """Authenticated application bytes not read yet."""
    @property
    def rekey_wanted(self) -> bool:
        """Reading stopped before a whole frame with rekey = 1: call ``rekey``."""
    @property
    def urgent_index(self) -> int | None:
        """Index of the last urgent byte in the application stream (section 3.7)."""
    @property
    def urgent_byte(self) -> int | None:
        """That byte; None again after ``wipe()``."""
    @property
    def read_index(self) -> int:
        """In the application stream, of the byte that ``read`` gives next."""
    @property
    def empty_rekeys(self) -> int:
        """Frames with rekey = 1 and no data opened so far (section 3.8)."""
    @property
    def oob_inline(self) -> bool:
        """Whether ``read`` gives the urgent byte too (SO_OOBINLINE); True at first.
        Either way a read ends before it, and the next one begins there."""
    @oob_inline.setter
    def oob_inline(self, wish: bool) -> None: ...
    def feed(self, data: Buffer) -> None:
        """Append a copy of stream bytes."""
    def room(self, size: int) -> memoryview:
        """``size`` writable bytes for ``recv_into``; then call ``received``.

        Good until the next ``feed``, ``room`` or ``read``; keeping it longer is harmless.
        """
    def received(self, size: int) -> None:
        """The first ``size`` bytes of ``room()`` are stream bytes; may be 0."""
    def read(self, size: int) -> bytes:
        """At most ``size`` application bytes; empty when no frame is complete,
        a key is wanted, or at the end. ``read(0)`` opens frames until
        something is ``pending`` or known."""
    def read_into(self, out: bytearray | memoryview) -> int:
        """As ``read``; the number of bytes put into ``out``. Of what is beyond, a frame that
        is refused may have wiped some."""
    def peek(self, size: int) -> bytes:
        """What ``read`` would give of the ``pending`` bytes; they stay."""
    def open_ahead(self) -> None:
        """Open every whole frame until one wants a key, whatever is pending. A new
        urgent byte replaces an older one, which then is read as any other."""
    def rekey(self, key: Secret) -> None:
        """The key for the next frame with rekey = 1; it takes the old one's
        place when that frame authenticates."""
    def wipe(self) -> None:
        """Forget keys and buffered bytes."""
