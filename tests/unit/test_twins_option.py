"""The compiled and the pure twin of option and negotiation agree.

On any bytes, each function gives the same value, or the same error type,
message, reason and offset.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyeno._native import negotiation as native_negotiation
from pyeno._native import option as native_option
from pyeno._pure import negotiation as pure_negotiation
from pyeno._pure import option as pure_option
from pyeno._values import Suboption, TepData

PROPERTIES = ("raw", "global_suboption", "explicit_global", "a", "b", "z", "vacuous", "teps")

# mostly bytes that mean something: globals, tcpcrypt TEPs, length bytes, v = 1
telling = st.sampled_from([0, 1, 2, 3, 0x1F, 0x21, 0x23, 0x30, 0x80, 0x88, 0x9F, 0xA1, 0xA3])
contents = st.lists(telling | st.integers(0, 255), max_size=39).map(bytes)
framed = contents.map(lambda c: bytes([69, len(c) + 2]) + c)
options = framed | st.binary(max_size=48)
tep = st.sampled_from([0x20, 0x21, 0x22, 0x23, 0x24, 0x30, 0x7F]) | st.integers(-1, 0x101)
tep_lists = st.lists(tep, max_size=6) | st.just(list(range(0x20, 0x80)))
headers = st.lists(
    framed | st.sampled_from([b"\1", b"\0", b"\2\4\5\xb4", b"\x45\0"]) | st.binary(max_size=4),
    max_size=4,
).map(b"".join)
suboptions = st.builds(
    Suboption, tep, st.booleans(), st.binary(max_size=39), st.booleans()
) | st.sampled_from([Suboption(0x23, True, b"nine byte"), Suboption(0x21)])
# mostly what a TEP may have: data of valid sizes in both roles
sizes = st.builds(
    lambda least, more: range(least, least + more), st.integers(0, 3), st.integers(1, 37)
)
sent = st.none() | st.binary(min_size=1, max_size=5)
rules = st.lists(
    st.builds(TepData, st.sampled_from([0x20, 0x30, 0x31, 0x7F]), sent, sent, sizes, sizes)
    | st.builds(
        TepData,
        tep,
        st.none() | st.binary(max_size=17),
        sent,
        st.builds(range, st.integers(-1, 2), st.integers(0, 40), st.sampled_from([1, 1, 2])),
        sizes,
    ),
    max_size=5,
)  # fmt: skip
rooms = st.just(40) | st.integers(3, 41)


def value_of(result: Any) -> Any:
    if type(result).__name__ == "Option":
        return [getattr(result, name) for name in PROPERTIES], hash(result), repr(result)
    return result, type(result)


def said(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The value, or all that an error tells."""
    try:
        return value_of(function(*args, **kwargs))
    except (ValueError, TypeError, ConnectionError) as error:
        return type(error), str(error), vars(error)


def types(value: Any) -> Any:
    """Down to the types: True is not 1, bytes are not a bytearray."""
    if isinstance(value, list | tuple):
        return type(value), [types(part) for part in value]
    return type(value)


def same(stem: str, name: str, *args: Any, **kwargs: Any) -> None:
    natives = {"option": native_option, "negotiation": native_negotiation}
    pures = {"option": pure_option, "negotiation": pure_negotiation}
    native = said(getattr(natives[stem], name), *args, **kwargs)
    pure = said(getattr(pures[stem], name), *args, **kwargs)
    assert native == pure
    assert types(native) == types(pure)


@settings(max_examples=600)
@given(options)
@example(b"\x45" * 300)
def test_parse(option: bytes) -> None:
    """RFC 8547 sections 4.1, 4.2, 4.4."""
    same("option", "parse", option)
    same("option", "parse", bytearray(option))


@settings(max_examples=400)
@given(options, tep)
@example(b"\x45" * 300, 0x23)
def test_data_of(option: bytes, number: int) -> None:
    """RFC 8547 section 4.4."""
    same("option", "data_of", option, number)
    try:
        parsed = pure_option.parse(option)
    except ConnectionError:
        return
    for sub in parsed.teps:
        same("option", "data_of", memoryview(option), sub.tep)
    if parsed.teps:
        first = parsed.teps[0]
        assert native_option.data_of(option, first.tep) == first.data


@given(options, options)
def test_equality(one: bytes, other: bytes) -> None:
    """RFC 8547 section 4.8: options are what they look like on the wire."""
    for twin in (native_option, pure_option):
        try:
            left, right = twin.parse(one), twin.parse(other)
        except ConnectionError:
            return
        assert (left == right) is (one == other)
        assert left == twin.parse(one) and left != one


@settings(max_examples=400)
@given(headers | st.binary(max_size=44))
def test_find(header: bytes) -> None:
    """RFC 8547 section 4.1."""
    same("option", "find", header)


@settings(max_examples=400)
@given(st.lists(suboptions | tep, max_size=6), st.none() | st.integers(-1, 0x21))
def test_encode(items: list[Suboption | int], value: int | None) -> None:
    """RFC 8547 sections 4.1, 4.2, 4.4."""
    same("option", "encode", items, global_suboption=value)


@settings(max_examples=400)
@given(tep_lists, st.booleans(), st.booleans(), rules, rooms)
def test_offer(
    teps: list[int], role_b: bool, aware: bool, rules: list[TepData], room: int
) -> None:
    """RFC 8547 sections 4.2, 4.4, 4.5."""
    same("negotiation", "offer", teps, role_b=role_b, aware=aware)
    same("negotiation", "offer", teps, role_b=role_b, aware=aware, rules=rules, room=room)


@settings(max_examples=400)
@given(options, tep_lists, st.booleans(), st.booleans(), rules, rooms)
def test_choose(
    received: bytes,
    teps: list[int],
    aware: bool,
    mandatory: bool,
    rules: list[TepData],
    room: int,
) -> None:
    """RFC 8547 section 4.5."""
    same("negotiation", "choose", received, teps, aware=aware, mandatory=mandatory)
    same(
        "negotiation", "choose", received, teps, aware=aware, mandatory=mandatory,
        rules=rules, room=room,
    )  # fmt: skip


@settings(max_examples=400)
@given(options, options, rules)
@example(
    b"\x45\x04\xb0a", b"\x45\x06\x01\xb0bb", [TepData(0x30, b"a", None, range(2), range(3))]
)
@example(b"\x45\x03\xb0", b"\x45\x04\x01\xb0", [TepData(0x30)])
def test_negotiate_by_rules(sent: bytes, received: bytes, rules: list[TepData]) -> None:
    """RFC 8547 section 4.5 rule 2."""
    same("negotiation", "negotiate", sent, received, rules=rules)
    same("negotiation", "negotiate", received, sent, rules=tuple(rules))


@settings(max_examples=1000)
@given(options, options, st.booleans(), st.none() | st.binary(min_size=8, max_size=10))
@example(b"\x45\x03\xa3", b"\x45\x04\x01\x23", False, None)
@example(b"\x45\x0c\xa3nine byte", b"\x45\x15\x01\xa3nine bytenonce_bb", False, None)
@example(b"\x45\x0c\xa3nine byte", b"\x45\x15\x01\xa3nine bytenonce_bb", False, b"nine byte")
@example(b"\x45\x0c\xa3nine byte", b"\x45\x15\x01\xa3nine bytenonce_bb", False, b"nine bits")
@example(b"\x45\x15\x01\xa3nine bytenonce_bb", b"\x45\x0c\xa3nine byte", False, b"nine bits")
@example(b"\x45\x04\x01\x23", b"\x45\x03\x23", True, None)
def test_negotiate(
    sent: bytes, received: bytes, mandatory: bool, remote_half: bytes | None
) -> None:
    """RFC 8547 sections 4.3, 4.5, 4.6, 4.8; RFC 8548 section 3.5."""
    same(
        "negotiation",
        "negotiate",
        sent,
        received,
        mandatory=mandatory,
        remote_half=remote_half,
    )


def test_wrong_types() -> None:
    """RFC 8547 section 4.1: bytes and integers, said alike by both."""
    for wrong in (None, 4, "4502", [69, 2]):
        same("option", "parse", wrong)
        same("option", "find", wrong)
        same("negotiation", "choose", wrong, [0x23])
        same("negotiation", "negotiate", wrong, b"\x45\x02")
        same("negotiation", "negotiate", b"\x45\x02", wrong)
        same("negotiation", "negotiate", b"\x45\x02", b"\x45\x02", remote_half=wrong)
    for items in (None, 4, ["x"], [None], [1.0], [(0x23,)]):
        same("option", "encode", items)
        same("negotiation", "offer", items)
        same("negotiation", "choose", b"\x45\x03\x23", items)
        same("negotiation", "offer", [0x23], rules=items)
        same("negotiation", "choose", b"\x45\x03\x23", [0x23], rules=items)
        same("negotiation", "negotiate", b"\x45\x02", b"\x45\x02", rules=items)
    for sent in ("a", 3, [1], b"", bytearray(b"data")):
        same("negotiation", "offer", [0x30], rules=[TepData(0x30, sent, None, range(9))])
    same("negotiation", "offer", [0x30], rules=[TepData(0x30, None, None, 0)])
    same("option", "encode", [], global_suboption="x")
    same("option", "encode", [Suboption(0x23, True, None)])  # type: ignore[arg-type]
