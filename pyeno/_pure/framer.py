"""Sealing and opening frames: the pure twin of ``pyeno._native.framer``.

      byte   0       1       2       3               clen+2
         +-------+-------+-------+-------+---...---+-------+
         |control|      clen     |        ciphertext       |
         +-------+-------+-------+-------+---...---+-------+

    ciphertext = AEAD(flags [| urgent] | data)      RFC 8548 section 4.2.1
    associated data = control | clen                          section 4.2.2
    nonce = NR XOR frame ID, the frame's stream offset  sections 3.6, 4.2.3

One step of the compiled core is one function here, under the same name.
"""

from typing import Final, NamedTuple, final

from cryptography.exceptions import InvalidTag

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


def _stream_offset(offset: int) -> int:
    if not 0 <= offset <= UINT64_MAX:
        raise say.out_of_range("offset", offset, 0, UINT64_MAX)
    return offset


@final
class Sealer:
    def __init__(
        self, aead: int, key: Secret, offset: int, *, frame_size: int = FRAME_DATA_MAX
    ) -> None:
        self._offset = _stream_offset(offset)
        if not 1 <= frame_size <= FRAME_DATA_MAX:
            raise say.out_of_range("frame_size", frame_size, 1, FRAME_DATA_MAX)
        self._aead = aead
        self._key: Key | None = Key(aead, key)
        self._frame_size = frame_size
        self._generation = 0
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
            chunk = data[taken : taken + min(left, self._frame_size, space)]
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
        frames = -(-size // self._frame_size) or 1
        return size + frames * (FRAME_OVERHEAD + len(urgent))

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


class _Plaintext(NamedTuple):
    finp: bool
    urgent: int | None
    data: bytes


def _parse(text: bytes) -> _Plaintext | int:
    """An authenticated plaintext (section 4.2.1), or what is wrong with it."""
    flags = text[0]  # its six bits of fres are ignored
    if not flags & FLAG_URGP:
        return _Plaintext(bool(flags & FLAG_FINP), None, text[FLAGS_LEN:])
    if len(text) < FLAGS_LEN + URGENT_LEN:
        return say.NO_URGENT
    urgent = int.from_bytes(text[FLAGS_LEN : FLAGS_LEN + URGENT_LEN])
    data = text[FLAGS_LEN + URGENT_LEN :]
    if urgent >= len(data):
        return say.URGENT_BEYOND
    return _Plaintext(bool(flags & FLAG_FINP), urgent, data)


@final
class Opener:
    def __init__(self, aead: int, key: Secret, offset: int) -> None:
        self._offset = _stream_offset(offset)
        self._aead = aead
        self._key: Key | None = Key(aead, key)
        self._next: Key | None = None
        self._stream = bytearray()  # not yet opened
        self._ready = bytearray()  # authenticated, not yet read
        self._room = bytearray()
        self._app_offset = 0
        self._generation = 0
        self._urgent_index: int | None = None
        self._finp = False
        self._rekey_wanted = False
        self._fault: tuple[int, int, int] | None = None
        self._turn = Turn("Opener")

    def __repr__(self) -> str:
        return (
            f"<Opener: stream offset {self._offset}>" if self._turn.live else "<Opener: wiped>"
        )

    def _tell(self) -> None:
        """An error is told once everything authenticated before it has been read."""
        if self._fault and not self._ready:
            raise say.stream(*self._fault)

    @property
    def offset(self) -> int:
        return self._offset

    @property
    def generation(self) -> int:
        return self._generation

    @property
    def finished(self) -> bool:
        return self._finp and not self._fault

    @property
    def buffered(self) -> int:
        return len(self._stream)

    @property
    def pending(self) -> int:
        return len(self._ready)

    @property
    def rekey_wanted(self) -> bool:
        return self._rekey_wanted

    @property
    def urgent_index(self) -> int | None:
        return self._urgent_index

    def _set_fault(self, fault: int, clen: int) -> None:
        self._fault = fault, self._offset, clen
        self._stream = bytearray()
        self._rekey_wanted = False

    def _commit(self, data: Buffer) -> None:
        if self._fault or not len(data):
            return
        self._stream += data
        if self._finp:
            self._set_fault(say.AFTER_FINP, 0)

    def feed(self, data: Buffer) -> None:
        with self._turn:
            self._tell()
            self._commit(octets(data))
            self._room = bytearray()

    def room(self, size: int) -> memoryview:
        with self._turn:
            self._tell()
            if size < 1:
                raise say.out_of_range("size", size, 1, 0x7FFFFFFF)
            self._room = bytearray(size)
            return memoryview(self._room)

    def received(self, size: int) -> None:
        with self._turn:
            self._tell()
            if not 0 <= size <= len(self._room):
                raise say.not_in_room(size, len(self._room))
            self._commit(memoryview(self._room)[:size])
            self._room = bytearray()

    def _frame_openable(self) -> int:
        """clen of the frame that can be opened now, else 0."""
        if self._fault or self._finp or len(self._stream) < FRAME_HEADER_LEN:
            return 0
        clen = self._stream[1] << 8 | self._stream[2]
        if clen < CLEN_MIN:
            self._set_fault(say.NO_FLAGS, clen)
            return 0
        if len(self._stream) < FRAME_HEADER_LEN + clen:
            return 0
        if self._offset > UINT64_MAX - FRAME_HEADER_LEN - clen:
            self._set_fault(say.OFFSET, clen)
            return 0
        # the seven bits of cres: "MUST ignore them when receiving"
        rekey = bool(self._stream[0] & CONTROL_REKEY)
        self._rekey_wanted = rekey and self._next is None
        return 0 if self._rekey_wanted else clen

    def _open_frame(self, clen: int) -> None:
        end = FRAME_HEADER_LEN + clen
        ad = bytes(self._stream[:FRAME_HEADER_LEN])
        rekey = bool(ad[0] & CONTROL_REKEY)
        key = self._next if rekey else self._key
        assert key is not None
        try:
            text = key.open(bytes(self._stream[FRAME_HEADER_LEN:end]), self._offset, ad)
        except InvalidTag:
            self._set_fault(say.AUTHENTICATION, clen)
            return
        parsed = _parse(text)
        if isinstance(parsed, int):
            self._set_fault(parsed, clen)
            return
        self._accept(parsed, end, rekey=rekey)

    def _accept(self, frame: _Plaintext, end: int, *, rekey: bool) -> None:
        if rekey:
            self._key, self._next = self._next, None
            self._generation += 1
        if frame.urgent is not None:
            self._urgent_index = self._app_offset + frame.urgent
        self._ready += frame.data
        self._app_offset += len(frame.data)
        self._offset += end
        del self._stream[:end]
        self._finp = frame.finp
        if self._finp and self._stream:
            self._set_fault(say.AFTER_FINP, 0)

    def _enough(self, size: int) -> bool:
        return len(self._ready) >= size if size else bool(self._ready)

    def _run(self, size: int) -> bytes:
        while not self._enough(size) and (clen := self._frame_openable()):
            self._open_frame(clen)
        if not self._ready:
            self._tell()
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    def read(self, size: int) -> bytes:
        with self._turn:
            self._tell()
            if size < 0:
                raise say.out_of_range("size", size, 0, 0x7FFFFFFF)
            return self._run(size)

    def read_into(self, out: bytearray | memoryview) -> int:
        with self._turn:
            self._tell()
            target = octets(out)
            if target.readonly:
                raise BufferError("out is not writable")
            data = self._run(len(target))
            target[: len(data)] = data
            return len(data)

    def rekey(self, key: Secret) -> None:
        with self._turn:
            self._tell()
            if self._next is not None:
                raise say.rekeyed_already()
            self._next = Key(self._aead, key)
            self._rekey_wanted = False

    def wipe(self) -> None:
        self._turn.end()
        self._key = self._next = None
        self._stream = bytearray()
        self._ready = bytearray()
        self._room = bytearray()
        self._rekey_wanted = False
