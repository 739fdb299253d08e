"""Key agreement of the four TEPs: the RFCs' vectors, RFC 8548 section 5's checks."""

import copy
import pickle
from typing import Any

import pytest
from tcpcrypt_vectors import HANDSHAKES

from pyeno.constants import ECDHE
from pyeno.errors import LocalProtocolError, RemoteProtocolError

P256, P521, X25519, X448 = ECDHE

# RFC 7748 sections 5.2 (first vector of each) and 6.2
RFC_7748 = [
    (
        X25519,
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
    (
        X448,
        "3d262fddf9ec8e88495266fea19a34d28882acef045104d0d1aae121700a779c984c24f8cdd78fbff449"
        "43eba368f54b29259a4f1c600ad3",
        "06fce640fa3487bfda5f6cf2d5263f8aad88334cbd07437f020f08f9814dc031ddbdc38c19c6da2583fa"
        "5429db94ada18aa7a7fb4ef8a086",
        "ce3e4ff95a60dc6697da1db1d85e6afbdf79b50a2412d7546d5f239fe14fbaadeb445fc66a01b0779d98"
        "223961111e21766282f73dd96b6f",
    ),
    (
        X448,
        "9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28dd9c9baf574a9419744897391006382"
        "a6f127ab1d9ac2d8c0a598726b",
        "3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b43027d8b972fc3e34fb4232a13ca706dc"
        "b57aec3dae07bdc1c67bf33609",
        "07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282bb60c0b56fd2464c335543936521c24"
        "403085d59a449a5037514a879d",
    ),
]
CURVE25519_P = (1 << 255) - 19
CURVE448_P = (1 << 448) - (1 << 224) - 1
P256_P = (1 << 256) - (1 << 224) + (1 << 192) + (1 << 96) - 1
P521_P = (1 << 521) - 1
ORDERS = {
    P256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    P521: int(
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
        "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
        16,
    ),
}

# RFC 7748 section 6: 0, 1, -1 and what is the same modulo p; order 8 on Curve25519
LOW_ORDER = [
    (X25519, u.to_bytes(32, "little"))
    for u in (0, 1, CURVE25519_P - 1, CURVE25519_P, CURVE25519_P + 1)
] + [
    (X25519, bytes.fromhex(u))
    for u in (
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    )
] + [
    (X448, u.to_bytes(56, "little"))
    for u in (0, 1, CURVE448_P - 1, CURVE448_P, CURVE448_P + 1)
]  # fmt: skip


def compressed(tep: int, x: int, start: int = 2) -> bytes:
    return bytes([start]) + x.to_bytes(ECDHE[tep].secret_len, "big")


# on neither curve: 7; as if below p: x + p, where x is on the curve; and the field's end
NO_POINTS = [
    (P256, compressed(P256, 7)),
    (P256, compressed(P256, 7, 3)),
    (P256, compressed(P256, P256_P)),
    (P256, compressed(P256, P256_P + 5)),
    (P256, compressed(P256, (1 << 256) - 1)),
    (P521, compressed(P521, 7)),
    (P521, compressed(P521, 7, 3)),
    (P521, compressed(P521, P521_P)),
    (P521, compressed(P521, P521_P + 6)),
    (P521, compressed(P521, (1 << 528) - 1)),
]

every_tep = pytest.mark.parametrize("tep", ECDHE, ids=hex)


def pair(twin: Any, tep: int, private: str | bytes) -> Any:
    octets = bytes.fromhex(private) if isinstance(private, str) else private
    return twin.agreement.KeyPair(tep, twin.Secret(octets))


def fresh(twin: Any, tep: int) -> Any:
    """With a private key that every TEP takes."""
    return pair(twin, tep, b"\x01" * ECDHE[tep].secret_len)


@pytest.mark.rfc("8548:5-6")
@pytest.mark.parametrize(("tep", "scalar", "point", "result"), RFC_7748)
def test_rfc_7748_vectors(twin: Any, tep: int, scalar: str, point: str, result: str) -> None:
    assert pair(twin, tep, scalar).exchange(bytes.fromhex(point)).export().hex() == result


@pytest.mark.parametrize("label", HANDSHAKES)
def test_handshake_vectors(twin: Any, label: str) -> None:
    """ES: for P-256 and P-521 "the x coordinate" in full width, big-endian."""
    h = HANDSHAKES[label]
    tep, length = h["tep"], ECDHE[h["tep"]].public_len
    for host, peer in (("a", "b"), ("b", "a")):
        private = twin.Secret(bytes.fromhex(h[f"private_{host}"]))
        keys = twin.agreement.KeyPair(tep, private)
        assert keys.public.hex() == h[f"public_{host}"][-2 * length :]
        remote = bytearray.fromhex(h[f"public_{peer}"])[-length:]
        es = keys.exchange(memoryview(remote))
        assert es.export().hex() == h["es"] and len(es) == ECDHE[tep].secret_len
        assert not private.wiped


def test_every_tep_has_vectors() -> None:
    assert {h["tep"] for h in HANDSHAKES.values()} == set(ECDHE)


@every_tep
def test_fresh_keys_agree(twin: Any, twins: Any, tep: int) -> None:
    """With itself and with the other twin."""
    size = ECDHE[tep].secret_len
    for other in twins:
        keys = []
        for each in (twin, other):
            private = bytearray(each.Secret.random(size).export())
            private[0] &= 1  # below the order
            keys.append(pair(each, tep, private))
        mine, yours = keys[0].exchange(keys[1].public), keys[1].exchange(keys[0].public)
        assert mine.export() == yours.export() != bytes(size)


@pytest.mark.rfc("8548:5-7")
@pytest.mark.parametrize(("tep", "point"), LOW_ORDER)
def test_all_zero_secret_aborts(twin: Any, tep: int, point: bytes) -> None:
    """Section 5: "MUST check whether the computed Diffie-Hellman shared secret
    is the all-zero value and abort if so"."""
    with pytest.raises(RemoteProtocolError, match="all-zero"):
        fresh(twin, tep).exchange(point)


@pytest.mark.parametrize(
    ("tep", "p", "u", "size"), [(X25519, CURVE25519_P, 9, 32), (X448, CURVE448_P, 5, 56)]
)
def test_u_coordinates_beyond_p(twin: Any, tep: int, p: int, u: int, size: int) -> None:
    """RFC 7748 section 5: "MUST accept non-canonical values and process them as if they
    had been reduced modulo the field prime"."""
    keys = fresh(twin, tep)
    reduced, beyond = (keys.exchange(n.to_bytes(size, "little")) for n in (u, p + u))
    assert reduced.export() == beyond.export()


@pytest.mark.rfc("8548:5-5")
@pytest.mark.parametrize(("tep", "point"), NO_POINTS)
def test_no_point_of_the_curve(twin: Any, tep: int, point: bytes) -> None:
    """Section 5: "MUST validate these pubkey values" (IEEE 1363 A.16.10)."""
    with pytest.raises(RemoteProtocolError, match="no point of this TEP's curve"):
        fresh(twin, tep).exchange(point)


@pytest.mark.parametrize(("tep", "x"), [(P256, 5), (P521, 6)])
def test_small_coordinates_are_points(twin: Any, tep: int, x: int) -> None:
    """So that adding p to them above is what is refused; x = 0 is on both curves."""
    for start in (2, 3):
        for value in (x, 0):
            assert any(fresh(twin, tep).exchange(compressed(tep, value, start)).export())


@pytest.mark.rfc("8548:5-4", "8548:5-5")
@pytest.mark.parametrize("tep", [P256, P521])
@pytest.mark.parametrize("start", [0, 1, 4, 5, 6, 7, 0x82, 0xFF])
def test_compressed_points_only(twin: Any, tep: int, start: int) -> None:
    """Section 5: "MUST encode these pubkey values in "compressed format"": neither
    infinity (0) nor uncompressed (4) and hybrid (6, 7) points."""
    wrong = bytes([start]) + fresh(twin, tep).public[1:]
    with pytest.raises(RemoteProtocolError, match=f"begins 0x{start:02x}, a compressed point"):
        fresh(twin, tep).exchange(wrong)


@every_tep
@pytest.mark.parametrize("more", [-56, -1, 1, 64])
def test_public_key_of_another_length(twin: Any, tep: int, more: int) -> None:
    """An uncompressed point and infinity in one byte are refused for that already."""
    size = max(0, ECDHE[tep].public_len + more)
    with pytest.raises(RemoteProtocolError, match=f"has {size} bytes, this TEP's have"):
        fresh(twin, tep).exchange(b"\x02" * size)


@every_tep
def test_private_key_of_another_length(twin: Any, tep: int) -> None:
    size = ECDHE[tep].secret_len
    for wrong in (0, size - 1, size + 1):
        with pytest.raises(ValueError, match=f"private key has {wrong} bytes; {size}"):
            pair(twin, tep, bytes(wrong))


@pytest.mark.parametrize("tep", [P256, P521])
def test_private_keys_are_from_1_to_the_order_less_1(twin: Any, tep: int) -> None:
    size, order = ECDHE[tep].secret_len, ORDERS[tep]
    for scalar in (1, 2, order - 1):
        assert pair(twin, tep, scalar.to_bytes(size, "big")).public[0] in (2, 3)
    for scalar in (0, order, order + 1):
        with pytest.raises(ValueError, match="not from 1 to the curve's order"):
            pair(twin, tep, scalar.to_bytes(size, "big"))


def test_bits_beyond_the_order_are_cleared(twin: Any) -> None:
    """P-521's private key has 521 bits of 528."""
    keys = [pair(twin, P521, bytes([first]) + b"\x11" * 65) for first in (1, 0xFF, 0)]
    assert keys[0].public == keys[1].public != keys[2].public


@every_tep
def test_wiped_keys(twin: Any, tep: int) -> None:
    private = twin.Secret(b"\x01" * ECDHE[tep].secret_len)
    keys = twin.agreement.KeyPair(tep, private)
    assert repr(keys) == f"<KeyPair: TEP {tep:#04x}>"
    private.wipe()
    with pytest.raises(LocalProtocolError, match="wiped"):
        twin.agreement.KeyPair(tep, private)
    public = keys.public
    assert keys.exchange(public).export()
    keys.wipe()
    keys.wipe()
    with pytest.raises(LocalProtocolError, match="this KeyPair was wiped"):
        keys.exchange(public)
    assert keys.public == public and repr(keys) == "<KeyPair: wiped>"


def test_nothing_escapes_by_pickling_or_copying(twin: Any) -> None:
    for escape in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            escape(fresh(twin, P256))


@pytest.mark.parametrize("tep", [0, 0x20, 0x25, 0xA3, -1])
def test_other_teps(twin: Any, tep: int) -> None:
    with pytest.raises(ValueError, match="has no key agreement here"):
        twin.agreement.KeyPair(tep, twin.Secret(bytes(32)))


def test_plain_bytes_are_no_secret(twin: Any) -> None:
    if twin.backend == "native":
        with pytest.raises(TypeError):
            twin.agreement.KeyPair(X25519, bytes(32))
