"""Init1 and Init2 (RFC 8548 section 4.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyeno.constants import ECDHE, INIT1_MAGIC, INIT2_MAGIC, Tep
from pyeno.errors import RemoteProtocolError
from pyeno.tcpcrypt.messages import (
    INIT_MAX,
    Init1,
    Init2,
    encode_init1,
    encode_init2,
    message_len,
    parse_init1,
    parse_init2,
)

CURVE25519 = Tep.TCPCRYPT_ECDHE_Curve25519
PREFIXED = [Tep.TCPCRYPT_ECDHE_P256, Tep.TCPCRYPT_ECDHE_P521]
NONCE, PUBLIC = bytes(range(32)), bytes(range(100, 132))


@pytest.mark.rfc("8548:4.1-1", "8548:4.1-2", "8548:4.1-3", "8548:4.1-4")
def test_init1_is_the_figure() -> None:
    message = encode_init1(Init1((1, 0x10), NONCE, PUBLIC))
    assert message == (
        bytes.fromhex("15101a0e") + (77).to_bytes(4, "big")
        + b"\x02\x00\x01\x00\x10" + NONCE + PUBLIC
    )  # fmt: skip
    assert message_len(message, INIT1_MAGIC) == len(message) == 77


@pytest.mark.rfc("8548:4.1-6", "8548:4.1-8", "8548:4.1-9")
def test_init2_is_the_figure() -> None:
    message = encode_init2(Init2(2, NONCE, PUBLIC))
    expected = bytes.fromhex("097105e0") + (74).to_bytes(4, "big") + b"\x00\x02"
    assert message == expected + NONCE + PUBLIC
    assert message_len(message, INIT2_MAGIC) == len(message) == 74


@pytest.mark.rfc("8548:4.1-2", "8548:4.1-5")
@given(st.lists(st.integers(0, 0xFFFF), max_size=255), st.binary(max_size=40))
def test_parse_is_the_inverse_and_ignores_what_follows(
    ciphers: list[int], ignored: bytes
) -> None:
    """ "implementations MUST permit and ignore any bytes following Pub_A"."""
    init1 = Init1(tuple(ciphers), NONCE, PUBLIC)
    assert parse_init1(encode_init1(init1) + ignored, CURVE25519) == init1


@pytest.mark.rfc("8548:4.1-10")
def test_init2_ignores_what_follows() -> None:
    init2 = Init2(0x10, NONCE, PUBLIC)
    assert parse_init2(encode_init2(init2) + b"later", CURVE25519) == init2


@pytest.mark.parametrize("size", range(9, 73))
def test_short_init1_names_the_field(size: int) -> None:
    message = encode_init1(Init1((1,), NONCE, PUBLIC))[:size]
    with pytest.raises(RemoteProtocolError, match=r"Init1: (sym_cipher list|N_A|Pub_A) needs"):
        parse_init1(message, CURVE25519)


def test_message_without_nciphers() -> None:
    with pytest.raises(RemoteProtocolError, match="nciphers needs 1 bytes at offset 8"):
        parse_init1(encode_init1(Init1((), b"", b""))[:8], CURVE25519)


@pytest.mark.parametrize("length", [0, 8, INIT_MAX + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_absurd_message_len(length: int) -> None:
    header = INIT1_MAGIC.to_bytes(4, "big") + length.to_bytes(4, "big")
    with pytest.raises(
        RemoteProtocolError, match=f"message_len at stream offset 4 is {length}"
    ):
        message_len(header, INIT1_MAGIC)


@pytest.mark.parametrize("begun", [b"G", b"GET ", b"\x15\x10\x1a\x0f", b"\x15\x11", b"\x09"])
def test_wrong_magic_is_told_at_once(begun: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="magic at stream offset 0"):
        message_len(begun, INIT1_MAGIC)


@pytest.mark.parametrize("size", range(8))
def test_header_not_yet_whole(size: int) -> None:
    assert message_len(encode_init1(Init1((1,), NONCE, PUBLIC))[:size], INIT1_MAGIC) is None


def pub(tep: int, counted: int = 0) -> bytes:
    """A Pub field whose pubkey_len is too large by that much."""
    scheme = ECDHE[tep]
    prefix = (scheme.pubkey_len + counted).to_bytes(2, "big") if scheme.pubkey_len else b""
    return prefix + bytes(range(scheme.public_len))


@pytest.mark.rfc("8548:5-3", "8548:5-9")
@pytest.mark.parametrize("tep", ECDHE, ids=hex)
def test_the_tep_says_how_long_pub_is(tep: int) -> None:
    """Section 5's figure; "ignored" bytes are no part of it."""
    assert len(pub(tep)) == ECDHE[tep].pub_len
    init1, init2 = Init1((1, 2), NONCE, pub(tep)), Init2(2, NONCE, pub(tep))
    for more in b"", b"ignored" * 20:
        assert parse_init1(encode_init1(init1) + more, tep) == init1
        assert parse_init2(encode_init2(init2) + more, tep) == init2


@pytest.mark.parametrize("tep", PREFIXED)
def test_pubkey_len_that_does_not_count_itself(tep: int) -> None:
    """Section 5 says "prefixed by a two-byte length", too; the field is as long either way."""
    init1 = Init1((1,), NONCE, pub(tep, -2))
    assert parse_init1(encode_init1(init1) + b"ignored", tep) == init1


@pytest.mark.rfc("8548:5-3")
@pytest.mark.parametrize("tep", PREFIXED)
@pytest.mark.parametrize("counted", [-67, -33, -3, -1, 1, 2, 221, 65000])
def test_wrong_pubkey_len(tep: int, counted: int) -> None:
    length = ECDHE[tep].pubkey_len + counted
    if length < 0:
        counted, length = -ECDHE[tep].pubkey_len, 0
    wrong = pub(tep, counted)
    says = f"pubkey_len at offset {{}} is {length}, this TEP's is {ECDHE[tep].pubkey_len}"
    with pytest.raises(RemoteProtocolError, match="Init1: Pub_A's " + says.format(8 + 3 + 32)):
        parse_init1(encode_init1(Init1((1,), NONCE, wrong)), tep)
    with pytest.raises(RemoteProtocolError, match="Init2: Pub_B's " + says.format(8 + 2 + 32)):
        parse_init2(encode_init2(Init2(1, NONCE, wrong)), tep)


@pytest.mark.parametrize("tep", PREFIXED)
def test_short_pub_names_the_field(tep: int) -> None:
    whole = encode_init2(Init2(1, NONCE, pub(tep)))
    for size in range(42, len(whole)):
        field = r"Pub_B's pubkey_len needs 2" if size < 44 else r"Pub_B needs (33|67)"
        with pytest.raises(RemoteProtocolError, match=f"Init2: {field} bytes at offset"):
            parse_init2(whole[:size], tep)
