"""The key exchange (RFC 8548 section 3.3)."""

import random

import pytest

from pyeno.constants import Role, Tep
from pyeno.errors import LocalProtocolError, RemoteProtocolError
from pyeno.tcpcrypt.agreement import Secret
from pyeno.tcpcrypt.handshake import Agreed, Handshake, HandshakeState
from pyeno.tcpcrypt.messages import Init1, Init2, encode_init1, encode_init2, parse_init1

TEP = Tep.TCPCRYPT_ECDHE_Curve25519


class Seeded:
    """Repeatable randomness."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def public(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def secret(self, size: int) -> Secret:
        return Secret(self._random.randbytes(size))


def host(role: Role, aeads: tuple[int, ...] = (1, 2, 0x10), seed: int = 1) -> Handshake:
    return Handshake(role=role, tep=TEP, aeads=aeads, randomness=Seeded(seed))


def exchange(a: Handshake, b: Handshake, ignored: bytes = b"") -> tuple[Agreed, Agreed]:
    in_b = b.receive(a.start() + ignored)
    assert in_b is not None
    in_a = a.receive(in_b[1] + b"frames follow")
    assert in_a is not None and in_a[1:] == (b"", b"frames follow")
    return in_a[0], in_b[0]


@pytest.mark.rfc("8548:3.3-1")
def test_both_hosts_agree() -> None:
    a, b = host(Role.A, seed=1), host(Role.B, seed=2)
    assert b.start() == b""
    in_a, in_b = exchange(a, b)
    assert in_a.es.export() == in_b.es.export()
    assert in_a[1:] == in_b[1:]
    assert a.state is b.state is HandshakeState.AGREED


@pytest.mark.rfc("8548:3.3-2")
def test_the_same_byte_by_byte() -> None:
    a, b = host(Role.A, seed=1), host(Role.B, seed=2)
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
def test_keys_are_fresh_each_time() -> None:
    """Public keys MUST be refreshed frequently: here, for every connection."""
    from pyeno.tcpcrypt.system import SYSTEM

    made = {
        Handshake(role=Role.A, tep=TEP, aeads=(1,), randomness=SYSTEM).start() for _ in range(8)
    }
    parsed = [parse_init1(message, 32) for message in made]
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
