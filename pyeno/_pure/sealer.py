"""Sealing frames: one half of :mod:`pyeno._pure.framer`, which has the figure."""

from typing import Final, final

import pyeno._complaints as say
from pyeno._pure.aead import Key, Turn
from pyeno._pure.secret import Secret, octets
from pyeno._values import Buffer
from pyeno.constants import (
    AEAD_TAG_LEN,
    CONTROL_REKEY,
    FLAG_FINP,
    FLAG_URGP,
    FLAGS_LEN,
    FRAME_DATA_MAX,
    FRAME_HEADER_LEN,
)

URGENT_LEN: Final = 2
CLEN_MIN: Final = FLAGS_LEN + AEAD_TAG_LEN
FRAME_OVERHEAD: Final = FRAME_HEADER_LEN + CLEN_MIN
UINT64_MAX: Final = (1 << 64) - 1
EARLY_FRAME: Final = 14000
EARLY_BYTES: Final = 1 << 17
IDLE_MS: Final = 1000


def stream_offset(offset: int) -> int:
    if not 0 <= offset <= UINT64_MAX:
        raise say.out_of_range("offset", offset, 0, UINT64_MAX)
    return offset


@final
class Sealer:
    def __init__(
        self, aead: int, key: Secret, offset: int, *, frame_size: int = FRAME_DATA_MAX
    ) -> None:
        self._offset = stream_offset(offset)
        if not 1 <= frame_size <= FRAME_DATA_MAX:
            raise say.out_of_range("frame_size", frame_size, 1, FRAME_DATA_MAX)
        self._aead = aead
        self._key: Key | None = Key(aead, key)
        self._frame_size = frame_size
        self._generation = 0
        self._early_until = 0
        self._sealed_at = -IDLE_MS
        self._rekey = False
        self._finished = False
        self._turn = Turn("Sealer")

    def __repr__(self) -> str:
        return (
            f"<Sealer: stream offset {self._offset}>" if self._turn.live else "<Sealer: wiped>"
        )

    @property
    def offset(self) -> int:
        return self._offset

    @property
    def generation(self) -> int:
        return self._generation

    @property
    def finished(self) -> bool:
        return self._finished

    def pace(self, now: int) -> None:
        with self._turn:
            if now - self._sealed_at >= IDLE_MS:
                self._early_until = self._offset + EARLY_BYTES
            self._sealed_at = now

    def _limit(self, written: int, urgent: bytes) -> int:
        """Application bytes in the frame after so many more stream bytes, at most."""
        early = self._offset + written < self._early_until and not urgent
        return min(EARLY_FRAME, self._frame_size) if early else self._frame_size

    def _urgent_field(self, urgent: int | None, size: int) -> bytes:
        """The field must fall inside the one frame (section 3.7)."""
        limit = min(self._frame_size, FRAME_DATA_MAX - URGENT_LEN)
        if urgent is None:
            return b""
        if size > limit:
            raise say.urgent_frame(size, limit)
        if not 0 <= urgent < size:
            raise say.out_of_range("urgent", urgent, 0, size - 1)
        return urgent.to_bytes(URGENT_LEN)

    def _seal_frame(
        self, data: memoryview, offset: int, *, rekey: bool, fin: bool, urgent: bytes
    ) -> bytes:
        assert self._key is not None
        flags = (FLAG_FINP if fin else 0) | (FLAG_URGP if urgent else 0)
        text = b"".join((bytes((flags,)), urgent, data))
        clen = len(text) + AEAD_TAG_LEN
        ad = bytes((CONTROL_REKEY if rekey else 0, clen >> 8, clen & 0xFF))
        return ad + self._key.seal(text, offset, ad)

    def _run(
        self, data: memoryview, room: int, *, fin: bool, urgent: bytes = b""
    ) -> tuple[list[bytes], int]:
        """Frames that fit in ``room``, and how much of ``data`` they carry."""
        if room > UINT64_MAX - self._offset:
            raise say.stream_full(self._offset)
        overhead = FRAME_OVERHEAD + len(urgent)
        frames: list[bytes] = []
        taken = written = 0
        rekey, last = self._rekey, False
        while not last:
            left = len(data) - taken
            space = room - written - overhead
            if space < 0 or (left and not space):
                break
            chunk = data[taken : taken + min(left, self._limit(written, urgent), space)]
            taken += len(chunk)
            last = taken == len(data)
            frames.append(
                self._seal_frame(
                    chunk, self._offset + written, rekey=rekey, fin=fin and last, urgent=urgent
                )
            )
            written += overhead + len(chunk)
            rekey = False
        self._offset += written
        self._rekey = rekey
        self._finished = fin and last
        return frames, taken

    def _size(self, size: int, urgent: bytes = b"") -> int:
        overhead = FRAME_OVERHEAD + len(urgent)
        written = overhead + min(size, self._limit(0, urgent))
        left = size - (written - overhead)
        while left:
            chunk = min(left, self._limit(written, urgent))
            written += overhead + chunk
            left -= chunk
        return written

    def _check(self, deed: str) -> None:
        if self._finished:
            raise say.finished(deed)

    def seal(self, data: Buffer, *, fin: bool = False, urgent: int | None = None) -> bytes:
        with self._turn:
            self._check("seal")
            view = octets(data)
            field = self._urgent_field(urgent, len(view))
            room = self._size(len(view), field)
            return b"".join(self._run(view, room, fin=fin, urgent=field)[0])

    def seal_into(
        self, out: bytearray | memoryview, data: Buffer, *, fin: bool = False
    ) -> tuple[int, int]:
        with self._turn:
            self._check("seal")
            view, target = octets(data), octets(out)
            if target.readonly:
                raise BufferError("out is not writable")
            need = FRAME_OVERHEAD + (len(view) > 0)
            if len(target) < need:
                raise say.no_room(len(target), need)
            room = min(len(target), self._size(len(view)))
            frames, taken = self._run(view, room, fin=fin)
            stream = b"".join(frames)
            target[: len(stream)] = stream
            return taken, len(stream)

    def rekey(self, key: Secret) -> None:
        with self._turn:
            self._check("rekey")
            if self._rekey:
                raise say.rekeyed_already()
            self._key = Key(self._aead, key)
            self._generation += 1
            self._rekey = True

    def wipe(self) -> None:
        self._turn.end()
        self._key = None
