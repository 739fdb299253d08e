"""Init1 and Init2, byte by byte (RFC 8548 section 4.1).

``encode_*`` and ``parse_*`` stand side by side and read like the figures.
How public keys are written is the TEP's affair (section 5); the caller names it.
"""

import struct
from typing import NamedTuple

from pyeno._values import Buffer
from pyeno.constants import ECDHE, INIT1_MAGIC, INIT2_MAGIC, N_A_LEN, N_B_LEN
from pyeno.errors import RemoteProtocolError

INIT_MAX = 1 << 16
"""Longest Init message taken, "ignored" field included: room to grow, no way
to make a host buffer without end."""

PUBKEY_LEN_LEN = 2

_HEADER = struct.Struct(">LL")


class Init1(NamedTuple):
    """INIT1_MAGIC, message_len, sym_cipher_list, N_A, Pub_A."""

    ciphers: tuple[int, ...]
    n_a: bytes
    pub_a: bytes
    """as transmitted"""


class Init2(NamedTuple):
    """INIT2_MAGIC, message_len, sym_cipher, N_B, Pub_B."""

    cipher: int
    n_b: bytes
    pub_b: bytes
    """as transmitted"""


def _magic_name(magic: int) -> str:
    return "Init1" if magic == INIT1_MAGIC else "Init2"


def message_len(received: Buffer, magic: int) -> int | None:
    """The length of the Init message at the stream's start, None if not yet known.

    Wrong magic is told at the first differing byte, so that a peer which
    speaks plaintext is refused even when it sends less than a header.
    Raises RemoteProtocolError.
    """
    wanted = magic.to_bytes(4, "big")
    begun = bytes(received[: _HEADER.size])
    name = _magic_name(magic)
    if begun[:4] != wanted[: len(begun)]:
        raise RemoteProtocolError(
            f"{name}: magic at stream offset 0 begins {begun[:4].hex()}, expected "
            f"{wanted.hex()}: the peer does not speak tcpcrypt here; connection aborted"
        )
    if len(begun) < _HEADER.size:
        return None
    length: int = _HEADER.unpack(begun)[1]
    if not _HEADER.size < length <= INIT_MAX:
        raise RemoteProtocolError(
            f"{name}: message_len at stream offset 4 is {length}, allowed are "
            f"{_HEADER.size + 1} to {INIT_MAX}; connection aborted"
        )
    return length


class _Cursor:
    """Bounded reading: the field's name goes into the error."""

    def __init__(self, message: bytes, name: str) -> None:
        self.message, self.name, self.at = message, name, _HEADER.size

    def pull(self, size: int, field: str) -> bytes:
        end = self.at + size
        if end > len(self.message):
            raise RemoteProtocolError(
                f"{self.name}: {field} needs {size} bytes at offset {self.at}, but "
                f"message_len is {len(self.message)}; connection aborted"
            )
        part, self.at = self.message[self.at : end], end
        return part

    def pull_public(self, tep: int, field: str) -> bytes:
        """Pub_A or Pub_B, with the two bytes of pubkey_len where the TEP has them.

        The figure of section 5 counts them in; a sender that counts the key alone
        is understood too. [8548:5-3, 5-9]
        """
        scheme, at = ECDHE[tep], self.at
        if not scheme.pubkey_len:
            return self.pull(scheme.public_len, field)
        prefix = self.pull(PUBKEY_LEN_LEN, f"{field}'s pubkey_len")
        length = int.from_bytes(prefix, "big")
        if length not in (scheme.pubkey_len, scheme.public_len):
            raise RemoteProtocolError(
                f"{self.name}: {field}'s pubkey_len at offset {at} is {length}, this TEP's "
                f"is {scheme.pubkey_len} (RFC 8548 section 5); connection aborted"
            )
        return prefix + self.pull(scheme.public_len, field)


def encode_init1(init1: Init1) -> bytes:
    """Init1 with an empty "ignored" field, as section 4.1 demands of senders.
    [8548:4.1-3, 4.1-4]"""
    body = (
        struct.pack(">B", len(init1.ciphers))  # [8548:4.1-2]
        + struct.pack(f">{len(init1.ciphers)}H", *init1.ciphers)
        + init1.n_a
        + init1.pub_a
    )
    return _HEADER.pack(INIT1_MAGIC, _HEADER.size + len(body)) + body  # [8548:4.1-1]


def parse_init1(message: bytes, tep: int) -> Init1:
    """Fields of a whole Init1; bytes after Pub_A are ignored (section 4.1). [8548:4.1-5]"""
    cursor = _Cursor(message, "Init1")
    nciphers = cursor.pull(1, "nciphers")[0]
    ciphers = struct.unpack(f">{nciphers}H", cursor.pull(2 * nciphers, "sym_cipher list"))
    return Init1(ciphers, cursor.pull(N_A_LEN, "N_A"), cursor.pull_public(tep, "Pub_A"))


def encode_init2(init2: Init2) -> bytes:
    """Init2 with an empty "ignored" field, as section 4.1 demands of senders.
    [8548:4.1-8, 4.1-9]"""
    body = struct.pack(">H", init2.cipher) + init2.n_b + init2.pub_b
    return _HEADER.pack(INIT2_MAGIC, _HEADER.size + len(body)) + body  # [8548:4.1-6]


def parse_init2(message: bytes, tep: int) -> Init2:
    """Fields of a whole Init2; bytes after Pub_B are ignored (section 4.1). [8548:4.1-10]"""
    cursor = _Cursor(message, "Init2")
    cipher = int.from_bytes(cursor.pull(2, "sym_cipher"), "big")
    return Init2(cipher, cursor.pull(N_B_LEN, "N_B"), cursor.pull_public(tep, "Pub_B"))
