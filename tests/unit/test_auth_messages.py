"""What is no message of pyeno.auth: refused at the first wrong byte, which is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.proving import ACCEPT, B_HELLO, METHODS, end, said_by

from pyeno import Role
from pyeno.auth import EndedEarlyError, MessageError, PeerNotAuthenticatedError
from pyeno.auth.messages import MESSAGE_MAX
from pyeno.errors import AuthenticationError

both = pytest.mark.parametrize("method", METHODS)


@both
def test_end_of_stream_anywhere(method: str) -> None:
    said = said_by(method, Role.B)
    for size in range(len(said)):
        a = end(method, Role.A)
        a.receive_data(said[:size])
        with pytest.raises(EndedEarlyError, match=r"bytes into its (HELLO|PROOF|ACCEPT)"):
            a.receive_eof()
        with pytest.raises(EndedEarlyError):
            a.receive_data(said[size:])
        assert not a.done and a.data_to_send() == b"" and a.wanted == 0
    whole = end(method, Role.A)
    whole.receive_data(said)
    whole.receive_eof()
    whole.data_to_send()
    assert whole.done


@both
def test_every_flipped_bit(method: str) -> None:
    """Of all that host B says, nothing can be changed without host A's noticing."""
    said = said_by(method, Role.B)
    for bit in range(8 * len(said)):
        flipped = bytearray(said)
        flipped[bit // 8] ^= 1 << bit % 8
        a = end(method, Role.A)
        with pytest.raises(PeerNotAuthenticatedError) as caught:
            a.receive_data(flipped)
            a.receive_eof()
        assert not a.done and isinstance(caught.value, AuthenticationError)


@both
@pytest.mark.parametrize("length", [0, 1, 33, 35, 65, 67, 68, 255, 256, 0xFFFF])
@pytest.mark.parametrize("place", ["HELLO", "PROOF", "ACCEPT"])
def test_lengths_are_bounded(method: str, place: str, length: int) -> None:
    """Refused with the header, before a byte of the body is waited for."""
    before = {"HELLO": b"", "PROOF": B_HELLO[method]}
    before["ACCEPT"] = said_by(method, Role.B)[: -len(ACCEPT)]
    kind = {"HELLO": b"\x01", "PROOF": b"\x02", "ACCEPT": b"\x03"}[place]
    a = end(method, Role.A)
    a.receive_data(before[place])
    if length == 0 and place == "ACCEPT":
        length = 4
    says = f"{place}: length at offset 6 is {length}, allowed: "
    with pytest.raises(MessageError, match=says) as caught:
        a.receive_data(b"ENOa\x01" + kind + length.to_bytes(2, "big"))
    assert caught.value.offset == 6 and "connection reset" in str(caught.value)


def hello(length: int, begin: bytes) -> bytes:
    return b"ENOa\x01\x01" + length.to_bytes(2, "big") + begin.ljust(length, b"n")


@pytest.mark.parametrize(
    ("said", "offset", "says"),
    [
        (b"G", 0, "magic at offset 0 begins 47, expected 454e4f61: the peer's application"),
        (b"EHLO example", 1, "magic at offset 0 begins 45484c4f"),
        (b"ENOb", 3, "magic"),
        (b"ENOa\x02", 4, "version at offset 4 is 2, this host speaks 1: use the same release"),
        (b"ENOa\x01\x02", 5, r"type at offset 5 is 2, expected is 1 \(HELLO\)"),
        (b"ENOa\x01\x03", 5, "type at offset 5 is 3"),
        (b"ENOa\x01\x00", 5, "type at offset 5 is 0"),
        (hello(34, b"\x03A"), 8, r"method at offset 8 is 3, known: 1 \(psk\), 2 \(ed25519\)"),
        (hello(34, b"\x01C"), 9, r"role at offset 9 is 67, allowed: 65 \(A\) or 66 \(B\)"),
        (hello(66, b"\x01B"), 6, "length at offset 6 is 66, method psk has 34"),
        (hello(34, b"\x02B"), 6, "length at offset 6 is 34, method ed25519 has 66"),
        (B_HELLO["psk"] + B_HELLO["psk"], 5, r"type at offset 5 is 1, expected is 2 \(PROOF\)"),
        (B_HELLO["psk"] + ACCEPT, 5, "type at offset 5 is 3, expected is 2"),
    ],
)  # fmt: skip
def test_what_is_no_message(said: bytes, offset: int, says: str) -> None:
    """Which field, at which offset; told at the first wrong byte; told again afterwards."""
    a = end("psk", Role.A)
    with pytest.raises(MessageError, match=says) as caught:
        a.receive_data(said)
    assert caught.value.offset == offset
    for call in (lambda: a.receive_data(b""), a.receive_eof, lambda: a.authenticated):
        with pytest.raises(MessageError) as again:
            call()
        assert again.value is caught.value
    assert a.data_to_send() == b"" and not a.done and "failed" in repr(a)


@both
@given(st.lists(st.binary(max_size=200), max_size=6), st.integers(0, 200))
def test_garbage(method: str, pieces: list[bytes], good: int) -> None:
    """Whatever follows whatever part of an honest exchange: one kind of error, or
    waiting for more; never a peer that is believed."""
    said = said_by(method, Role.B)
    good = min(good, len(said) - 1)
    a = end(method, Role.A)
    a.receive_data(said[:good])
    rest = b"".join(pieces)
    try:
        for piece in pieces:
            a.receive_data(piece)
    except PeerNotAuthenticatedError:
        pass
    assert not a.done or rest.startswith(said[good:])
    assert a.wanted <= MESSAGE_MAX
