"""RFC 8548 section 4.1: Init1 and Init2.

Both are magic, message_len, ciphers, nonce, public key, and an `ignored` tail that a sender
leaves empty and a receiver skips; the tail still belongs to the message that enters PRK.
`parse_*` look at a prefix of the stream and return how much of it the message takes.
"""

import struct
from dataclasses import dataclass

from . import Incomplete, OracleError
from .scheme import SCHEMES

INIT1_MAGIC = 0x15101A0E
INIT2_MAGIC = 0x097105E0
N_LEN = 32


@dataclass(frozen=True)
class Init1:
    raw: bytes
    ciphers: tuple[int, ...]
    nonce: bytes
    public: bytes
    ignored: bytes = b""


@dataclass(frozen=True)
class Init2:
    raw: bytes
    cipher: int
    nonce: bytes
    public: bytes
    ignored: bytes = b""


def _message(magic: int, body: bytes, message_len: int | None) -> bytes:
    return (
        struct.pack("!II", magic, 8 + len(body) if message_len is None else message_len) + body
    )


def encode_init1(
    ciphers: tuple[int, ...],
    nonce: bytes,
    public: bytes,
    *,
    ignored: bytes = b"",
    magic: int = INIT1_MAGIC,
    message_len: int | None = None,
) -> bytes:
    """Init1; the keyword arguments exist to break the rules with."""
    body = bytes([len(ciphers)]) + b"".join(c.to_bytes(2, "big") for c in ciphers)
    return _message(magic, body + nonce + public + ignored, message_len)


def encode_init2(
    cipher: int,
    nonce: bytes,
    public: bytes,
    *,
    ignored: bytes = b"",
    magic: int = INIT2_MAGIC,
    message_len: int | None = None,
) -> bytes:
    """Init2; the keyword arguments exist to break the rules with."""
    return _message(magic, cipher.to_bytes(2, "big") + nonce + public + ignored, message_len)


def _take(stream: bytes, magic: int, least: int) -> bytes:
    """The whole message at the start of the stream, once its frame is known to be sound."""
    if stream[:4] != magic.to_bytes(4, "big")[: len(stream)]:
        raise OracleError("bad-magic", stream[:4].hex())
    if len(stream) < 8:
        raise Incomplete
    length = int.from_bytes(stream[4:8], "big")
    if length < least:
        raise OracleError("short-init", f"message_len {length}")
    if len(stream) < length:
        raise Incomplete
    return stream[:length]


def parse_init1(stream: bytes, tep: int) -> Init1:
    """Init1 at the start of host A's stream; Incomplete until all of it is there."""
    public_len = SCHEMES[tep].field_len
    fixed = 9 + N_LEN + public_len
    if len(stream) >= 9:
        fixed += 2 * stream[8]
    raw = _take(stream, INIT1_MAGIC, fixed)
    count = raw[8]
    ciphers = struct.unpack_from(f"!{count}H", raw, 9)
    nonce_at = 9 + 2 * count
    public_at = nonce_at + N_LEN
    end = public_at + public_len
    return Init1(raw, ciphers, raw[nonce_at:public_at], raw[public_at:end], raw[end:])


def parse_init2(stream: bytes, tep: int) -> Init2:
    """Init2 at the start of host B's stream; Incomplete until all of it is there."""
    public_len = SCHEMES[tep].field_len
    raw = _take(stream, INIT2_MAGIC, 10 + N_LEN + public_len)
    cipher = int.from_bytes(raw[8:10], "big")
    public_at = 10 + N_LEN
    end = public_at + public_len
    return Init2(raw, cipher, raw[10:public_at], raw[public_at:end], raw[end:])


def choose(ciphers: tuple[int, ...], preference: tuple[int, ...]) -> int:
    """The symmetric cipher host B selects: its own first preference among those offered."""
    for cipher in preference:
        if cipher in ciphers:
            return cipher
    raise OracleError("no-common-cipher", str(ciphers))
