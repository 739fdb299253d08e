"""Sealer and Opener, pure twin (RFC 8548 sections 3.6, 3.7, 4.2)."""

from typing import NamedTuple, final

from cryptography.exceptions import InvalidTag

from pyeno import _complaints as say
from pyeno._pure.foreign import Cipher, foreign_aead
from pyeno._pure.secret import Secret
from pyeno._values import Buffer
from pyeno.constants import (
    AEAD_TAG_LEN,
    CLEN_MAX,
    CONTROL_REKEY,
    FLAG_FINP,
    FLAG_URGP,
    FRAME_HEADER_LEN,
    Aead,
)
from pyeno.errors import AuthenticationError, RemoteProtocolError

FLAGS_LEN, URGENT_LEN = 1, 2
FRAME_DATA_MAX = CLEN_MAX - AEAD_TAG_LEN - FLAGS_LEN
OVERHEAD = FRAME_HEADER_LEN + FLAGS_LEN + AEAD_TAG_LEN
OFFSET_MAX = (1 << 64) - 1


class _Key(NamedTuple):
    """A traffic key taken apart (figure 4): K in the cipher, NR beside it."""

    cipher: Cipher
    nr: int

    def nonce(self, offset: int) -> bytes:
        """N = frame_ID XOR NR; the frame ID is the offset, left-padded."""
        return (self.nr ^ offset).to_bytes(12, "big")


def _taken_apart(aead: int, traffic: Secret) -> _Key:
    if aead not in list(Aead):
        raise say.unknown_aead(aead)
    key_len, nonce_len = Aead(aead).key_len, Aead(aead).nonce_len
    material = traffic.export()
    if len(material) != key_len + nonce_len:
        raise say.key_length(len(material), key_len + nonce_len)
    nr = int.from_bytes(material[key_len:], "big")
    return _Key(foreign_aead(aead, material[:key_len]), nr)


@final
class Sealer:
    """Seals application bytes into frames of one direction's TCP stream."""

    def __init__(
        self, aead: int, key: Secret, offset: int, *, frame_size: int = FRAME_DATA_MAX
    ) -> None:
        if not 1 <= frame_size <= FRAME_DATA_MAX:
            raise say.frame_size(frame_size, FRAME_DATA_MAX)
        self._key: _Key | None = _taken_apart(aead, key)
        self._aead = aead
        self._frame_data = frame_size
        self._rekey = 0
        self.offset = offset
        self.finished = False

    def __repr__(self) -> str:
        return f"<Sealer: stream offset {self.offset}>"

    def seal(self, data: Buffer, *, fin: bool = False, urgent: int | None = None) -> bytes:
        view = memoryview(data).cast("B")
        if urgent is not None and not 0 <= urgent < len(view) <= self._frame_data - URGENT_LEN:
            raise say.urgent_field(urgent, len(view))
        room = self._sealed_len(len(view)) + (URGENT_LEN if urgent is not None else 0)
        return b"".join(self._seal(room, view, fin, urgent)[1])

    def seal_into(
        self, out: bytearray | memoryview, data: Buffer, *, fin: bool = False
    ) -> tuple[int, int]:
        room, view = memoryview(out).cast("B"), memoryview(data).cast("B")
        taken, frames = self._seal(len(room), view, fin, None)
        written = b"".join(frames)
        room[: len(written)] = written
        return taken, len(written)

    def rekey(self, key: Secret) -> None:
        self._sealable()
        self._key, self._rekey = _taken_apart(self._aead, key), CONTROL_REKEY

    def wipe(self) -> None:
        self._key = None

    def _sealed_len(self, size: int) -> int:
        return size + max(1, -(-size // self._frame_data)) * OVERHEAD

    def _sealable(self) -> _Key:
        if self._key is None:
            raise say.framer_wiped()
        if self.finished:
            raise say.sealed_after_fin()
        return self._key

    def _seal(
        self, room: int, data: memoryview, fin: bool, urgent: int | None
    ) -> tuple[int, list[bytes]]:
        key = self._sealable()
        if self._sealed_len(len(data)) + URGENT_LEN > OFFSET_MAX - self.offset:
            raise say.offset_exhausted()
        extra = OVERHEAD + (URGENT_LEN if urgent is not None else 0)
        frames: list[bytes] = []
        taken, left = 0, room
        while left >= extra + (taken != len(data)):
            take = min(len(data) - taken, self._frame_data, left - extra)
            last = take == len(data) - taken
            frame = self._frame(key, data[taken : taken + take], fin and last, urgent)
            frames.append(frame)
            taken += take
            left -= len(frame)
            if last:
                break
        if not frames:
            raise say.no_room(room)
        return taken, frames

    def _frame(self, key: _Key, data: memoryview, fin: bool, urgent: int | None) -> bytes:
        """Figures of section 4.2: control | clen | flags | urgent | data"""
        flags = (FLAG_FINP if fin else 0) | (FLAG_URGP if urgent is not None else 0)
        field = b"" if urgent is None else urgent.to_bytes(URGENT_LEN, "big")
        plain = b"".join((bytes([flags]), field, data))
        clen = len(plain) + AEAD_TAG_LEN
        header = bytes([self._rekey]) + clen.to_bytes(2, "big")
        frame = header + key.cipher.encrypt(key.nonce(self.offset), plain, header)
        self.offset += len(frame)
        self._rekey, self.finished = 0, fin
        return frame


@final
class Opener:
    """Puts one direction's TCP stream together and opens its frames."""

    def __init__(self, aead: int, key: Secret, offset: int) -> None:
        self._key: _Key | None = _taken_apart(aead, key)
        self._next: _Key | None = None
        self._aead = aead
        self._stream = bytearray()
        self._room: bytearray | None = None
        self._ready = b""
        self._data_offset = 0
        self._failure: RemoteProtocolError | None = None
        self.offset = offset
        self.finished = False
        self.rekey_wanted = False
        self.urgent_index: int | None = None

    def __repr__(self) -> str:
        return f"<Opener: stream offset {self.offset}>"

    @property
    def buffered(self) -> int:
        return len(self._stream)

    @property
    def pending(self) -> int:
        return len(self._ready)

    def feed(self, data: Buffer) -> None:
        self._openable()
        self._stream += data

    def room(self, size: int) -> memoryview:
        self._openable()
        if size < 1:
            raise ValueError(f"room: {size} bytes; ask for 1 or more")
        self._room = bytearray(size)
        return memoryview(self._room)

    def received(self, size: int) -> None:
        self._openable()
        had = 0 if self._room is None else len(self._room)
        if not 0 <= size <= had:
            raise ValueError(f"received: {size} bytes; room had {had}")
        if self._room is not None:
            self._stream += memoryview(self._room)[:size]
        self._room = None

    def read(self, size: int) -> bytes:
        if size < 0:
            raise ValueError(f"read: {size} bytes; ask for 0 or more")
        out = bytearray(min(size, len(self._ready) + len(self._stream)))
        return bytes(out[: self.read_into(out)])

    def read_into(self, out: bytearray | memoryview) -> int:
        self._openable()
        if self._failure is not None:
            raise self._failure
        view = memoryview(out).cast("B")
        done = 0
        while True:
            part = self._ready[: len(view) - done]
            view[done : done + len(part)] = part
            self._ready = self._ready[len(part) :]
            done += len(part)
            if self._ready or (done and done == len(view)) or self.rekey_wanted:
                return done
            try:
                if not self._open_next():
                    return done
            except RemoteProtocolError as failure:
                self._failure = failure
                if not done:
                    raise
                return done

    def rekey(self, key: Secret) -> None:
        self._openable()
        self._next = _taken_apart(self._aead, key)
        self.rekey_wanted = False

    def wipe(self) -> None:
        self._key = self._next = None

    def _openable(self) -> _Key:
        if self._key is None:
            raise say.framer_wiped()
        return self._key

    def _open_next(self) -> bool:
        """One frame into ``_ready``; False if none could be opened."""
        if self.finished:
            if self._stream:
                raise say.after_fin(self.offset)
            return False
        if len(self._stream) < FRAME_HEADER_LEN:
            return False
        header = bytes(self._stream[:FRAME_HEADER_LEN])
        clen = int.from_bytes(header[1:], "big")
        if clen < FLAGS_LEN + AEAD_TAG_LEN:
            raise say.short_frame(self.offset, clen)
        if len(self._stream) < FRAME_HEADER_LEN + clen:
            return False
        key = self._key_for(header[0] & CONTROL_REKEY)
        if key is None:
            self.rekey_wanted = True
            return False
        plain = self._authenticated(key, header, clen)
        self._key = key
        self._read_plaintext(plain)
        return True

    def _key_for(self, rekey: int) -> _Key | None:
        return self._next if rekey else self._openable()

    def _authenticated(self, key: _Key, header: bytes, clen: int) -> bytes:
        ciphertext = bytes(self._stream[FRAME_HEADER_LEN : FRAME_HEADER_LEN + clen])
        try:
            plain = key.cipher.decrypt(key.nonce(self.offset), ciphertext, header)
        except InvalidTag:
            failure: AuthenticationError = say.unauthentic_frame(self.offset, clen)
            raise failure from None
        if header[0] & CONTROL_REKEY:
            self._next = None
        self.offset += FRAME_HEADER_LEN + clen
        del self._stream[: FRAME_HEADER_LEN + clen]
        return plain

    def _read_plaintext(self, plain: bytes) -> None:
        """flags | urgent | data (section 4.2.1)"""
        at = FLAGS_LEN
        started = self.offset - FRAME_HEADER_LEN - AEAD_TAG_LEN - len(plain)
        urgent = None
        if plain[0] & FLAG_URGP:
            if len(plain) < at + URGENT_LEN:
                raise say.no_urgent_field(started)
            urgent = int.from_bytes(plain[at : at + URGENT_LEN], "big")
            at += URGENT_LEN
        data = plain[at:]
        if urgent is not None:
            if urgent >= len(data):
                raise say.urgent_beyond(started, urgent, len(data))
            self.urgent_index = self._data_offset + urgent
        self.finished = bool(plain[0] & FLAG_FINP)
        self._data_offset += len(data)
        self._ready = data
