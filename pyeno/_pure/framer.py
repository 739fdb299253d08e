"""Sealing and opening frames: the pure twin of ``pyeno._native.framer``.

      byte   0       1       2       3               clen+2
         +-------+-------+-------+-------+---...---+-------+
         |control|      clen     |        ciphertext       |
         +-------+-------+-------+-------+---...---+-------+

    ciphertext = AEAD(flags [| urgent] | data)      RFC 8548 section 4.2.1
    associated data = control | clen                          section 4.2.2
    nonce = NR XOR frame ID, the frame's stream offset  sections 3.6, 4.2.3

One step of the compiled core is one function here, under the same name; the
Sealer is in :mod:`pyeno._pure.sealer`.
"""

from typing import NamedTuple, final

from cryptography.exceptions import InvalidTag

import pyeno._complaints as say
from pyeno._pure.aead import Key, Turn
from pyeno._pure.sealer import CLEN_MIN, UINT64_MAX, URGENT_LEN, stream_offset
from pyeno._pure.sealer import Sealer as Sealer
from pyeno._pure.secret import Secret, octets
from pyeno._values import Buffer
from pyeno.constants import (
    CONTROL_REKEY,
    FLAG_FINP,
    FLAG_URGP,
    FLAGS_LEN,
    FRAME_HEADER_LEN,
)


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
        self._offset = stream_offset(offset)
        self._aead = aead
        self._key: Key | None = Key(aead, key)
        self._next: Key | None = None
        self._stream = bytearray()  # not yet opened
        self._ready = bytearray()  # authenticated, not yet read
        self._room = bytearray()
        self._app_offset = 0
        self._generation = 0
        self._urgent_index: int | None = None
        self._urgent_byte = 0
        self._empty_rekeys = 0
        self._oob_inline = True
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

    @property
    def urgent_byte(self) -> int | None:
        return None if self._urgent_index is None or not self._turn.live else self._urgent_byte

    @property
    def read_index(self) -> int:
        return self._app_offset - len(self._ready)

    @property
    def empty_rekeys(self) -> int:
        return self._empty_rekeys

    @property
    def oob_inline(self) -> bool:
        return self._oob_inline

    @oob_inline.setter
    def oob_inline(self, wish: bool) -> None:
        self._oob_inline = bool(wish)

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

    def _mark(self) -> int | None:
        """Bytes from the next one to be read to the newest urgent one, if that is ahead."""
        index = self._urgent_index
        return None if index is None or index < self.read_index else index - self.read_index

    def _at_hole(self) -> bool:
        return not self._oob_inline and self._mark() == 0

    def _take_mark(self, urgent: int, byte: int) -> None:
        """A new mark takes the place of an old one.  Where the reader stands at that,
        its byte goes, as with Linux's TCP."""
        if self._at_hole():
            del self._ready[:1]
        self._urgent_index = self._app_offset + urgent
        self._urgent_byte = byte

    def _accept(self, frame: _Plaintext, end: int, *, rekey: bool) -> None:
        if rekey:
            self._key, self._next = self._next, None
            self._generation += 1
            self._empty_rekeys += not frame.data
        if frame.urgent is not None:
            self._take_mark(frame.urgent, frame.data[frame.urgent])
        self._ready += frame.data
        self._app_offset += len(frame.data)
        self._offset += end
        del self._stream[:end]
        self._finp = frame.finp
        if self._finp and self._stream:
            self._set_fault(say.AFTER_FINP, 0)

    def _givable(self, size: int, got: int) -> int:
        """A read stops before the urgent byte; one that begins there goes on."""
        n, mark = min(len(self._ready), size), self._mark()
        return min(n, mark) if mark is not None and (mark or got) else n

    def _give(self, size: int, got: int) -> bytes:
        if size and not got and self._at_hole():
            del self._ready[:1]
        n = self._givable(size, got)
        data = bytes(self._ready[:n])
        del self._ready[:n]
        return data

    def _run(self, size: int) -> bytes:
        data = self._give(size, 0)
        while (
            (len(data) < size or not size)
            and not self._ready
            and (clen := self._frame_openable())
        ):
            self._open_frame(clen)
            data += self._give(size - len(data), len(data))
        if not data:
            self._tell()
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

    def peek(self, size: int) -> bytes:
        with self._turn:
            self._tell()
            if size < 0:
                raise say.out_of_range("size", size, 0, 0x7FFFFFFF)
            if self._at_hole():
                return bytes(self._ready[1 : 1 + size])
            return bytes(self._ready[: self._givable(size, 0)])

    def open_ahead(self) -> None:
        with self._turn:
            self._tell()
            while clen := self._frame_openable():
                self._open_frame(clen)
            self._tell()

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
        self._urgent_byte = 0
        self._rekey_wanted = False
