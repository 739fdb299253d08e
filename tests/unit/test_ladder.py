"""The demonstration's ladder and proofs, from captures made by hand.

Every proof is shown to fail when its fact is taken away.
"""

from pathlib import Path
from typing import Any

import pytest
from unit.packets import ACK, FIN, PSH, SYN, A, B, ipv4, pcap, tcp

from pyeno.demo import proofs
from pyeno.demo.ladder import Style, negotiated_tep, render, steps
from pyeno.pcap import segments
from pyeno.streams import Conversation, conversations

INIT1 = bytes.fromhex("15101a0e 0000004b 01 0002") + b"N" * 32 + b"P" * 32
INIT2 = bytes.fromhex("097105e0 0000004a 0002") + b"n" * 32 + b"p" * 32
FRAME = b"\x00\x00\x20" + b"c" * 32
SYN_ENO, SYN_ACK_ENO, ACK_ENO = (bytes.fromhex(x) for x in ("450323", "45040123", "4502"))
MARKER = b"marker-0123456789"


def capture(
    data: bytes = FRAME,
    answer: bytes = FRAME,
    *,
    syn: bytes = SYN_ENO,
    syn_ack: bytes = SYN_ACK_ENO,
    ack: bytes = ACK_ENO,
    inits: tuple[bytes, bytes] = (INIT1, INIT2),
) -> bytes:
    """One connection; A's ports are 40000, B's 7000."""

    def back(flags: int, seq: int, payload: bytes = b"", options: bytes = b"") -> bytes:
        segment = tcp(flags, seq, payload, ports=(7000, 40000), options=options)
        return ipv4(segment, source=B, target=A)

    a, b = len(inits[0]), len(inits[1])
    packets = [
        ipv4(tcp(SYN, 0, options=syn)),
        back(SYN | ACK, 0, options=syn_ack),
        ipv4(tcp(ACK, 1, options=ack)),
        ipv4(tcp(ACK | PSH, 1, inits[0])),
        back(ACK | PSH, 1, inits[1]),
        ipv4(tcp(ACK | PSH, 1 + a, data)),
        back(ACK | PSH, 1 + b, answer),
        ipv4(tcp(FIN | ACK, 1 + a + len(data))),
        back(FIN | ACK, 1 + b + len(answer)),
    ]
    return pcap([packet for packet in packets if packet], link=101)


def conversation(data: bytes) -> Conversation:
    (found,) = conversations(segments(data))
    return found


PLAIN = {"syn_ack": b"", "ack": b"", "inits": (b"", b"")}


def test_steps_of_an_encrypted_connection() -> None:
    told = steps(conversation(capture()))
    assert [(step.sender, step.title) for step in told] == [
        ("A", "SYN"),
        ("B", "SYN-ACK"),
        ("A", "ACK"),
        ("A", "Init1, 75 bytes"),
        ("B", "Init2, 74 bytes"),
        ("A", "first frame, stream offset 75"),
        ("B", "first frame, stream offset 74"),
        (
            "",
            "A sends 110 bytes in 2 segments, 1 frames; "
            "B sends 109 bytes in 2 segments, 1 frames",
        ),
        ("A", "FIN"),
        ("B", "FIN"),
    ]  # fmt: skip
    assert told[0].fields == ((SYN_ENO, "ENO<tcpcrypt Curve25519>"),)
    assert told[1].fields == ((SYN_ACK_ENO, "ENO<b=1, tcpcrypt Curve25519>"),)
    assert told[2].fields == ((ACK_ENO, "ENO<> (non-SYN form)"),)
    assert told[3].as_dict()["fields"][0] == {"bytes": "15101a0e", "words": "INIT1_MAGIC"}


def test_steps_of_a_plain_connection() -> None:
    told = steps(conversation(capture(b"hello\nyou", b"answer", **PLAIN)))
    assert [step.title for step in told][3:5] == ["first data: plain TCP"] * 2
    assert told[1].fields[0].words == "no ENO option"
    assert told[3].fields[0].words == '"hello.you"'


@pytest.mark.parametrize(
    "damage",
    [
        {"syn": b""},
        {"syn_ack": b""},
        {"ack": b""},
        {"syn_ack": bytes.fromhex("450323")},
        {"syn_ack": bytes.fromhex("45040124")},
        {"syn": SYN_ENO * 2},
    ],
)
def test_an_onlooker_sees_that_nothing_was_negotiated(damage: dict[str, Any]) -> None:
    assert negotiated_tep(conversation(capture())) == 0x23
    assert negotiated_tep(conversation(capture(**damage))) is None


@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("plain", [{}, PLAIN])
def test_drawn_within_a_hundred_columns(unicode: bool, plain: dict[str, Any]) -> None:
    found = conversation(capture(**plain))
    drawn = render(found, steps(found), Style(unicode=unicode))
    assert max(map(len, drawn)) <= 100
    assert len({len(line) for line in drawn}) == 1, "the right-hand line is straight"
    assert "192.0.2.1:40000" in drawn[0] and drawn[0].rstrip().endswith("192.0.2.2:7000  B")
    assert unicode or "\n".join(drawn).isascii()


def test_colours_only_where_wanted() -> None:
    found = conversation(capture())
    told = steps(found)
    assert "\033[" not in "".join(render(found, told, Style()))
    assert "\033[" in "".join(render(found, told, Style(colour=True)))


# -- proofs --------------------------------------------------------------------


def wire(tmp_path: Path, data: bytes, name: str = "x.pcap", dropped: int = 0) -> proofs.OnWire:
    path = tmp_path / name
    path.write_bytes(data)
    return proofs.look(path, conversation(data), MARKER, dropped)


def test_ciphertext_only(tmp_path: Path) -> None:
    hidden = wire(tmp_path, capture())
    control = wire(tmp_path, capture(MARKER * 2, b"answer", **PLAIN), "control.pcap")
    assert (control.in_file, control.in_streams) == (2, 2)
    assert proofs.ciphertext_only(MARKER, 5, 100, hidden, control).ok
    failing = [
        (0, 100, hidden, control),  # never was in the file
        (5, 111, hidden, control),  # the capture is smaller than the file
        (5, 100, control, control),  # it is on the wire
        (5, 10, hidden, hidden),  # the search finds nothing where it should
        (5, 100, hidden._replace(gap="bytes missing"), control),
    ]
    for facts in failing:
        assert not proofs.ciphertext_only(MARKER, *facts).ok, facts


def test_a_marker_across_segments_is_seen(tmp_path: Path) -> None:
    # first half at the end of the stream's first segment
    split = capture(MARKER[9:] + b"rest", b"", **PLAIN | {"inits": (MARKER[:9], b"")})
    seen = wire(tmp_path, split)
    assert (seen.in_file, seen.in_streams, seen.found) == (0, 1, 1)


def test_a_hole_in_the_capture_is_told(tmp_path: Path) -> None:
    data = capture(inits=(INIT1, b""), answer=b"")
    lost = data.replace(FRAME, b"\x00" * len(FRAME), 1)
    assert not wire(tmp_path, data).gap and not wire(tmp_path, lost).gap
    cut = pcap([ipv4(tcp(SYN)), ipv4(tcp(ACK, 9, b"x")), ipv4(tcp(FIN | ACK, 10))], link=101)
    assert "bytes 0 to 8 are missing" in wire(tmp_path, cut, "cut.pcap").gap


@pytest.mark.parametrize("size", [0, 1, 16, 17, 18, 5000])
def test_stream_search_counts_each_marker_once(size: int) -> None:
    data = (b"." * 100 + MARKER) * 30
    pieces = [data[i : i + size] for i in range(0, len(data), size)] if size else [data]
    assert proofs.occurrences_in_stream(pieces, MARKER) == (len(data), 30)


def test_same_session() -> None:
    end = {"session_id": "23" + "ab" * 32, "role": "A", "tep": "0x23", "aead": "AES_128_GCM"}
    assert proofs.same_session(end, end | {"role": "B"}).ok
    for other in (
        end,
        end | {"role": "B", "session_id": "23" + "ac" * 32},
        end | {"role": "B", "session_id": None},
    ):
        assert not proofs.same_session(end, other).ok
    none = {"session_id": None, "role": None}
    assert not proofs.same_session(none, none).ok


def test_fallback() -> None:
    end = {"encrypted": False, "reason": "syn-ack-without-eno"}
    assert proofs.fallback(end, "abc", {"bytes": 5, "sha256": "abc"}, "abc").ok
    assert not proofs.fallback(end, "abc", {"bytes": 5, "sha256": "abd"}, "abc").ok
    assert not proofs.fallback(end, "abc", {"bytes": 5, "sha256": "abc"}, "abd").ok
    assert not proofs.fallback(end, "abc", {}, "abc").ok
    for wrong in ({"encrypted": True, "reason": None}, {"encrypted": False, "reason": "x"}):
        assert not proofs.fallback(wrong, "abc", {"bytes": 5, "sha256": "abc"}, "abc").ok


def test_arrived() -> None:
    way = {"from": "A", "to": "B", "bytes": 9, "sha256": "a" * 64, "sha256_received": "a" * 64}
    assert proofs.arrived([way, way]).ok
    assert not proofs.arrived([way, way | {"sha256_received": "b" * 64}]).ok
    assert not proofs.arrived([]).ok
