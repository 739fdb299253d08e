"""Bytes → words: an ENO option, an Init message, a frame header.

Everything takes bytes that anybody on the path can see, also ill-formed and
cut-off ones, and says what they mean; no keys, no state.
"""

from collections.abc import Iterable
from typing import NamedTuple

from pyeno import option
from pyeno._values import Buffer, Suboption
from pyeno.constants import (
    AEAD_TAG_LEN,
    CONTROL_REKEY,
    ECDHE,
    FRAME_HEADER_LEN,
    INIT1_MAGIC,
    INIT2_MAGIC,
    N_A_LEN,
    N_B_LEN,
    Aead,
    Tep,
)
from pyeno.errors import IllFormedOptionError

TEP_NAMES: dict[int, str] = {
    Tep.EXPERIMENTAL: "experimental",
    Tep.TCPCRYPT_ECDHE_P256: "tcpcrypt P-256",
    Tep.TCPCRYPT_ECDHE_P521: "tcpcrypt P-521",
    Tep.TCPCRYPT_ECDHE_Curve25519: "tcpcrypt Curve25519",
    Tep.TCPCRYPT_ECDHE_Curve448: "tcpcrypt Curve448",
}
_RESUME_HALF = 9


class Field(NamedTuple):
    """Some bytes of a message and what they say."""

    octets: bytes
    words: str


class Init(NamedTuple):
    """One Init message (RFC 8548 section 4.1), field by field."""

    name: str
    """``Init1`` or ``Init2``"""
    message_len: int
    fields: tuple[Field, ...]


# -- RFC 8547: the option ----------------------------------------------------


def tep_name(number: int) -> str:
    """``tcpcrypt Curve25519``, or ``TEP 0x7f`` for one not known."""
    return TEP_NAMES.get(number, f"TEP 0x{number:02x}")


def eno(raw: Buffer, *, syn: bool) -> str:
    """One whole ENO option in words, e.g. ``ENO<b=1, tcpcrypt Curve25519>``.

    ``syn``: from a segment with SYN set; only there do the contents have
    structure (RFC 8547 section 4.1).
    """
    if not syn:
        extra = len(raw) - 2
        return "ENO<> (non-SYN form)" if extra <= 0 else f"ENO<{extra} bytes> (non-SYN form)"
    try:
        parsed = option.parse(bytes(raw))
    except IllFormedOptionError as error:
        return f"ENO<ill-formed at byte {error.offset}: {_slug(error.reason)}>"
    said = [_global(parsed.global_suboption)] if parsed.explicit_global else []
    said += [_suboption(suboption) for suboption in parsed.teps]
    return f"ENO<{', '.join(said)}>" + (" (vacuous)" if parsed.vacuous else "")


def _slug(reason: object) -> str:
    return str(getattr(reason, "slug", reason))


def _global(value: int) -> str:
    """Section 4.2, figure 5: z1 z2 z3 a b."""
    said = [f"z={value >> 2}"] if value >> 2 else []
    said += ["a=1"] if value & 2 else []
    return ", ".join([*said, f"b={value & 1}"])


def _suboption(suboption: Suboption) -> str:
    name, size = tep_name(suboption.tep), len(suboption.data)
    if not suboption.v:
        return name
    if name.startswith("tcpcrypt") and size >= _RESUME_HALF:
        # RFC 8548 section 3.5: nine bytes of identifier, then a nonce
        return f"{name} resumption, {size - _RESUME_HALF}-byte nonce"
    return f"{name} + {size} bytes"


# -- RFC 8548: the stream ----------------------------------------------------


def aead_name(number: int) -> str:
    """``AES-128-GCM``, or the number for one not known."""
    known = {aead.value: aead.name.replace("_", "-") for aead in Aead}
    return known.get(number, f"0x{number:04x}")


def init(head: Buffer, tep: int) -> Init | None:
    """The Init message a stream begins with; None if it does not begin with one.

    ``tep`` tells how the public key is written (section 5).  Fields that the
    given bytes do not reach are left out.
    """
    head = bytes(head)
    magic = int.from_bytes(head[:4], "big")
    if len(head) < 8 or magic not in (INIT1_MAGIC, INIT2_MAGIC):
        return None
    first, letter = magic == INIT1_MAGIC, "A" if magic == INIT1_MAGIC else "B"
    length = int.from_bytes(head[4:8], "big")
    head = head[:length]
    sizes = [(4, f"INIT{1 if first else 2}_MAGIC"), (4, f"message_len: {length} bytes")]
    if first:
        count = head[8] if len(head) > 8 else 0
        sizes.append((1 + 2 * count, f"sym_cipher_list: {_ciphers(head[9 : 9 + 2 * count])}"))
    else:
        sizes.append((2, f"sym_cipher: {_ciphers(head[8:10])}"))
    sizes.append((N_A_LEN if first else N_B_LEN, f"N_{letter}"))
    at = sum(size for size, _ in sizes)
    size = ECDHE[tep].pub_len if tep in ECDHE else len(head) - at
    sizes.append((size, f"Pub_{letter}: {tep_name(tep)}"))
    fields = _cut(head, sizes)
    used = sum(len(field.octets) for field in fields)
    if used < len(head):
        fields.append(Field(head[used:], "ignored"))
    return Init(f"Init{1 if first else 2}", length, tuple(fields))


def _ciphers(octets: bytes) -> str:
    pairs = zip(octets[::2], octets[1::2], strict=False)
    return ", ".join(aead_name(high << 8 | low) for high, low in pairs)


def _cut(head: bytes, sizes: Iterable[tuple[int, str]]) -> list[Field]:
    fields, at = [], 0
    for size, words in sizes:
        if octets := head[at : at + size]:
            fields.append(Field(octets, words))
        at += size
    return fields


def frame(head: Buffer) -> tuple[Field, ...]:
    """The frame that begins here (section 4.2): control, clen, ciphertext.

    Flags, urgent and data are inside the ciphertext, whose last 16 bytes are
    the authentication tag.
    """
    head = bytes(head)
    if len(head) < FRAME_HEADER_LEN:
        return ()
    rekey = head[0] & CONTROL_REKEY
    clen = int.from_bytes(head[1:3], "big")
    ciphertext = head[FRAME_HEADER_LEN : FRAME_HEADER_LEN + clen]
    return (
        Field(head[:1], f"control: rekey={rekey}"),
        Field(head[1:3], f"clen: {clen} bytes"),
        Field(ciphertext, f"ciphertext: flags, data; {AEAD_TAG_LEN}-byte tag"),
    )


class FrameCount(NamedTuple):
    """What a walk along the frame headers of a stream found."""

    frames: int
    smallest: int
    """clen of the smallest frame, 0 if there is none"""
    largest: int
    left: int
    """bytes that the last frame lacks; 0: the stream is whole frames"""


def count_frames(pieces: Iterable[Buffer], start: int) -> FrameCount:
    """Walk from frame header to frame header, ``start`` bytes into the stream."""
    header, sizes, skip = bytearray(), [], start
    for piece in pieces:
        at = 0
        while at < len(piece):
            if skip:
                step = min(skip, len(piece) - at)
                at, skip = at + step, skip - step
                continue
            taken = bytes(piece[at : at + FRAME_HEADER_LEN - len(header)])
            header += taken
            at += len(taken)
            if len(header) == FRAME_HEADER_LEN:
                skip = int.from_bytes(header[1:], "big")
                sizes.append(skip)
                header.clear()
    left = skip or (FRAME_HEADER_LEN - len(header) if header else 0)
    return FrameCount(len(sizes), min(sizes, default=0), max(sizes, default=0), left)
