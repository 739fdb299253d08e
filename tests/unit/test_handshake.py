"""The key exchange (RFC 8548 section 3.3)."""

import random
from typing import Any

import pytest
from tcpcrypt_vectors import HANDSHAKES

from pyeno.constants import ECDHE, Role, Tep
from pyeno.errors import LocalProtocolError, RemoteProtocolError
from pyeno.tcpcrypt.agreement import Secret
from pyeno.tcpcrypt.handshake import Agreed, Handshake, HandshakeState
from pyeno.tcpcrypt.messages import (
    Init1,
    Init2,
    encode_init1,
    encode_init2,
    parse_init1,
    parse_init2,
)
from pyeno.tcpcrypt.schemes import generate

TEP = Tep.TCPCRYPT_ECDHE_Curve25519
P256, P521 = Tep.TCPCRYPT_ECDHE_P256, Tep.TCPCRYPT_ECDHE_P521
every_tep = pytest.mark.parametrize("tep", ECDHE, ids=hex)


class Seeded:
    """Repeatable randomness."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def public(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def secret(self, size: int) -> Secret:
        return Secret(self._random.randbytes(size))


def host(
    role: Role, aeads: tuple[int, ...] = (1, 2, 0x10), seed: int = 1, tep: int = TEP
) -> Handshake:
    return Handshake(role=role, tep=tep, aeads=aeads, randomness=Seeded(seed))


def exchange(a: Handshake, b: Handshake, ignored: bytes = b"") -> tuple[Agreed, Agreed]:
    in_b = b.receive(a.start() + ignored)
    assert in_b is not None
    in_a = a.receive(in_b[1] + b"frames follow")
    assert in_a is not None and in_a[1:] == (b"", b"frames follow")
    return in_a[0], in_b[0]


@pytest.mark.rfc("8548:3.3-1")
@every_tep
def test_both_hosts_agree(tep: int) -> None:
    a, b = host(Role.A, seed=1, tep=tep), host(Role.B, seed=2, tep=tep)
    assert b.start() == b""
    in_a, in_b = exchange(a, b)
    assert in_a.es.export() == in_b.es.export()
    assert in_a[1:] == in_b[1:]
    assert a.state is b.state is HandshakeState.AGREED


@pytest.mark.rfc("8548:3.3-2")
@every_tep
def test_the_same_byte_by_byte(tep: int) -> None:
    a, b = host(Role.A, seed=1, tep=tep), host(Role.B, seed=2, tep=tep)
    init1 = a.start()
    for byte in init1[:-1]:
        assert b.receive(bytes([byte])) is None
    done = b.receive(init1[-1:] + b"x")
    assert done is not None and done[2] == b"x"


@pytest.mark.rfc("8548:3.3-13", "8548:4.1-7")
@pytest.mark.parametrize(
    ("offered", "preferred", "chosen"),
    [((1, 2), (2, 1), 2), ((0x7F01, 0x10), (1, 0x10), 0x10), ((1, 2, 0x10), (1,), 1)],
)
def test_host_b_prefers(
    offered: tuple[int, ...], preferred: tuple[int, ...], chosen: int
) -> None:
    """Host B's own order of preference decides (section 3.3)."""
    b = host(Role.B, preferred)
    done = b.receive(encode_init1(Init1(offered, bytes(32), bytes([9]) + bytes(31))))
    assert done is not None and done[0].aead == chosen


@pytest.mark.parametrize("offered", [(), (0x7F01,), (3, 4)])
def test_no_common_cipher(offered: tuple[int, ...]) -> None:
    b = host(Role.B)
    with pytest.raises(RemoteProtocolError, match="sym_cipher_list"):
        b.receive(encode_init1(Init1(offered, bytes(32), bytes(32))))
    assert b.state is HandshakeState.FAILED


@pytest.mark.rfc("8548:3.3-15")
def test_init2_with_a_cipher_that_was_not_offered() -> None:
    """Section 3.3: host A MUST abort."""
    a = host(Role.A, (1,))
    a.start()
    with pytest.raises(RemoteProtocolError, match=r"sym_cipher 0x0002 .* was not offered"):
        a.receive(encode_init2(Init2(2, bytes(32), bytes([9]) + bytes(31))))


@pytest.mark.rfc("8548:5-7")
@pytest.mark.parametrize("low_order", [bytes(32), bytes([1]) + bytes(31)])
def test_all_zero_shared_secret(low_order: bytes) -> None:
    """Section 5: abort if the shared secret is all zero."""
    a, b = host(Role.A), host(Role.B)
    a.start()
    with pytest.raises(RemoteProtocolError, match="zero"):
        a.receive(encode_init2(Init2(1, bytes(32), low_order)))
    with pytest.raises(RemoteProtocolError, match="zero"):
        b.receive(encode_init1(Init1((1,), bytes(32), low_order)))


@pytest.mark.rfc("8547:5-3", "8547:5-7", "8547:5.1-5", "8548:3.3-4")
@every_tep
def test_keys_are_fresh_each_time(tep: int) -> None:
    """Public keys MUST be refreshed frequently: here, for every connection."""
    from pyeno.tcpcrypt.system import SYSTEM

    made = {
        Handshake(role=Role.A, tep=tep, aeads=(1,), randomness=SYSTEM).start() for _ in range(8)
    }
    parsed = [parse_init1(message, tep) for message in made]
    assert len({init.pub_a for init in parsed}) == len({init.n_a for init in parsed}) == 8


def test_misuse() -> None:
    a = host(Role.A)
    a.start()
    with pytest.raises(LocalProtocolError, match="start"):
        a.start()
    b = host(Role.B)
    exchange(host(Role.A), b)
    with pytest.raises(LocalProtocolError, match="agreed"):
        b.receive(b"more")


@pytest.mark.rfc("8548:5-3")
@pytest.mark.parametrize("tep", [P256, P521])
@pytest.mark.parametrize("counts", ["itself", "the key alone"])
def test_pubkey_len_is_answered_in_kind(tep: int, counts: str) -> None:
    """Section 5: the figure's L counts its own two bytes, and so does what we send first."""
    scheme = ECDHE[tep]
    length = scheme.pubkey_len if counts == "itself" else scheme.public_len
    prefix = length.to_bytes(2, "big")
    init1 = parse_init1(host(Role.A, tep=tep).start(), tep)
    assert init1.pub_a[:2] == scheme.pubkey_len.to_bytes(2, "big")
    asked = init1._replace(pub_a=prefix + init1.pub_a[2:])
    b = host(Role.B, seed=2, tep=tep)
    done = b.receive(encode_init1(asked))
    assert done is not None
    pub_b = parse_init2(done[1], tep).pub_b
    assert pub_b[:2] == prefix and pub_b[2] in (2, 3)
    a = host(Role.A, tep=tep)
    a.start()
    in_a = a.receive(done[1])
    assert in_a is not None and in_a[0].es.export() == done[0].es.export()


class Drawn:
    """Secrets as listed, then zeros for ever."""

    def __init__(self, *scalars: int) -> None:
        self.left = list(scalars)
        self.given: list[Secret] = []

    def public(self, size: int) -> bytes:
        return bytes(size)

    def secret(self, size: int) -> Secret:
        scalar = self.left.pop(0) if self.left else 0
        self.given.append(Secret(scalar.to_bytes(size, "big")))
        return self.given[-1]


def test_private_keys_are_drawn_until_one_is_in_range() -> None:
    """FIPS 186-5 section A.2.2: refused draws are drawn again, never bent into range."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    drawn = Drawn(0, order, (1 << 256) - 1, 5)
    assert generate(P256, drawn).public == generate(P256, Drawn(5)).public
    assert len(drawn.given) == 4 and all(secret.wiped for secret in drawn.given)


def test_randomness_that_is_none() -> None:
    drawn = Drawn()
    with pytest.raises(LocalProtocolError, match="64 draws in a row"):
        generate(P521, drawn)
    assert len(drawn.given) == 64 and all(secret.wiped for secret in drawn.given)


@pytest.mark.rfc("8548:5-5")
@pytest.mark.parametrize("tep", [P256, P521])
@pytest.mark.parametrize(
    ("start", "says"), [(2, "no point of"), (4, "begins 0x04"), (0, "begins 0x00")]
)
def test_public_keys_are_validated(tep: int, start: int, says: str) -> None:
    """Section 3.3: "if ... a key-validation step fails ... it MUST abort"."""
    length = ECDHE[tep].public_len - 1
    pub = (
        ECDHE[tep].pubkey_len.to_bytes(2, "big") + bytes([start]) + (7).to_bytes(length, "big")
    )
    a, b = host(Role.A, tep=tep), host(Role.B, tep=tep)
    a.start()
    for end, message in (
        (a, encode_init2(Init2(1, bytes(32), pub))),
        (b, encode_init1(Init1((1,), bytes(32), pub))),
    ):
        with pytest.raises(RemoteProtocolError, match=says):
            end.receive(message)
        assert end.state is HandshakeState.FAILED


class Vector:
    """What one host draws in a vector."""

    def __init__(self, vector: dict[str, Any], host: str) -> None:
        self.nonce = bytes.fromhex(vector[f"nonce_{host}"])
        self.private = bytes.fromhex(vector[f"private_{host}"])

    def public(self, size: int) -> bytes:
        assert size == len(self.nonce)
        return self.nonce

    def secret(self, size: int) -> Secret:
        assert size == len(self.private)
        return Secret(self.private)


PLAIN = {
    label: vector
    for label, vector in HANDSHAKES.items()
    if not vector.get("ignored_a") and not vector.get("ignored_b")
}


@pytest.mark.parametrize("label", PLAIN)
def test_init_messages_are_the_vectors(label: str) -> None:
    """Every byte of Init1 and Init2, and ES, for the private keys of an independent reading."""
    h = PLAIN[label]
    a = Handshake(
        role=Role.A, tep=h["tep"], aeads=tuple(h["ciphers_a"]), randomness=Vector(h, "a")
    )
    b = Handshake(role=Role.B, tep=h["tep"], aeads=(h["aead"],), randomness=Vector(h, "b"))
    init1 = a.start()
    assert init1.hex() == h["init1"]
    in_b = b.receive(init1)
    assert in_b is not None and in_b[1].hex() == h["init2"]
    in_a = a.receive(in_b[1])
    assert in_a is not None
    for agreed in in_a[0], in_b[0]:
        assert agreed.es.export().hex() == h["es"] and agreed.aead == h["aead"]
