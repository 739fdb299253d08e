"""The messages, byte by byte.

     0       4         5      6        8
    +-------+---------+------+--------+- - - -+
    | ENOa  | version | type | length | body  |
    +-------+---------+------+--------+- - - -+

    HELLO   method (1) | role (1) | nonce (32) | public key (32, ed25519 only)
    PROOF   psk: HMAC-SHA256 (32); ed25519: signature (64)
    ACCEPT  empty

``length`` counts the body, in network byte order.  No message is longer than
MESSAGE_MAX, and no length but the ones above is taken.
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from pyeno._values import Buffer
from pyeno.auth.errors import MessageError
from pyeno.constants import Role

MAGIC: Final = b"ENOa"
VERSION: Final = 1
NONCE_LEN: Final = 32
_HEADER: Final = struct.Struct(">4sBBH")
HEADER_LEN: Final = _HEADER.size
_PREFIX: Final = struct.Struct(">BB")
KEY_OFFSET: Final = HEADER_LEN + _PREFIX.size + NONCE_LEN
_ABORTED: Final = "connection reset"


class Type(IntEnum):
    """In the order in which they are sent."""

    HELLO = 1
    PROOF = 2
    ACCEPT = 3


class Method(IntEnum):
    """How a host proves who it is."""

    PSK = 1
    ED25519 = 2

    @property
    def key_len(self) -> int:
        """Bytes of the public key in HELLO."""
        return 32 if self is Method.ED25519 else 0

    @property
    def proof_len(self) -> int:
        """Bytes of the proof."""
        return 64 if self is Method.ED25519 else 32


class Hello(NamedTuple):
    """A HELLO's body."""

    method: Method
    role: Role
    nonce: bytes
    key: bytes = b""


def _hello_len(method: Method) -> int:
    return _PREFIX.size + NONCE_LEN + method.key_len


MESSAGE_MAX: Final = HEADER_LEN + max(
    *map(_hello_len, Method), *(method.proof_len for method in Method)
)


def encode(kind: Type, body: bytes = b"") -> bytes:
    """One message."""
    return _HEADER.pack(MAGIC, VERSION, kind, len(body)) + body


def encode_hello(hello: Hello) -> bytes:
    """A whole HELLO."""
    prefix = _PREFIX.pack(hello.method, ord(hello.role.value))
    return encode(Type.HELLO, prefix + hello.nonce + hello.key)


def message_len(received: Buffer, expected: Type, method: Method) -> int | None:
    """Bytes of the message that begins ``received``, None if not yet known.

    Every byte is judged as soon as it is there, so that a peer which says something
    else is refused whatever the length of what it says.  Raises MessageError.
    """
    begun = bytes(received[:HEADER_LEN])
    magic = begun[: len(MAGIC)]
    for at, octet in enumerate(magic):
        if octet != MAGIC[at]:
            raise MessageError(
                f"{expected.name}: magic at offset 0 begins {magic.hex()}, expected "
                f"{MAGIC.hex()}: the peer's application does not authenticate here; {_ABORTED}",
                at,
            )
    if len(begun) > 4 and begun[4] != VERSION:
        raise MessageError(
            f"{expected.name}: version at offset 4 is {begun[4]}, this host speaks {VERSION}: "
            f"use the same release of pyeno at both ends; {_ABORTED}",
            4,
        )
    if len(begun) > 5 and begun[5] != expected:
        raise MessageError(
            f"type at offset 5 is {begun[5]}, expected is {expected} ({expected.name}); "
            f"{_ABORTED}",
            5,
        )
    if len(begun) < HEADER_LEN:
        return None
    length: int = _HEADER.unpack(begun)[3]
    allowed = _lengths(expected, method)
    if length not in allowed:
        raise MessageError(
            f"{expected.name}: length at offset 6 is {length}, allowed: "
            f"{' or '.join(map(str, allowed))}; {_ABORTED}",
            6,
        )
    return HEADER_LEN + length


def _lengths(expected: Type, method: Method) -> tuple[int, ...]:
    """A HELLO of another method is read whole, so that the error can name the method."""
    if expected is Type.HELLO:
        return tuple(_hello_len(each) for each in Method)
    return (method.proof_len if expected is Type.PROOF else 0,)


def parse_hello(message: bytes) -> Hello:
    """The fields of a whole HELLO; raises MessageError."""
    number, role = _PREFIX.unpack_from(message, HEADER_LEN)
    if number not in list(Method):
        raise MessageError(
            f"HELLO: method at offset {HEADER_LEN} is {number}, known: "
            f"{', '.join(f'{each} ({each.name.lower()})' for each in Method)}; {_ABORTED}",
            HEADER_LEN,
        )
    if chr(role) not in [each.value for each in Role]:
        raise MessageError(
            f"HELLO: role at offset {HEADER_LEN + 1} is {role}, allowed: "
            f"{ord('A')} (A) or {ord('B')} (B); {_ABORTED}",
            HEADER_LEN + 1,
        )
    method = Method(number)
    if len(message) != HEADER_LEN + _hello_len(method):
        raise MessageError(
            f"HELLO: length at offset 6 is {len(message) - HEADER_LEN}, method "
            f"{method.name.lower()} has {_hello_len(method)}; {_ABORTED}",
            6,
        )
    rest = message[HEADER_LEN + _PREFIX.size :]
    return Hello(method, Role(chr(role)), rest[:NONCE_LEN], rest[NONCE_LEN:])
