"""Opening: reassembly, what the peer may not do, and what an error leaves behind."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import frames as oracle
from unit.test_framer import AEADS, START, frame, opener, sealer, traffic_key

from pyeno.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError

plaintext = oracle.plaintext


def test_byte_by_byte(twin: Any) -> None:
    stream = sealer(twin, frame_size=7).seal(b"thirty bytes of application...", fin=True)
    o = opener(twin)
    got = b""
    for at in range(len(stream)):
        o.feed(stream[at : at + 1])
        got += o.read(100)
    assert got == b"thirty bytes of application..." and o.finished


@pytest.mark.parametrize("aead", AEADS)
@pytest.mark.parametrize("step", [1, 7, 1000, 65536])
def test_read_in_pieces(twin: Any, aead: int, step: int) -> None:
    data = bytes(range(256)) * (4 if step < 1000 else 600)
    o = opener(twin, aead)
    o.feed(sealer(twin, aead).seal(data, fin=True))
    got, out = b"", bytearray(step)
    while (n := o.read_into(out)) != 0:
        got += out[:n]
    assert got == data and o.finished and o.pending == 0


def test_counters(twin: Any) -> None:
    o = opener(twin)
    stream = sealer(twin).seal(b"0123456789")
    o.feed(stream + b"\0\0")
    assert (o.offset, o.buffered, o.pending) == (START, 32, 0)
    assert o.read(4) == b"0123"
    assert (o.offset, o.buffered, o.pending) == (START + 30, 2, 6)
    assert o.read(0) == b"" and o.pending == 6
    assert o.read(9) == b"456789"
    assert not o.finished


def test_read_of_nothing_opens_what_there_is(twin: Any) -> None:
    """read(0) learns of an end or of waiting data without taking any."""
    s, o = sealer(twin), opener(twin)
    o.feed(s.seal(b"") + s.seal(b"data") + s.seal(b"", fin=True))
    assert o.read(0) == b"" and o.pending == 4 and not o.finished
    assert o.read_into(bytearray()) == 0 and o.pending == 4
    assert o.read(4) == b"data"
    assert not o.finished
    assert o.read(0) == b"" and o.finished


def test_room_and_received(twin: Any) -> None:
    data = bytes(5000)
    stream = sealer(twin, frame_size=999).seal(data)
    o, got = opener(twin), b""
    while stream:
        view = o.room(1300)
        assert len(view) == 1300 and not view.readonly
        part, stream = stream[:1300], stream[1300:]
        view[: len(part)] = part
        o.received(len(part))
        got += o.read(10000)
    assert got == data


def test_views_kept_too_long_are_harmless(twin: Any) -> None:
    """Nobody can shrink the buffer under the opener or write outside it."""
    o, s, views = opener(twin), sealer(twin), []
    for size in (100, 3000, 200000):
        view = o.room(size)
        views.append(view)
        stream = s.seal(b"x" * (size // 2))
        view[: len(stream)] = stream
        o.received(len(stream))
        assert o.read(size) == b"x" * (size // 2)
        for old in views[:-1]:
            old[:] = bytes(len(old))
    stream = s.seal(b"still well")
    view = o.room(100)
    view[:7] = stream[:7]
    o.received(7)
    owner = view.obj
    view.release()
    if twin.backend == "native":
        with pytest.raises(BufferError):
            owner.clear()
    o.feed(stream[7:])
    assert o.read(100) == b"still well"


def test_a_view_kept_too_long_shows_no_other_connection(twin: Any) -> None:
    """Between messages a buffer may serve others, but not one that somebody still sees."""
    first, second, s = opener(twin), opener(twin), sealer(twin)
    view = first.room(100)
    stream = s.seal(b"first")
    view[: len(stream)] = stream
    first.received(len(stream))
    assert first.read(100) == b"first"
    second.feed(stream)
    view[:] = bytes(100)
    assert second.read(100) == b"first"


def test_plaintext_does_not_stay_in_the_buffer(twin: Any) -> None:
    o = opener(twin)
    stream = sealer(twin).seal(b"secret words")
    view = o.room(len(stream))
    view[:] = stream
    o.received(len(stream))
    assert o.read(100) == b"secret words"
    assert b"secret" not in bytes(view)


@pytest.mark.parametrize("size", [1, 50, 100, 101, 350, 1000])
def test_frames_are_opened_into_the_readers_memory(twin: Any, size: int) -> None:
    data = bytes(range(256)) * 4
    o = opener(twin)
    o.feed(sealer(twin, frame_size=100).seal(data[:1000]))
    out, got = bytearray(b"#" * (size + 1)), b""
    while o.buffered or o.pending:
        count = o.read_into(memoryview(out)[:size])
        got += out[:count]
        assert out[size:] == b"#"
    assert got == data[:1000]


def test_nothing_unauthenticated_stays_in_the_readers_memory(twin: Any) -> None:
    s = sealer(twin, frame_size=100)
    stream = bytearray(s.seal(b"a" * 100 + b"b" * 100))
    stream[-1] ^= 1
    o = opener(twin)
    o.feed(stream)
    out = bytearray(b"#" * 300)
    assert o.read_into(out) == 100
    assert out[:100] == b"a" * 100 and b"b" not in out
    with pytest.raises(AuthenticationError):
        o.read_into(out)


def test_received_more_than_room(twin: Any) -> None:
    o = opener(twin)
    with pytest.raises(ValueError, match="room\\(\\) gave 0"):
        o.received(1)
    o.room(10)
    for size in (11, -1):
        with pytest.raises(ValueError, match="room\\(\\) gave 10"):
            o.received(size)
    o.received(0)
    with pytest.raises(ValueError, match="room\\(\\) gave 0"):
        o.received(1)
    for size in (0, -1):
        with pytest.raises(ValueError, match=f"size is {size}"):
            o.room(size)
    with pytest.raises(ValueError, match="size is -1"):
        o.read(-1)


@pytest.mark.rfc("8548:4.2-3", "8548:4.2.1-2")
def test_reserved_bits_are_ignored(twin: Any) -> None:
    """Section 4.2: cres and fres, "MUST ignore them when receiving"."""
    o = opener(twin)
    o.feed(frame(plaintext(b"odd", fin=True, fres=0x3F), cres=0x7F))
    assert o.read(9) == b"odd" and o.finished


@pytest.mark.parametrize("clen", [0, 1, 16])
def test_clen_without_flags(twin: Any, clen: int) -> None:
    o = opener(twin)
    o.feed(bytes([0, 0, clen]))
    with pytest.raises(RemoteProtocolError, match=f"offset {START}: clen {clen} leaves no"):
        o.read(9)


@pytest.mark.rfc("8548:4.2.1-3")
@pytest.mark.parametrize("rest", [b"", b"\0"])
def test_urgp_without_its_field(twin: Any, rest: bytes) -> None:
    o = opener(twin)
    o.feed(frame(b"\x02" + rest))
    with pytest.raises(RemoteProtocolError, match="no room for the urgent field"):
        o.read(9)
    assert o.pending == 0 and o.urgent_index is None


@pytest.mark.parametrize(("data", "urgent"), [(b"", 0), (b"abc", 3), (b"abc", 0xFFFF)])
def test_urgent_beyond_the_frame(twin: Any, data: bytes, urgent: int) -> None:
    o = opener(twin)
    o.feed(frame(plaintext(data, urgent=urgent)))
    with pytest.raises(RemoteProtocolError, match="beyond the data"):
        o.read(9)
    assert o.pending == 0 and o.urgent_index is None


@pytest.mark.parametrize("late", [b"\0", frame(plaintext(b""), START + 24)])
@pytest.mark.parametrize("together", [True, False])
def test_bytes_after_finp(twin: Any, late: bytes, together: bool) -> None:
    o = opener(twin)
    first = sealer(twin).seal(b"last", fin=True)
    if together:
        o.feed(first + late)
        assert o.read(9) == b"last"
    else:
        o.feed(first)
        assert o.read(9) == b"last" and o.finished
        o.feed(late)
    assert not o.finished
    with pytest.raises(RemoteProtocolError, match="offset 101: bytes follow the frame"):
        o.read(9)


def test_earlier_data_come_before_the_error(twin: Any) -> None:
    s, o = sealer(twin), opener(twin)
    good, bad = s.seal(b"good"), bytearray(s.seal(b"bad"))
    bad[-1] ^= 1
    o.feed(good + bad)
    assert o.read(3) == b"goo"
    o.feed(b"whatever")
    assert o.read(99) == b"d"
    match = "frame at stream offset 101, clen 20: authentication failed"
    for use in (
        lambda: o.read(9), lambda: o.read_into(bytearray(9)), lambda: o.feed(b"x"),
        lambda: o.room(9), lambda: o.received(0), lambda: o.read(0),
        lambda: o.rekey(twin.Secret(traffic_key())),
    ):  # fmt: skip
        with pytest.raises(AuthenticationError, match=match):
            use()
    assert (o.offset, o.buffered, o.pending, o.finished) == (101, 0, 0, False)


@pytest.mark.rfc("8547:5-2")
@pytest.mark.parametrize("aead", AEADS)
@given(data=st.data())
@settings(max_examples=60)
def test_any_flipped_bit_is_noticed(twin: Any, aead: int, data: st.DataObject) -> None:
    """No byte of an altered frame gets out, nor of any after it."""
    payload = data.draw(st.sampled_from([b"", b"x", b"some data", bytes(3000), bytes(9000)]))
    s = sealer(twin, aead)
    stream = bytearray(s.seal(payload) + s.seal(b"more", fin=True))
    bit = data.draw(st.integers(0, 8 * (len(payload) + 20) - 1))
    stream[bit // 8] ^= 1 << bit % 8
    o, out = opener(twin, aead), bytearray(b"\xee" * 10000)
    o.feed(stream)
    flipped_rekey = bit == 0
    try:
        assert o.read_into(out) == 0
        # a longer clen only waits for bytes that never come
        assert o.rekey_wanted is flipped_rekey or o.buffered == len(stream)
        if flipped_rekey:
            o.rekey(twin.Secret(traffic_key(aead, b"next")))
            with pytest.raises(AuthenticationError):
                o.read(1)
    except RemoteProtocolError:
        pass
    assert out == b"\xee" * 10000 and o.pending == 0 and not o.finished


@pytest.mark.rfc("8548:3.8-5")
def test_rekey_waits_for_its_key(twin: Any) -> None:
    """Section 3.8; the new key is taken when its first frame authenticates."""
    s, o = sealer(twin), opener(twin)
    first = s.seal(b"old ")
    s.rekey(twin.Secret(traffic_key(seed=b"next")))
    second = s.seal(b"new")
    o.feed(first + second[:-1])
    assert o.read(99) == b"old " and not o.rekey_wanted
    o.feed(second[-1:])
    assert o.read(99) == b"" and o.rekey_wanted and o.generation == 0
    assert o.read(99) == b"" and o.rekey_wanted
    o.rekey(twin.Secret(traffic_key(seed=b"next")))
    assert not o.rekey_wanted and o.generation == 0
    assert o.read(99) == b"new" and o.generation == 1


def test_key_supplied_beforehand(twin: Any) -> None:
    s, o = sealer(twin), opener(twin)
    o.rekey(twin.Secret(traffic_key(seed=b"next")))
    with pytest.raises(LocalProtocolError, match="waiting for its first frame"):
        o.rekey(twin.Secret(traffic_key(seed=b"third")))
    o.feed(s.seal(b"old "))
    assert o.read(99) == b"old " and o.generation == 0
    s.rekey(twin.Secret(traffic_key(seed=b"next")))
    o.feed(s.seal(b"new"))
    assert o.read(99) == b"new" and o.generation == 1


def test_wrong_next_key(twin: Any) -> None:
    s, o = sealer(twin), opener(twin)
    s.rekey(twin.Secret(traffic_key(seed=b"next")))
    o.feed(s.seal(b"new"))
    o.rekey(twin.Secret(traffic_key(seed=b"other")))
    with pytest.raises(AuthenticationError):
        o.read(9)
    assert o.generation == 0


def test_wiped_framers_refuse(twin: Any) -> None:
    s, o = sealer(twin), opener(twin)
    o.feed(s.seal(b"x"))
    for part in (s, o):
        part.wipe()
        part.wipe()
    key = twin.Secret(traffic_key())
    for use in (lambda: s.seal(b""), lambda: s.seal_into(bytearray(99), b""),
                lambda: s.rekey(key)):  # fmt: skip
        with pytest.raises(LocalProtocolError, match="this Sealer was wiped"):
            use()
    for use in (lambda: o.read(1), lambda: o.read_into(bytearray(1)), lambda: o.feed(b"x"),
                lambda: o.room(1), lambda: o.received(0), lambda: o.rekey(key)):  # fmt: skip
        with pytest.raises(LocalProtocolError, match="this Opener was wiped"):
            use()
    assert (o.buffered, o.pending) == (0, 0)
    assert (repr(s), repr(o)) == ("<Sealer: wiped>", "<Opener: wiped>")


def test_reprs_show_the_offset_only(twin: Any) -> None:
    assert repr(sealer(twin)) == "<Sealer: stream offset 77>"
    assert repr(opener(twin)) == "<Opener: stream offset 77>"


def test_key_secret_may_be_wiped_after_use(twin: Any) -> None:
    key = twin.Secret(traffic_key())
    s = twin.framer.Sealer(1, key, START)
    assert not key.wiped
    key.wipe()
    assert s.seal(b"x") == sealer(twin).seal(b"x")
    with pytest.raises(LocalProtocolError, match="this Secret was wiped"):
        twin.framer.Sealer(1, key, START)
