"""The compiled and the pure core agree: the same bytes give the same value, or
the same error with the same words, and leave the same state behind."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import frames as oracle
from unit.test_framer import AEADS, START, traffic_key

from pyeno.constants import ECDHE, Role
from pyeno.errors import PyenoError

Step = tuple[str, Any]

SEALER_STATE = ("offset", "generation", "finished")
OPENER_STATE = (
    "offset", "generation", "finished", "buffered", "pending", "rekey_wanted", "urgent_index",
    "urgent_byte", "read_index", "empty_rekeys", "oob_inline",
)  # fmt: skip


def said(function: Callable[[], Any]) -> Any:
    """The value and its type, or the error's type and words."""
    try:
        value = function()
        return value, type(value)
    except (PyenoError, ValueError) as error:
        return type(error), str(error)


def state(part: Any, names: tuple[str, ...]) -> Any:
    return [(getattr(part, name), type(getattr(part, name))) for name in names] + [repr(part)]


# -- sealing ----------------------------------------------------------------------

sizes = st.integers(0, 60) | st.sampled_from([100, 2047, 2048, 5000, 65518, 65519, 140000])
seal_steps = st.one_of(
    st.tuples(
        st.just("seal"), st.tuples(sizes, st.booleans(), st.none() | st.integers(-1, 70))
    ),
    st.tuples(
        st.just("into"), st.tuples(st.integers(0, 300), st.integers(0, 200), st.booleans())
    ),
    st.tuples(st.just("rekey"), st.sampled_from([b"one", b"two"])),
)


def run_sealer(twin: Any, aead: int, frame_size: int, start: int, steps: list[Step]) -> Any:
    s = twin.framer.Sealer(aead, twin.Secret(traffic_key(aead)), start, frame_size=frame_size)
    told = []
    for name, argument in steps:
        if name == "seal":
            size, fin, urgent = argument
            made = said(lambda: s.seal(bytes(size), fin=fin, urgent=urgent))  # noqa: B023
        elif name == "into":
            room, size, fin = argument
            out = bytearray(b"\xee" * room)
            made = said(lambda: s.seal_into(out, bytes(size), fin=fin)), out  # noqa: B023
        else:
            key = twin.Secret(traffic_key(aead, argument))
            made = said(lambda: s.rekey(key))  # noqa: B023
        told.append((made, state(s, SEALER_STATE)))
    return told


@pytest.mark.parametrize("aead", AEADS)
@given(
    steps=st.lists(seal_steps, max_size=6),
    frame_size=st.sampled_from([1, 10, 50, 5000, 65517, 65518]),
    start=st.sampled_from([0, START, (1 << 32) - 5, (1 << 64) - 100]),
)
@settings(max_examples=60)
def test_sealers_agree(
    twins: Any, aead: int, steps: list[Step], frame_size: int, start: int
) -> None:
    if frame_size < 50:
        steps = [step for step in steps if step[0] != "seal" or step[1][0] < 3000]
    native, pure = (run_sealer(twin, aead, frame_size, start, steps) for twin in twins)
    assert native == pure


# -- opening ----------------------------------------------------------------------


@st.composite
def streams(draw: st.DrawFn, aead: int) -> bytes:
    """Frames of every sort, with reserved bits, bad fields, wrong keys, noise."""
    out, seed = b"", b"key"
    for _ in range(draw(st.integers(0, 5))):
        plain = draw(
            st.one_of(
                st.builds(
                    oracle.plaintext,
                    st.binary(max_size=20) | st.sampled_from([bytes(2000), bytes(9000)]),
                    fin=st.integers(0, 9).map(lambda n: n == 0),
                    urgent=st.none() | st.integers(0, 25),
                    fres=st.sampled_from([0, 0, 1, 0x3F]),
                ),
                st.binary(min_size=1, max_size=4),
            )
        )
        rekey = draw(st.integers(0, 4)) == 0
        if rekey:
            seed = b"next"
        cres = draw(st.sampled_from([0, 0, 0x7F]))
        key = traffic_key(aead, seed)
        out += oracle.seal(aead, key, START + len(out), plain, rekey=rekey, cres=cres)
    noise = draw(st.sampled_from(["none", "none", "flip", "tail", "cut"]))
    if noise == "flip" and out:
        at = draw(st.integers(0, len(out) - 1))
        out = out[:at] + bytes([out[at] ^ 1 << draw(st.integers(0, 7))]) + out[at + 1 :]
    elif noise == "tail":
        out += draw(st.binary(max_size=40))
    elif noise == "cut" and out:
        out = out[: draw(st.integers(0, len(out) - 1))]
    return out


open_steps = st.one_of(
    st.tuples(st.just("read"), st.integers(-1, 40) | st.sampled_from([0, 3000, 100000])),
    st.tuples(st.just("into"), st.integers(0, 40) | st.just(3000)),
    st.tuples(st.just("peek"), st.integers(-1, 40) | st.just(3000)),
    st.tuples(st.just("ahead"), st.none()),
    st.tuples(st.just("inline"), st.booleans()),
    st.tuples(st.just("rekey"), st.sampled_from([b"next", b"next", b"bad"])),
    st.tuples(st.just("feed"), st.integers(0, 50) | st.sampled_from([1000, 20000])),
    st.tuples(st.just("room"), st.integers(0, 50) | st.sampled_from([1000, 20000])),
)


def fill(o: Any, part: bytes, size: int) -> None:
    view = o.room(size)
    view[: len(part)] = part
    o.received(len(part))


def run_opener(twin: Any, aead: int, stream: bytes, steps: list[Step]) -> Any:
    o = twin.framer.Opener(aead, twin.Secret(traffic_key(aead)), START)
    told = []
    for name, argument in steps:
        if name == "read":
            made = said(lambda: o.read(argument))  # noqa: B023
        elif name == "into":
            out = bytearray(b"\xee" * argument)
            count = said(lambda: o.read_into(out))  # noqa: B023
            # beyond it may be zeros: a frame that was opened there and refused
            beyond = out[count[0] if count[1] is int else 0 :]
            assert set(beyond) <= {0xEE, 0}
            made = count, out[: len(out) - len(beyond)]
        elif name == "peek":
            made = said(lambda: o.peek(argument))  # noqa: B023
        elif name == "ahead":
            made = said(lambda: o.open_ahead())
        elif name == "inline":
            made = said(lambda: setattr(o, "oob_inline", argument))  # noqa: B023
        elif name == "rekey":
            key = twin.Secret(traffic_key(aead, argument))
            made = said(lambda: o.rekey(key))  # noqa: B023
        else:
            part, stream = stream[:argument], stream[argument:]
            if name == "feed":
                made = said(lambda: o.feed(part))  # noqa: B023
            else:
                made = said(lambda: fill(o, part, argument))  # noqa: B023
        told.append((made, state(o, OPENER_STATE)))
    return told


@pytest.mark.parametrize("aead", AEADS)
@given(data=st.data())
@settings(max_examples=150)
def test_openers_agree(twins: Any, aead: int, data: st.DataObject) -> None:
    stream = data.draw(streams(aead))
    steps = data.draw(st.lists(open_steps, max_size=25))
    native, pure = (run_opener(twin, aead, stream, steps) for twin in twins)
    assert native == pure


def drain(twin: Any, stream: bytes, cuts: list[int]) -> tuple[bytes, Any]:
    """All that comes out of a stream cut so, and how it ends."""
    o = twin.framer.Opener(1, twin.Secret(traffic_key()), START)
    out, end, at, turn = b"", None, 0, 0
    try:
        while at < len(stream):
            size = cuts[turn % len(cuts)]
            o.feed(stream[at : at + size])
            at, turn = at + size, turn + 1
            while (part := o.read(1 << 20)) or o.rekey_wanted:
                out += part
                if o.rekey_wanted:
                    o.rekey(twin.Secret(traffic_key(seed=b"next")))
    except PyenoError as error:
        end = type(error), str(error)
    return out, (end, o.finished, o.generation, o.urgent_index)


@given(stream=streams(1), cuts=st.lists(st.integers(1, 3000), min_size=1, max_size=9))
@settings(max_examples=100)
def test_cuts_change_nothing(twins: Any, stream: bytes, cuts: list[int]) -> None:
    """Whole, byte by byte, at random: the same plaintext and the same end."""
    whole = drain(twins[0], stream, [len(stream) or 1])
    assert drain(twins[1], stream, [len(stream) or 1]) == whole
    for twin in twins:
        assert drain(twin, stream, cuts) == whole
        if len(stream) < 300:
            assert drain(twin, stream, [1]) == whole


# -- keys -------------------------------------------------------------------------


@given(
    parts=st.tuples(*[st.binary(max_size=80)] * 4),
    n_a=st.binary(min_size=31, max_size=33),
    tep_byte=st.integers(-1, 257),
    aead=st.sampled_from([1, 2, 0x10, 3, 0, -1, 70000]),
    role=st.sampled_from(Role),
    sn=st.binary(max_size=17),
)
@settings(max_examples=100)
def test_schedules_agree(
    twins: Any, parts: tuple[bytes, ...], n_a: bytes, tep_byte: int, aead: int, role: Role,
    sn: bytes,
) -> None:  # fmt: skip
    es, transcript, init1, init2 = parts

    def everything(twin: Any) -> Any:
        kind = twin.keyschedule.KeySchedule
        first = kind.extract(
            twin.Secret(es), n_a=n_a, transcript=transcript, init1=init1, init2=init2,
            tep_byte=tep_byte, aead=aead, original_role=role,
        )  # fmt: skip
        second = kind.resume(
            first.next_secret(), sn=sn, tep_byte=tep_byte, aead=aead, original_role=role
        )
        told = []
        for schedule in (first, second):
            for way in (schedule.outgoing(), schedule.incoming()):
                way.advance()
                told.append((way.traffic_key().export(), way.generation, repr(way)))
            told.append((schedule.session_id, schedule.resumption_id(), schedule.aead))
        return told

    native, pure = (said(lambda: everything(twin)) for twin in twins)  # noqa: B023
    assert native == pure


# -- key agreement ----------------------------------------------------------------


@st.composite
def keys(draw: st.DrawFn, tep: int, length: int, start: list[int]) -> bytes:
    """Of about the right length, random or small or large, and begun like a point."""
    size = length + draw(st.sampled_from([0, 0, 0, 0, 0, 0, -1, 1, -length]))
    kind = draw(st.sampled_from(["random", "random", "small", "large"]))
    if kind == "random":
        key = draw(st.binary(min_size=size, max_size=size))
    else:
        key = (draw(st.integers(0, 20)) % 256**size).to_bytes(size, "big")
        key = key if kind == "small" else bytes(255 - byte for byte in key)
    return bytes([draw(st.sampled_from(start))]) + key[1:] if start and key else key


@pytest.mark.parametrize("tep", ECDHE, ids=hex)
@given(data=st.data())
@settings(max_examples=60)
def test_agreements_agree(twins: Any, tep: int, data: st.DataObject) -> None:
    """Valid and broken keys of every sort: the same public key, ES, or refusal."""
    scheme = ECDHE[tep]
    start = [2, 2, 2, 3, 3, 3, 0, 4, 0xFF] if scheme.pubkey_len else []
    private = data.draw(keys(tep, scheme.secret_len, []))
    public = data.draw(keys(tep, scheme.public_len, start))

    def both(twin: Any) -> Any:
        pair = said(lambda: twin.agreement.KeyPair(tep, twin.Secret(private)))
        if isinstance(pair[1], str):
            return pair
        made = pair[0]
        return made.public, repr(made), said(lambda: made.exchange(public).export())

    native, pure = (both(twin) for twin in twins)
    assert native == pure


def test_the_twins_have_the_same_names(twins: Any) -> None:
    native, pure = twins
    pairs = [
        (native.Secret, pure.Secret),
        (native.framer.Sealer, pure.framer.Sealer),
        (native.framer.Opener, pure.framer.Opener),
        (native.agreement.KeyPair, pure.agreement.KeyPair),
        (native.keyschedule.KeySchedule, pure.keyschedule.KeySchedule),
        (native.keyschedule.Generations, pure.keyschedule.Generations),
    ]
    for one, other in pairs:
        names = [{name for name in vars(kind) if name[0] != "_"} for kind in (one, other)]
        assert names[0] == names[1] - {"data"}, one
