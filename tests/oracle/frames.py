"""RFC 8548 sections 3.6 to 3.8 and 4.2: encryption frames.

    control | clen | ciphertext = AEAD(K, N, A = control | clen, P = flags [| urgent] | data)
    N = NR xor (zeros | 64-bit offset of the frame in the direction's TCP stream)

`seal` and `open_frame` are single frames under a given traffic key; `Sealer` and `Opener` walk
a stream, with the generation number of their direction.
"""

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from . import Incomplete, OracleError
from .keys import AEADS, next_master_key, traffic_keys

REKEY = 0x01
FINP = 0x01
URGP = 0x02
TAG_LEN = 16
DATA_MAX = 0xFFFF - TAG_LEN - 1


@dataclass(frozen=True)
class Frame:
    """One frame; `urgent` counts from the first byte of `data` to the last urgent byte."""

    data: bytes = b""
    fin: bool = False
    urgent: int | None = None
    rekey: bool = False
    control: int = 0
    flags: int = 0


def nonce(aead: int, traffic_key: bytes, offset: int) -> bytes:
    """N = frame_ID xor NR (sections 3.6 and 4.2.3)."""
    _, key_len, nonce_len = AEADS[aead]
    frame_id = bytes(nonce_len - 8) + offset.to_bytes(8, "big")
    return bytes(x ^ y for x, y in zip(frame_id, traffic_key[key_len:], strict=True))


def _cipher(aead: int, traffic_key: bytes) -> AESGCM | ChaCha20Poly1305:
    key = traffic_key[: AEADS[aead][1]]
    return ChaCha20Poly1305(key) if aead == 0x0010 else AESGCM(key)


def plaintext(
    data: bytes, *, fin: bool = False, urgent: int | None = None, fres: int = 0
) -> bytes:
    """Section 4.2.1; `fres` are the six reserved bits, zero unless a test wants otherwise."""
    flags = fres << 2 | (FINP if fin else 0) | (URGP if urgent is not None else 0)
    field = b"" if urgent is None else urgent.to_bytes(2, "big")
    return bytes([flags]) + field + data


def seal(
    aead: int,
    traffic_key: bytes,
    offset: int,
    plain: bytes,
    *,
    rekey: bool = False,
    cres: int = 0,
) -> bytes:
    """A whole frame around a plaintext value."""
    clen = len(plain) + TAG_LEN
    if clen > 0xFFFF:  # "has length less than 2^16 bytes"
        raise OracleError("frame-too-long", str(clen))
    header = bytes([cres << 1 | (REKEY if rekey else 0)]) + clen.to_bytes(2, "big")
    n = nonce(aead, traffic_key, offset)
    return header + _cipher(aead, traffic_key).encrypt(n, plain, header)


def open_frame(aead: int, traffic_key: bytes, offset: int, raw: bytes) -> Frame:
    """The frame in `raw`, exactly; reserved bits are ignored, anything else wrong raises."""
    header, ciphertext = raw[:3], raw[3:]
    n = nonce(aead, traffic_key, offset)
    if len(ciphertext) < TAG_LEN:
        raise OracleError("authentication-failed", "shorter than a tag")
    try:
        plain = _cipher(aead, traffic_key).decrypt(n, ciphertext, header)
    except InvalidTag:
        raise OracleError("authentication-failed", f"frame at offset {offset}") from None
    if not plain:
        raise OracleError("no-flags")
    flags = plain[0]
    at, urgent = 1, None
    if flags & URGP:
        if len(plain) < 3:
            raise OracleError("no-urgent-field")
        at, urgent = 3, int.from_bytes(plain[1:3], "big")
    rekey = bool(header[0] & REKEY)
    return Frame(plain[at:], bool(flags & FINP), urgent, rekey, header[0], flags)


class _Keys:
    """One direction's traffic key of the current generation."""

    def __init__(self, aead: int, mk: bytes, sends_ab: bool, offset: int) -> None:
        self.aead, self.offset, self.generation = aead, offset, 0
        self._mk, self._sends_ab = mk, sends_ab

    @property
    def traffic_key(self) -> bytes:
        return self.key_after(0)

    def key_after(self, steps: int) -> bytes:
        mk = self._mk
        for _ in range(steps):
            mk = next_master_key(mk)
        return traffic_keys(mk, self.aead)[0 if self._sends_ab else 1]

    def advance(self) -> None:
        self._mk = next_master_key(self._mk)
        self.generation += 1


class Sealer(_Keys):
    """The sending half: `offset` is that of the next frame in the TCP stream."""

    def seal(
        self,
        data: bytes = b"",
        *,
        fin: bool = False,
        urgent: int | None = None,
        rekey: bool = False,
        cres: int = 0,
        fres: int = 0,
    ) -> bytes:
        """The next frame; `rekey` moves to the next generation first (section 3.8)."""
        plain = plaintext(data, fin=fin, urgent=urgent, fres=fres)
        if rekey:
            self.advance()
        frame = seal(self.aead, self.traffic_key, self.offset, plain, rekey=rekey, cres=cres)
        self.offset += len(frame)
        return frame


class Opener(_Keys):
    """The receiving half: feed the stream, take frames until Incomplete."""

    def __init__(self, aead: int, mk: bytes, receives_ab: bool, offset: int) -> None:
        super().__init__(aead, mk, receives_ab, offset)
        self.buffer = bytearray()
        self.finished = False

    def feed(self, stream: bytes) -> None:
        self.buffer += stream

    def next(self) -> Frame:
        """The next frame, with its rekey obeyed; nothing may follow FINp."""
        if self.finished and self.buffer:
            raise OracleError("after-finp")
        if len(self.buffer) < 3:
            raise Incomplete
        length = 3 + int.from_bytes(self.buffer[1:3], "big")
        if len(self.buffer) < length:
            raise Incomplete
        rekey = self.buffer[0] & REKEY
        key = self.key_after(1 if rekey else 0)
        frame = open_frame(self.aead, key, self.offset, bytes(self.buffer[:length]))
        del self.buffer[:length]
        self.offset += length
        if rekey:
            self.advance()
        self.finished = frame.fin
        return frame
