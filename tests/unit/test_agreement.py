"""X25519: RFC 7748's vectors, RFC 8548's checks."""

from typing import Any

import pytest
from tcpcrypt_vectors import HANDSHAKES

from pyeno.errors import LocalProtocolError, RemoteProtocolError

CURVE25519 = {label: h for label, h in HANDSHAKES.items() if h["tep"] == 0x23}

# RFC 7748 section 6.1
ALICE = "77076d0a7318a57d3c16c17251b26645df4c2f92ebc099ac6b1a3e8f0f3f2c2a"
# RFC 7748 section 5.2, first vector: scalar, u-coordinate, result
SCALAR = "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"
POINT = "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"
RESULT = "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"

# points of small order: 0, 1, p - 1, p, p + 1, and the two of order 8
LOW_ORDER = [
    bytes(32),
    bytes([1]) + bytes(31),
    ((1 << 255) - 20).to_bytes(32, "little"),
    ((1 << 255) - 19).to_bytes(32, "little"),
    ((1 << 255) - 18).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]


def secret(twin: Any, text: str) -> Any:
    return twin.Secret(bytes.fromhex(text))


@pytest.mark.rfc("8548:5-6")
def test_rfc_7748_vector(twin: Any) -> None:
    es = twin.agreement.x25519(secret(twin, SCALAR), bytes.fromhex(POINT))
    assert es.export().hex() == RESULT


@pytest.mark.parametrize("label", CURVE25519)
def test_handshake_vectors(twin: Any, label: str) -> None:
    h = CURVE25519[label]
    for host, peer in (("a", "b"), ("b", "a")):
        private = secret(twin, h[f"private_{host}"])
        assert twin.agreement.x25519_public(private).hex() == h[f"public_{host}"]
        remote = bytearray.fromhex(h[f"public_{peer}"])
        es = twin.agreement.x25519(private, memoryview(remote))
        assert es.export().hex() == h["es"]
        assert not private.wiped


def test_fresh_keys_agree(twin: Any, twins: Any) -> None:
    """With itself and with the other twin."""
    for other in twins:
        one, two = twin.Secret.random(32), other.Secret.random(32)
        mine = twin.agreement.x25519(one, other.agreement.x25519_public(two))
        yours = other.agreement.x25519(two, twin.agreement.x25519_public(one))
        assert mine.export() == yours.export()


@pytest.mark.rfc("8548:5-7")
@pytest.mark.parametrize("point", LOW_ORDER, ids=lambda point: point.hex()[:8])
def test_all_zero_secret_aborts(twin: Any, point: bytes) -> None:
    """Section 5: "MUST check whether the computed Diffie-Hellman shared secret
    is the all-zero value and abort if so"."""
    with pytest.raises(RemoteProtocolError, match="all-zero"):
        twin.agreement.x25519(secret(twin, ALICE), point)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_public_key_of_another_length(twin: Any, size: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"has {size} bytes"):
        twin.agreement.x25519(secret(twin, ALICE), b"\x09" * size)


def test_private_key_of_another_length(twin: Any) -> None:
    short = twin.Secret(bytes(31))
    with pytest.raises(ValueError, match="private key has 31 bytes; 32"):
        twin.agreement.x25519_public(short)
    with pytest.raises(ValueError, match="private key has 31 bytes; 32"):
        twin.agreement.x25519(short, bytes.fromhex(POINT))


def test_wiped_private_key(twin: Any) -> None:
    private = secret(twin, ALICE)
    private.wipe()
    with pytest.raises(LocalProtocolError, match="wiped"):
        twin.agreement.x25519_public(private)
    with pytest.raises(LocalProtocolError, match="wiped"):
        twin.agreement.x25519(private, bytes.fromhex(POINT))


def test_plain_bytes_are_no_secret(twin: Any) -> None:
    if twin.backend == "native":
        with pytest.raises(TypeError):
            twin.agreement.x25519_public(bytes(32))
