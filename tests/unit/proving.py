"""Two ends of an authentication without sockets, whatever the method."""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pyeno import Role
from pyeno.auth import (
    ChannelBinding,
    Ed25519Exchange,
    KnownHosts,
    PskExchange,
    UnknownKeyError,
    fingerprint,
)
from pyeno.auth.exchange import Exchange
from pyeno.auth.keys import encode_public, raw_public
from pyeno.auth.messages import Type, encode

METHODS = ("psk", "ed25519")
SESSION_ID = b"\x23" + bytes(range(32))
OTHER_ID = SESSION_ID[:-1] + b"\xff"
PSK = bytes(range(100, 132))
IDENTITIES = {
    Role.A: Ed25519PrivateKey.from_private_bytes(b"a" * 32),
    Role.B: Ed25519PrivateKey.from_private_bytes(b"b" * 32),
}
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
PUBLIC = {role: raw_public(key.public_key()) for role, key in IDENTITIES.items()}

A_HELLO = {
    # magic, version, type, length; method, role, nonce
    "psk": b"ENOa\x01\x01\x00\x22" + b"\x01A" + bytes(range(65, 97)),
    "ed25519": b"ENOa\x01\x01\x00\x42" + b"\x02A" + bytes(range(65, 97))
    + PUBLIC[Role.A],
}  # fmt: skip
B_HELLO = {
    "psk": b"ENOa\x01\x01\x00\x22" + b"\x01B" + bytes(range(66, 98)),
    "ed25519": b"ENOa\x01\x01\x00\x42" + b"\x02B" + bytes(range(66, 98))
    + PUBLIC[Role.B],
}  # fmt: skip
PROOF = {"psk": b"ENOa\x01\x02\x00\x20", "ed25519": b"ENOa\x01\x02\x00\x40"}
ACCEPT = b"ENOa\x01\x03\x00\x00"


def written(path: Path, text: str | bytes) -> KnownHosts:
    """A file that nobody else may write to."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)
    return KnownHosts(path)


def both_known(path: Path) -> Path:
    """Each role's key, under the name ``a.example`` or ``b.example``."""
    lines = [f"{role.value}.example {encode_public(key)}\n" for role, key in PUBLIC.items()]
    written(path, "".join(lines))
    return path


class Counting:
    """Randomness that is none."""

    def __init__(self, start: int) -> None:
        self.start = start

    def public(self, size: int) -> bytes:
        return bytes((self.start + n) % 256 for n in range(size))

    def secret(self, size: int) -> Any:
        raise AssertionError("an authentication makes no key")


class InMemory:
    """Pins without a file."""

    def __init__(self, *known: Ed25519PrivateKey, new: bool = False) -> None:
        self.known = {raw_public(key.public_key()) for key in known}
        self.new = new
        self.pinned: list[bytes] = []

    def judge(self, key: bytes) -> tuple[str, bool]:
        if key not in self.known:
            raise UnknownKeyError("unknown", fingerprint(key))
        return "peer.example", self.new

    def pin(self, key: bytes) -> None:
        self.pinned.append(key)


def end(
    method: str,
    role: Role,
    *,
    session_id: bytes = SESSION_ID,
    context: bytes = b"",
    key: Any = None,
    pins: Any = None,
    nonce: int | None = None,
) -> Exchange:
    """One end; what is not given suits the other end's defaults."""
    binding = ChannelBinding(role, session_id)
    randomness = Counting(ord(role.value) if nonce is None else nonce)
    if method == "psk":
        return PskExchange(binding, key or PSK, context=context, randomness=randomness)
    pins = pins or InMemory(IDENTITIES[role.opposite])
    return Ed25519Exchange(
        binding, key or IDENTITIES[role], pins, context=context, randomness=randomness
    )


def couple(method: str, **options: Any) -> tuple[Exchange, Exchange]:
    """Host A's and host B's."""
    return end(method, Role.A, **options), end(method, Role.B, **options)


def owed_and(exchange: Exchange, data: bytes) -> bytes:
    """What an end sends now, and ``data`` right behind its last message."""
    owed = exchange.data_to_send()
    return owed + data if owed.endswith(encode(Type.ACCEPT)) else owed


def run(a: Exchange, b: Exchange) -> dict[Role, BaseException]:
    """Carry every byte, as sockets do, until nothing moves; what failed by role."""
    ends = {Role.A: a, Role.B: b}
    failed: dict[Role, BaseException] = {}
    while True:
        moved = {role: each.data_to_send() for role, each in ends.items()}
        if not any(moved.values()):
            return failed
        for role, data in moved.items():
            other = role.opposite
            if data and other not in failed:
                try:
                    ends[other].receive_data(data)
                except Exception as error:
                    failed[other] = error


def said_by(method: str, role: Role, **options: Any) -> bytes:
    """All that one end sends in an exchange that goes well."""
    a, b = couple(method, **options)
    ends = {Role.A: a, Role.B: b}
    said = {Role.A: b"", Role.B: b""}
    for _ in range(3):
        for each in Role:
            data = ends[each].data_to_send()
            said[each] += data
            ends[each.opposite].receive_data(data)
    assert a.done and b.done
    return said[role]
