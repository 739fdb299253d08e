"""Bytes → words, with the figures' own bytes and with damaged ones."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyeno import explain
from pyeno.explain import FrameCount

INIT1 = bytes.fromhex("15101a0e 0000004f 03 0001 0002 0010") + b"N" * 32 + b"P" * 32
INIT2 = bytes.fromhex("097105e0 0000004a 0010") + b"n" * 32 + b"p" * 32


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("450323", "ENO<tcpcrypt Curve25519>"),
        ("45040123", "ENO<b=1, tcpcrypt Curve25519>"),
        ("4506032122ff", "ENO<a=1, b=1, tcpcrypt P-256, tcpcrypt P-521, TEP 0x7f + 0 bytes>"),
        ("45031c", "ENO<z=7, b=0> (vacuous)"),
        ("4502", "ENO<> (vacuous)"),
        ("4514a3" + "11" * 17, "ENO<tcpcrypt Curve25519 resumption, 8-byte nonce>"),
        ("450621 81a00102".replace(" ", ""), "ENO<ill-formed at byte 1: malformed>"),
        ("45048123", "ENO<ill-formed at byte 3: length-byte-not-before-tep>"),
        ("450720", "ENO<ill-formed at byte 1: malformed>"),
        ("", "ENO<ill-formed at byte 0: malformed>"),
    ],
)
def test_option_of_a_syn(option: str, words: str) -> None:
    assert explain.eno(bytes.fromhex(option), syn=True) == words


def test_option_of_other_segments_has_no_structure() -> None:
    assert explain.eno(b"\x45\x02", syn=False) == "ENO<> (non-SYN form)"
    assert explain.eno(b"\x45\x04\x81\x23", syn=False) == "ENO<2 bytes> (non-SYN form)"


def test_init1_field_by_field() -> None:
    said = explain.init(INIT1 + b"frames follow", 0x23)
    assert said is not None and (said.name, said.message_len) == ("Init1", len(INIT1))
    assert [field.words for field in said.fields] == [
        "INIT1_MAGIC",
        "message_len: 79 bytes",
        "sym_cipher_list: AES-128-GCM, AES-256-GCM, CHACHA20-POLY1305",
        "N_A",
        "Pub_A: tcpcrypt Curve25519",
    ]
    assert b"".join(field.octets for field in said.fields) == INIT1


def test_init2_field_by_field() -> None:
    longer = INIT2[:4] + (len(INIT2) + 3).to_bytes(4, "big") + INIT2[8:] + b"abc"
    said = explain.init(longer, 0x23)
    assert said is not None and said.name == "Init2"
    assert said.fields[2].words == "sym_cipher: CHACHA20-POLY1305"
    assert said.fields[-1] == (b"abc", "ignored")


@pytest.mark.parametrize(("tep", "size"), [(0x21, 35), (0x22, 69), (0x23, 32), (0x24, 56)])
def test_public_keys_of_every_tep(tep: int, size: int) -> None:
    body = b"\x00\x02" + bytes(32) + bytes(size)
    message = INIT2[:4] + (8 + len(body)).to_bytes(4, "big") + body
    said = explain.init(message, tep)
    assert said is not None and len(said.fields[-1].octets) == size
    assert said.fields[-1].words.startswith("Pub_B")


@given(st.binary(max_size=120), st.integers(0, 255), st.booleans())
def test_any_bytes_are_explained(data: bytes, tep: int, syn: bool) -> None:
    assert explain.eno(data[:40], syn=syn).startswith("ENO<")
    explain.frame(data)
    for head in (data, INIT1[:4] + data, INIT2[:4] + data):
        said = explain.init(head, tep)
        if said is not None:
            assert b"".join(field.octets for field in said.fields) == head[: said.message_len]


def test_frame_header() -> None:
    fields = explain.frame(bytes.fromhex("01 0011") + b"c" * 40)
    assert [field.words for field in fields[:2]] == ["control: rekey=1", "clen: 17 bytes"]
    assert fields[2].octets == b"c" * 17
    assert explain.frame(b"\x00\x01") == ()


FRAMES = b"".join(b"\x00" + n.to_bytes(2, "big") + b"x" * n for n in (17, 300, 20))


@given(st.lists(st.integers(0, len(FRAMES) + 5), max_size=8))
def test_frames_are_counted_however_the_stream_is_cut(cuts: list[int]) -> None:
    stream = b"12345" + FRAMES
    borders = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(borders)]
    assert explain.count_frames(pieces, 5) == FrameCount(3, 17, 300, 0)


@pytest.mark.parametrize(
    ("cut", "left"), [(1, 1), (19, 19), (20, 20), (21, 1), (22, 2), (23, 0)]
)
def test_an_incomplete_last_frame(cut: int, left: int) -> None:
    assert explain.count_frames([FRAMES[:-cut]], 0).left == left
