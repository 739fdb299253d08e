"""The ENO option's bytes: RFC 8547 sections 4.1, 4.2, 4.4.  Both twins."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyeno._values import Suboption
from pyeno.constants import Reason
from pyeno.errors import IllFormedOptionError, RemoteProtocolError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "sample.json").read_text())
SYN_FORMS = [v for v in VECTORS["parse"] if v["form"] == "syn"]
HEADERS = [v for v in VECTORS["parse"] if "tcp_options" in v]
TWINS = {name: import_module(f"pyeno._{name}.option") for name in ("native", "pure")}


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    yield TWINS[request.param]


def whole(contents: bytes) -> bytes:
    """Figure 1 around the contents."""
    return bytes([69, 2 + len(contents)]) + contents


def caught(twin: ModuleType, option: bytes) -> tuple[Reason, int, str]:
    with pytest.raises(IllFormedOptionError) as info:
        twin.parse(option)
    assert isinstance(info.value, RemoteProtocolError)
    assert isinstance(info.value.reason, Reason)
    return info.value.reason, info.value.offset, str(info.value)


# Section 4.1, table 1: every initial byte, alone and before 0x23.


@pytest.mark.parametrize("byte", range(0x20))
def test_table_1_global_suboption(twin: ModuleType, byte: int) -> None:
    """RFC 8547 section 4.1, table 1, row 1; section 4.2."""
    option = twin.parse(whole(bytes([byte, 0x23])))
    assert (option.global_suboption, option.explicit_global) == (byte, True)
    assert option.teps == (Suboption(0x23),)
    assert (option.b, option.a, option.z) == (bool(byte & 1), bool(byte & 2), byte & 0x1C)
    assert twin.parse(whole(bytes([byte]))).vacuous


@pytest.mark.rfc("8547:4.4-3", "8547:4.4-9")
@pytest.mark.parametrize("byte", range(0x80, 0xA0))
def test_table_1_length_byte(twin: ModuleType, byte: int) -> None:
    """RFC 8547 section 4.1, table 1, row 2; section 4.4, figure 6."""
    size = byte - 0x80 + 1
    data = bytes(range(size))
    option = twin.parse(whole(bytes([byte, 0xA3]) + data + b"\x21"))
    assert option.teps == (Suboption(0x23, True, data, True), Suboption(0x21))
    assert not option.explicit_global
    assert caught(twin, whole(bytes([byte])))[:2] == (Reason.LENGTH_BEYOND_END, 2)
    assert caught(twin, whole(bytes([byte, 0x23])))[0] == Reason.LENGTH_BYTE_NOT_BEFORE_TEP
    short = whole(bytes([byte, 0xA3]) + data[:-1])
    assert caught(twin, short)[:2] == (Reason.LENGTH_BEYOND_END, 2)


@pytest.mark.rfc("8547:4.2-11")
@pytest.mark.parametrize("byte", range(0x20, 0x80))
def test_table_1_tep_without_data(twin: ModuleType, byte: int) -> None:
    """RFC 8547 section 4.1, table 1, row 3."""
    assert twin.parse(whole(bytes([byte]))).teps == (Suboption(byte),)
    option = twin.parse(whole(bytes([byte, 0x23])))
    assert option.teps == (Suboption(byte), Suboption(0x23))
    assert (option.global_suboption, option.explicit_global) == (0, False)


@pytest.mark.rfc("8547:4.1-6")
@pytest.mark.parametrize("byte", range(0xA0, 0x100))
def test_table_1_tep_with_data(twin: ModuleType, byte: int) -> None:
    """RFC 8547 section 4.1, table 1, row 4: data extend to the option's end."""
    assert twin.parse(whole(bytes([byte]))).teps == (Suboption(byte & 0x7F, True),)
    option = twin.parse(whole(bytes([byte, 0x23, 0x80, 0x01])))
    assert option.teps == (Suboption(byte & 0x7F, True, b"\x23\x80\x01"),)
    assert not option.explicit_global


@pytest.mark.rfc("8547:4.1-5", "8547:4.4-4", "8547:4.4-5", "8547:4.4-6", "8547:4.4-10")
@pytest.mark.parametrize("after", range(0x100))
def test_what_may_follow_a_length_byte(twin: ModuleType, after: int) -> None:
    """RFC 8547 section 4.4 rule 2: an octet in the range 0x00-0x9f disables."""
    option = whole(bytes([0x80, after, 0x55]))
    if after < 0xA0:
        reason, offset, message = caught(twin, option)
        assert (reason, offset) == (Reason.LENGTH_BYTE_NOT_BEFORE_TEP, 3)
        assert "byte 3" in message and f"0x{after:02x}" in message and "4.4" in message
    else:
        assert twin.parse(option).teps == (Suboption(after & 0x7F, True, b"\x55", True),)


# Section 4.1, figure 1; 4.2; 4.4: whole options.


@pytest.mark.parametrize("vector", SYN_FORMS, ids=lambda v: v["name"])
def test_sample_vectors(twin: ModuleType, vector: dict) -> None:
    """tests/vectors/sample.json, an independent reading of RFC 8547 section 4."""
    raw, expect = bytes.fromhex(vector["option"]), vector["expect"]
    if not expect["ok"]:
        assert caught(twin, raw)[0].slug == expect["error"]
        return
    option = twin.parse(raw)
    assert option.raw == raw
    assert option.global_suboption == expect["global"]
    assert option.explicit_global == expect["explicit_global"]
    assert (option.a, option.b, option.z) == (expect["a"], expect["b"], expect["z"])
    assert option.vacuous == expect["vacuous"]
    assert [s._asdict() for s in option.teps] == [
        {**tep, "data": bytes.fromhex(tep["data"])} for tep in expect["teps"]
    ]


@pytest.mark.parametrize(
    ("option", "offset", "says"),
    [
        (b"", 0, "empty"),
        (b"\x45", 1, "byte 1"),
        (b"\x44\x02", 0, "kind 68"),
        (b"\x45\x03", 1, "length of 3"),
        (b"\x45\x01\x23", 1, "length of 1"),
        (b"\x45\x00", 1, "length of 0"),
        (whole(bytes(39)), 40, "41 bytes"),
        (b"\x45" * 1000, 40, "1000 bytes"),
    ],
)
def test_not_a_whole_option(twin: ModuleType, option: bytes, offset: int, says: str) -> None:
    """RFC 8547 section 4.1, figure 1; RFC 793: at most 40 bytes of options."""
    reason, at, message = caught(twin, option)
    assert (reason, at) == (Reason.MALFORMED, offset)
    assert says in message and "4.1" in message


@pytest.mark.rfc("8547:4.2-2")
def test_only_the_first_global_counts(twin: ModuleType) -> None:
    """RFC 8547 section 4.2: a receiver MUST ignore all but the first."""
    option = twin.parse(whole(b"\x02\x23\x01\x1d"))
    assert (option.global_suboption, option.a, option.b, option.z) == (2, True, False, 0)
    assert twin.parse(whole(b"\x00\x01")).global_suboption == 0


@pytest.mark.rfc("8547:4.4-11")
def test_last_data_may_exceed_32_bytes(twin: ModuleType) -> None:
    """RFC 8547 section 4.4: the last suboption MAY contain more than 32 bytes."""
    option = twin.parse(whole(b"\xa3" + bytes(37)))
    assert option.teps == (Suboption(0x23, True, bytes(37)),)


def test_any_buffer_is_taken_and_nothing_else(twin: ModuleType) -> None:
    """RFC 8547 section 4.1: bytes in, whatever holds them."""
    raw = whole(b"\x01\x23")
    for buffer in (bytearray(raw), memoryview(raw), memoryview(b"?" + raw + b"?")[1:-1]):
        assert twin.parse(buffer) == twin.parse(raw)
    for wrong in ("45", None, 4):
        with pytest.raises(TypeError, match="bytes-like"):
            twin.parse(wrong)
    with pytest.raises(BufferError):
        twin.parse(memoryview(raw)[::2])


def test_option_is_a_frozen_value(twin: ModuleType) -> None:
    """RFC 8547 section 4.8: options are compared exactly as they appeared."""
    source = bytearray(whole(b"\x01\x23"))
    option, same = twin.parse(source), twin.parse(bytes(source))
    source[2] = 0
    assert option == same and hash(option) == hash(same)
    assert option != twin.parse(bytes(source))
    assert option != option.raw
    assert "45040123" in repr(option) and "0x23" in repr(option)
    for name in ("raw", "teps", "a", "new"):
        with pytest.raises(AttributeError):
            setattr(option, name, 0)
    with pytest.raises(TypeError, match="parse"):
        twin.Option()


# Section 4.1: finding the option in a TCP header.


@pytest.mark.parametrize("vector", HEADERS, ids=lambda v: v["name"])
def test_find_sample_vectors(twin: ModuleType, vector: dict) -> None:
    """tests/vectors/sample.json, RFC 8547 section 4.1."""
    found = twin.find(bytes.fromhex(vector["tcp_options"]))
    assert [option.hex() for option in found] == vector["eno_options"]
    if vector["form"] == "syn-segment" and found:
        assert [s.tep for s in twin.parse(found[0]).teps] == [
            tep["tep"] for tep in vector["expect"]["teps"]
        ]


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", []),
        ("4502", ["4502"]),
        ("0101450323", ["450323"]),
        ("00450323", []),  # after EOL
        ("45032300450321", ["450323"]),
        ("450323450321", ["450323", "450321"]),  # two: the negotiation's matter
        ("020105", []),  # impossible length 1
        ("0200450323", []),  # impossible length 0
        ("450323020a", ["450323"]),  # beyond the end
        ("4505" + "23", []),  # ENO itself beyond the end
        ("4500", []),
        ("4501", []),
        ("45", []),
        ("01" * 38 + "4502", ["4502"]),
        ("4528" + "21" * 38, ["4528" + "21" * 38]),
        ("fd0445" + "4e", []),
    ],
)
def test_find(twin: ModuleType, header: str, found: list[str]) -> None:
    """RFC 8547 section 4.1; RFC 793 section 3.1 for EOL, NOP and lengths."""
    assert [option.hex() for option in twin.find(bytes.fromhex(header))] == found


def test_find_refuses_more_than_a_header_holds(twin: ModuleType) -> None:
    """RFC 793 section 3.1: at most 40 bytes of options."""
    with pytest.raises(ValueError, match="41 bytes"):
        twin.find(b"\x01" * 41)
    with pytest.raises(TypeError, match="bytes-like"):
        twin.find("4502")


# Sections 4.1, 4.2, 4.4: encode.


@pytest.mark.rfc("8547:4.2-1", "8547:4.4-2", "8547:4.4-11")
@pytest.mark.parametrize(
    ("suboptions", "value", "option"),
    [
        ([], None, "4502"),
        ([], 0, "450300"),
        ([0x23], None, "450323"),
        ([0x21, 0x23], 1, "4505012123"),
        ([Suboption(0x23, True, b"\1\2")], None, "4505a30102"),
        ([Suboption(0x23, True, b"\1\2"), 0x21], None, "450781a3010221"),
        ([Suboption(0x23, True, b"\1\2", True)], None, "450681a30102"),
        ([Suboption(0x23, True)], None, "4503a3"),
        ([Suboption(0x23, True, bytes(37))], None, "4528a3" + "00" * 37),
        ([Suboption(0x23, True, bytes(32)), 0x21], 3, "4526039fa3" + "00" * 32 + "21"),
        (list(range(0x20, 0x46)), None, "4528" + bytes(range(0x20, 0x46)).hex()),
    ],
)
def test_encode(twin: ModuleType, suboptions: list, value: int | None, option: str) -> None:
    """RFC 8547 section 4.4: a length byte only before data that are not last."""
    assert twin.encode(suboptions, global_suboption=value).hex() == option
    assert twin.encode(iter(suboptions), global_suboption=value).hex() == option
    twin.parse(bytes.fromhex(option))


@pytest.mark.rfc("8547:4.4-4", "8547:4.4-5", "8547:4.4-6")
@pytest.mark.parametrize(
    ("suboptions", "value", "says"),
    [
        ([0x23, 0x1F], None, "place 1.*0x1f.*0x20-0x7f"),
        ([0xA3], None, "place 0.*0xa3"),
        ([-1], None, "-0x1"),
        ([2**70], None, "outside"),
        ([], 0x20, "0x20.*4.2"),
        ([], -1, "outside 0x00-0x1f"),
        ([], 2**70, "outside"),
        ([Suboption(0x23, False, b"\1")], None, "data without v"),
        ([Suboption(0x23, False, b"", True)], None, "length byte without v"),
        ([Suboption(0x23, True, b"", True)], None, "0 bytes of data"),
        ([Suboption(0x23, True, b""), 0x21], None, "place 0.*0 bytes of data.*put it last"),
        ([Suboption(0x23, True, bytes(33)), 0x21], None, "33 bytes of data.*put it last"),
        ([Suboption(0x23, True, bytes(33), True)], None, "33 bytes of data"),
        ([Suboption(0x23, True, bytes(38))], None, "exceed 40 bytes"),
        ([Suboption(0x23, True, bytes(37))], 1, "exceed 40 bytes"),
        ([Suboption(0x23, True, bytes(2**16))], None, "exceed 40 bytes"),
        ([Suboption(0x23, True, bytes(32)), *range(0x24, 0x29)], None, "place 5.*exceed"),
        (range(0x20, 0x47), None, "place 38.*exceed 40"),
    ],
)
def test_encode_refuses(
    twin: ModuleType, suboptions: list, value: int | None, says: str
) -> None:
    """RFC 8547 sections 4.1, 4.2, 4.4: what cannot be sent is a ValueError."""
    with pytest.raises(ValueError, match=f"(?s){says}"):
        twin.encode(suboptions, global_suboption=value)


def test_encode_wants_numbers_and_bytes(twin: ModuleType) -> None:
    """RFC 8547 section 4.1: TEP identifiers are integers, data are bytes."""
    for wrong in (["23"], [None], [35.0], [(0x23, False, b"", False)], 35):
        with pytest.raises(TypeError):
            twin.encode(wrong)
    with pytest.raises(TypeError, match="bytes-like"):
        twin.encode([Suboption(0x23, True, "data")])
    with pytest.raises(TypeError):
        twin.encode([], global_suboption="1")


@st.composite
def sendable(draw: st.DrawFn) -> tuple[list[Suboption], int | None]:
    """What section 4 lets a host send, up to the limit of 40 bytes."""
    value = draw(st.none() | st.integers(0, 0x1F))
    room = 38 - (value is not None)
    suboptions = []
    while room >= 2 and draw(st.booleans()):
        tep, size = draw(st.integers(0x20, 0x7F)), draw(st.integers(0, min(32, room - 2)))
        sub = Suboption(tep, True, draw(st.binary(min_size=size, max_size=size)), True)
        suboptions.append(sub if size else Suboption(tep))
        room -= 2 + size if size else 1
    if room and draw(st.booleans()):
        data = draw(st.binary(max_size=room - 1))
        suboptions.append(Suboption(draw(st.integers(0x20, 0x7F)), True, data))
    return suboptions, value


@given(sendable())
@pytest.mark.parametrize("name", TWINS)
def test_parse_gives_back_what_encode_took(
    name: str, sent: tuple[list[Suboption], int | None]
) -> None:
    """RFC 8547 sections 4.1-4.4: parse(encode(x)) is x, and the bytes return too."""
    twin, (suboptions, value) = TWINS[name], sent
    raw = twin.encode(suboptions, global_suboption=value)
    option = twin.parse(raw)
    assert option.teps == tuple(suboptions)
    assert (option.explicit_global, option.global_suboption) == (value is not None, value or 0)
    assert twin.encode(option.teps, global_suboption=value) == raw
    assert twin.find(b"\x01" * (40 - len(raw)) + raw) == (raw,)


@given(st.binary(max_size=38))
@pytest.mark.parametrize("name", TWINS)
def test_encode_gives_back_what_parse_took(name: str, contents: bytes) -> None:
    """RFC 8547 section 4.4: every well-formed option with one leading global returns."""
    twin, raw = TWINS[name], whole(contents)
    try:
        option = twin.parse(raw)
    except IllFormedOptionError as error:
        assert 2 <= error.offset < len(raw)
        return
    # a second global, or one behind a TEP, is ignored (4.2) and so not written again
    if sum(len(s.data) + 1 + s.length_byte for s in option.teps) + option.explicit_global < len(
        contents
    ) or (option.explicit_global and contents[0] >= 0x20):
        return
    value = option.global_suboption if option.explicit_global else None
    assert twin.encode(option.teps, global_suboption=value) == raw
