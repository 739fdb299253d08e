"""Sealing and opening: the vectors, then each rule of RFC 8548 sections 3.6 to 4.2."""

import hashlib
from typing import Any

import pytest
from oracle import frames as oracle
from tcpcrypt_vectors import STREAMS, Stream, data_of, matches

from pyeno.constants import Aead
from pyeno.errors import LocalProtocolError, RemoteProtocolError

AEADS = list(Aead)
START = 77


def traffic_key(aead: int = 1, seed: bytes = b"key") -> bytes:
    known = Aead(aead)
    return hashlib.shake_256(seed).digest(known.key_len + known.nonce_len)


def sealer(twin: Any, aead: int = 1, start: int = START, **options: Any) -> Any:
    return twin.framer.Sealer(aead, twin.Secret(traffic_key(aead)), start, **options)


def opener(twin: Any, aead: int = 1, start: int = START) -> Any:
    return twin.framer.Opener(aead, twin.Secret(traffic_key(aead)), start)


def frame(plain: bytes, start: int = START, seed: bytes = b"key", **header: Any) -> bytes:
    """A frame with any plaintext and control byte, sealed by the oracle."""
    return oracle.seal(1, traffic_key(seed=seed), start, plain, **header)


# -- vectors --------------------------------------------------------------------


def beyond(vector: dict[str, Any]) -> bool:
    """An urgent index outside its frame: not sealed, and refused when received."""
    return vector["urgent"] is not None and vector["urgent"] >= len(data_of(vector))


@pytest.mark.rfc(
    "8548:3.6-3", "8548:3.6-7", "8548:3.8-1", "8548:4.2-1", "8548:4.2.2-1", "8548:4.2.3-1"
)
@pytest.mark.parametrize("label", STREAMS)
def test_sealing_vectors(twin: Any, label: str) -> None:
    stream: Stream = STREAMS[label]
    s, key = None, b""
    for vector in stream.frames:
        key = stream.keys[vector["generation"]]
        if s is None:
            s = twin.framer.Sealer(stream.aead, twin.Secret(key), vector["offset"])
        if vector["rekey"]:
            s.rekey(twin.Secret(key))
        assert (s.offset, s.generation) == (vector["offset"], vector["generation"])
        if beyond(vector):
            with pytest.raises(ValueError, match="urgent is 300"):
                s.seal(data_of(vector), urgent=vector["urgent"])
            s = None
            continue
        sealed = s.seal(data_of(vector), fin=vector["fin"], urgent=vector["urgent"])
        assert matches(sealed, vector["frame"]), vector["name"]
    assert s is not None and s.finished


@pytest.mark.rfc("8548:3.6-3", "8548:3.6-7", "8548:4.2.1-3", "8548:4.2.3-1")
@pytest.mark.parametrize("label", STREAMS)
def test_opening_vectors(twin: Any, label: str) -> None:
    """Long frames are given by hash: the oracle makes them, the hash checks that."""
    stream: Stream = STREAMS[label]
    o, base, urgent_index = None, 0, None
    for vector in stream.frames:
        key = stream.keys[vector["generation"]]
        plain = oracle.plaintext(data_of(vector), fin=vector["fin"], urgent=vector["urgent"])
        raw = oracle.seal(stream.aead, key, vector["offset"], plain, rekey=vector["rekey"])
        assert matches(raw, vector["frame"]), vector["name"]
        if o is None:
            o = twin.framer.Opener(stream.aead, twin.Secret(key), vector["offset"])
            base, urgent_index = vector["app_offset"], None
        o.feed(raw)
        if beyond(vector):
            with pytest.raises(RemoteProtocolError, match="beyond the data"):
                o.read(1)
            o = None
            continue
        if vector["rekey"]:
            assert o.read(1) == b"" and o.rekey_wanted
            o.rekey(twin.Secret(key))
        before = o.read(vector["urgent"]) if vector["urgent"] else b""
        assert before + o.read(1 << 17) == data_of(vector)
        if vector["urgent_index"] is not None:
            urgent_index = vector["urgent_index"] - base
        assert (o.urgent_index, o.generation) == (urgent_index, vector["generation"])
    assert o is not None and o.finished and not o.buffered and not o.pending


# -- sealing --------------------------------------------------------------------


@pytest.mark.rfc("8548:3.6-2", "8548:3.7-2", "8548:3.7-3", "8548:4.2-2", "8548:4.2.1-1")
@pytest.mark.parametrize("aead", AEADS)
@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 250, 5000, 70000])
def test_data_are_cut_into_frames(twin: Any, aead: int, size: int) -> None:
    """FINp on the last frame only (section 3.7), no frame above the size."""
    frame_size = 100 if size < 5000 else 65518
    data = data_of({"data": {"pattern": size}})
    s = sealer(twin, aead, frame_size=frame_size)
    stream = s.seal(data, fin=True)
    assert s.offset == START + len(stream)
    at, plain = 0, []
    while at < len(stream):
        end = at + 3 + int.from_bytes(stream[at + 1 : at + 3])
        one = oracle.open_frame(aead, traffic_key(aead), START + at, stream[at:end])
        plain.append(one)
        at = end
    assert b"".join(one.data for one in plain) == data
    assert [one.fin for one in plain] == [False] * (len(plain) - 1) + [True]
    assert len(plain) == max(1, -(-size // frame_size))
    assert all(one.control == 0 for one in plain)


@pytest.mark.parametrize("room", [21, 22, 119, 120, 121, 140, 141, 239, 240, 241, 1000])
def test_seal_into_takes_what_fits(twin: Any, room: int) -> None:
    data = bytes(range(250))
    s = sealer(twin, frame_size=100)
    out = bytearray(b"\xee" * room)
    taken, written = s.seal_into(out, data, fin=True)
    assert 0 < taken <= 250 and taken < written <= room
    assert out[written:] == b"\xee" * (room - written)
    assert s.finished is (taken == 250)
    rest = b"" if s.finished else s.seal(data[taken:], fin=True)
    o = opener(twin)
    o.feed(bytes(out[:written]) + rest)
    assert o.read(1000) == data and o.finished


def test_seal_into_needs_room_for_one_frame(twin: Any) -> None:
    s = sealer(twin)
    for room, data, need in ((19, b"", 20), (20, b"x", 21), (0, b"x", 21)):
        with pytest.raises(ValueError, match=f"out has {room} bytes; a frame needs {need}"):
            s.seal_into(bytearray(room), data)
    assert s.seal_into(bytearray(20), b"") == (0, 20)
    with pytest.raises(BufferError):
        s.seal_into(bytes(100), b"x")


@pytest.mark.rfc("8548:3.7-2")
def test_nothing_after_finp(twin: Any) -> None:
    s = sealer(twin)
    s.seal(b"last", fin=True)
    offset = s.offset
    for use in (
        lambda: s.seal(b""), lambda: s.seal_into(bytearray(99), b"x"),
        lambda: s.rekey(twin.Secret(traffic_key())),
    ):  # fmt: skip
        with pytest.raises(LocalProtocolError, match="FINp was sent"):
            use()
    assert (s.offset, s.generation) == (offset, 0)


@pytest.mark.parametrize(
    ("data", "urgent", "match"),
    [
        (b"", 0, "urgent is 0; it must be from 0 to -1"),
        (b"ten bytes!", 10, "urgent is 10; it must be from 0 to 9"),
        (b"ten bytes!", -1, "urgent is -1"),
        (bytes(65517), 0, "65517 bytes do not fit one frame of 65516"),
    ],
)
def test_urgent_outside_the_frame(twin: Any, data: bytes, urgent: int, match: str) -> None:
    s = sealer(twin)
    with pytest.raises(ValueError, match=match):
        s.seal(data, urgent=urgent)
    assert s.offset == START


@pytest.mark.rfc("8548:3.6-2", "8548:4.2-1")
def test_largest_urgent_frame(twin: Any) -> None:
    data = bytes(65516)
    stream = sealer(twin).seal(data, urgent=65515)
    assert stream[1:3] == b"\xff\xff"
    o = opener(twin)
    o.feed(stream)
    assert o.read(1 << 17) == data[:-1] and o.urgent_index == 65515
    assert o.read(1 << 17) == data[-1:]


@pytest.mark.rfc("8548:3.8-3", "8548:3.8-4")
def test_rekey_marks_the_first_frame_only(twin: Any) -> None:
    """Section 3.8: "MUST set rekey = 1 for that frame.  It MUST set rekey = 0 in
    all other cases"."""
    s = sealer(twin, frame_size=10)
    s.rekey(twin.Secret(traffic_key(seed=b"next")))
    with pytest.raises(LocalProtocolError, match="waiting for its first frame"):
        s.rekey(twin.Secret(traffic_key(seed=b"third")))
    stream = s.seal(bytes(30))
    assert [stream[at] for at in (0, 30, 60)] == [1, 0, 0]
    assert s.generation == 1
    s.rekey(twin.Secret(traffic_key(seed=b"third")))
    assert s.seal(b"")[0] == 1


@pytest.mark.rfc("8548:3.6-6")
def test_offset_never_wraps(twin: Any) -> None:
    """Section 3.6: at most 2^64 bytes under one key."""
    s = sealer(twin, start=(1 << 64) - 1 - 21)
    with pytest.raises(LocalProtocolError, match="2\\^64"):
        s.seal(b"xy")
    assert len(s.seal(b"x")) == 21
    with pytest.raises(LocalProtocolError, match="2\\^64"):
        s.seal(b"")
    with pytest.raises(LocalProtocolError, match="2\\^64"):
        s.seal_into(bytearray(99), b"x")


def test_peer_offset_never_wraps(twin: Any) -> None:
    start = (1 << 64) - 1 - 20
    o = opener(twin, start=start)
    o.feed(frame(b"\0", start))
    assert o.read(9) == b"" and o.offset == (1 << 64) - 1
    o = opener(twin, start=start)
    o.feed(frame(b"\0x", start))
    with pytest.raises(RemoteProtocolError, match="beyond 2\\^64"):
        o.read(9)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((3, 28, 0), ValueError, "aead 0x0003"),
        ((1, 27, 0), ValueError, "traffic key has 27 bytes; 28"),
        ((2, 28, 0), ValueError, "traffic key has 28 bytes; 44"),
        ((1, 28, -1), ValueError, "offset is -1"),
        ((1, 28, 1 << 64), ValueError, "offset is 18446744073709551616"),
    ],
)
@pytest.mark.parametrize("kind", ["Sealer", "Opener"])
def test_bad_arguments(
    twin: Any, kind: str, arguments: tuple[int, int, int], error: type[Exception], match: str
) -> None:
    aead, size, offset = arguments
    with pytest.raises(error, match=match):
        getattr(twin.framer, kind)(aead, twin.Secret(bytes(size)), offset)


@pytest.mark.parametrize("frame_size", [0, -1, 65519])
def test_bad_frame_sizes(twin: Any, frame_size: int) -> None:
    with pytest.raises(ValueError, match=f"frame_size is {frame_size}"):
        sealer(twin, frame_size=frame_size)


# -- early frames -----------------------------------------------------------------


def data_sizes(stream: bytes) -> list[int]:
    sizes = []
    while stream:
        clen = int.from_bytes(stream[1:3])
        sizes.append(clen - 17)
        stream = stream[3 + clen :]
    return sizes


def test_frames_are_small_at_first_and_after_a_pause(twin: Any) -> None:
    s = sealer(twin)
    assert data_sizes(s.seal(bytes(70_000))) == [65518, 4482]
    s.pace(5000)
    first = data_sizes(s.seal(bytes(400_000)))
    assert first[:10] == [14000] * 10 and first[10:] == [65518] * 3 + [63446]
    s.pace(5999)
    assert data_sizes(s.seal(bytes(70_000))) == [65518, 4482]
    s.pace(6999)
    assert data_sizes(s.seal(bytes(30_000))) == [14000, 14000, 2000]
    assert data_sizes(s.seal(bytes(20_000), urgent=0)) == [20_000 + 2]


def test_early_frames_keep_the_wished_size(twin: Any) -> None:
    s = sealer(twin, frame_size=100)
    s.pace(0)
    assert data_sizes(s.seal(bytes(250))) == [100, 100, 50]


def test_early_frames_into_little_room(twin: Any) -> None:
    s, out = sealer(twin), bytearray(30_000)
    s.pace(0)
    taken, written = s.seal_into(out, bytes(100_000))
    assert data_sizes(bytes(out[:written])) == [14000, 14000, 30_000 - 2 * 14_020 - 20]
    assert taken == 30_000 - 3 * 20
