"""The cases of tests/vectors/eno.json: options to parse, pairs to negotiate (RFC 8547 §4)."""

from typing import Any

from . import OracleError, eno

Json = dict[str, Any]

HALVES = bytes(range(1, 10)), bytes(range(10, 19))
RESUME = HALVES[0] + HALVES[1]
NONCE = bytes(range(0xE0, 0xE8))

# Contents of a SYN-form option, that is, without kind and length
PARSE = {
    "empty contents: vacuous, implicit global 0": "",
    "one TEP": "23",
    "explicit global 0": "0023",
    "b = 1": "0123",
    "a = 1": "0223",
    "z1, z2, z3": "1c23",
    "highest global byte": "1f23",
    "two globals: only the first counts": "010223",
    "global after the TEP": "2301",
    "only globals: vacuous": "010203",
    "all four TEPs": "0121222423",
    "highest TEP": "7f",
    "lowest TEP": "20",
    "v = 1 with no data": "a3",
    "v = 1, data to the end": "a3" + HALVES[0].hex(),
    "data bytes that look like suboptions": "a301809fa1",
    "TEP before data to the end": "21a30102",
    "length byte, one byte of data": "80a37721",
    "length byte, data ends the option": "81a30102",
    "length byte, 32 bytes": "9fa3" + "00" * 32 + "21",
    "two length bytes": "80a17780a378",
    "length byte then data to the end": "80a177a3787878",
    "more than 32 bytes to the end": "a3" + "55" * 37,
    "same TEP twice": "2323",
    "length byte is the last byte": "2380",
    "length byte, TEP, no data": "80a3",
    "length byte, one byte short": "82a30102",
    "length byte before v = 0": "802377",
    "length byte before a global": "800177",
    "length byte before a length byte": "8080a377",
    "length byte before 0x9f": "809f77",
    "length byte before 0xa0": "80a077",
}

# A whole TCP option block of a SYN segment
SEGMENTS = {
    "MSS, ENO, end": "020405b445032300",
    "ENO after the end of the options": "020405b4004503230000",
    "two ENO options": "450323450323",
    "two ENO options, one vacuous": "45024503230000",
    "ENO kind as the last byte": "020405b401010145",
    "ENO of length 1": "450123",
    "ENO of length 0": "450023",
    "ENO beyond the header": "45082301",
    "kind 253 ExID 454E is not ENO": "fd05454e23000000",
    "NOPs around": "0101450323010101",
}

_A17 = "a3" + (HALVES[0] + NONCE).hex()
_B17 = "a3" + (HALVES[1] + NONCE).hex()
_A_SWAPPED = "a3" + (HALVES[1] + NONCE).hex()
_B_SWAPPED = "a3" + (HALVES[0] + NONCE).hex()

# name, host 1, host 2, mandatory application-aware, passive opener
Case = tuple[str, str | None, str | None, tuple[bool, bool], int | None]
OFF = (False, False)
NEGOTIATE: list[Case] = [
    ("plain three-way", "23", "0123", OFF, 2),
    ("explicit global 0 for A", "0023", "0123", OFF, 2),
    ("last of B wins", "2123", "012321", OFF, 2),
    ("order of A does not matter", "2321", "012123", OFF, 2),
    ("unknown TEP last in B is skipped", "23", "01232f", OFF, 2),
    ("experimental TEP", "2023", "0120", OFF, 2),
    ("no common TEP", "21", "0123", OFF, 2),
    ("vacuous A", "", "0123", OFF, 2),
    ("vacuous B", "23", "01", OFF, 2),
    ("both a bits", "0223", "0323", (True, True), 2),
    ("a bit of host 1 only", "0223", "0123", OFF, 2),
    ("mandatory: host 2 not aware", "0223", "0123", (True, False), 2),
    ("mandatory: host 1 not aware", "23", "0323", (False, True), 2),
    ("z bits are ignored", "1c23", "1d23", OFF, 2),
    ("both b = 0", "23", "0023", OFF, 2),
    ("both b = 1", "0123", "0123", OFF, 2),
    ("no ENO from host 1", None, "0123", OFF, 2),
    ("no ENO from host 2", "23", None, OFF, 2),
    ("ill-formed host 1", "2380", "0123", OFF, 2),
    ("ill-formed host 2", "23", "01809f77", OFF, 2),
    ("simultaneous open", "23", "0123", OFF, None),
    ("simultaneous open, host 1 is B", "012123", "2123", OFF, None),
    ("simultaneous open, figure 12", "2123", "01232122", OFF, None),
    ("simultaneous open, both b = 0", "23", "23", OFF, None),
    ("A repeats the TEP", "2323", "0123", OFF, 2),
    ("B repeats the TEP", "23", "012323", OFF, 2),
    ("a repeated TEP leaves others valid", "232321", "012321", OFF, 2),
    ("A short proposal, B fresh", "a331", "0123", OFF, 2),
    ("A empty data, B fresh", "a3", "0123", OFF, 2),
    ("A 8 bytes, B fresh", "a3" + "31" * 8, "0123", OFF, 2),
    ("resumption", _A17, "01" + _B17, OFF, 2),
    ("resumption, original roles swapped", _A_SWAPPED, "01" + _B_SWAPPED, OFF, 2),
    ("resumption without nonces", "a3" + HALVES[0].hex(), "01a3" + HALVES[1].hex(), OFF, 2),
    ("resumption, simultaneous open", _A17, "01" + _B17, OFF, None),
    ("resumption declined", _A17, "0123", OFF, 2),
    ("resumption declined for another TEP", "21" + _A17, "0121", OFF, 2),
    ("resumption, wrong half", _A17, "01a3" + "99" * 17, OFF, 2),
    ("resumption, same half back", _A17, "01" + _A17, OFF, 2),
    ("resumption, wrong half, another TEP first", "21" + _A17, "0121a3" + "99" * 17, OFF, 2),
    ("A nonce of 9 bytes", _A17 + "00", "0123", OFF, 2),
    ("B nonce of 9 bytes", _A17, "01" + _B17 + "00", OFF, 2),
    ("B short of 9 bytes", _A17, "01a3" + "99" * 8, OFF, 2),
    ("B resumes unasked", "23", "01" + _B17, OFF, 2),
    ("B answers a short proposal with resumption", "a331", "01" + _B17, OFF, 2),
]


def _whole(contents: str | None) -> bytes | None:
    if contents is None:
        return None
    raw = bytes.fromhex(contents)
    return bytes([eno.KIND, len(raw) + 2]) + raw


def _described(option: eno.Option) -> Json:
    return {
        "ok": True,
        "global": option.global_byte,
        "explicit_global": bool(option.globals),
        "globals": list(option.globals),
        "a": option.a,
        "b": option.b,
        "z": option.z,
        "vacuous": option.vacuous,
        "teps": [
            {"tep": s.tep, "v": s.v, "data": s.data.hex(), "length_byte": s.length_byte}
            for s in option.teps
        ],
    }


def parsed(raw: bytes) -> Json:
    """The `expect` of one whole option."""
    try:
        return _described(eno.parse(raw))
    except OracleError as error:
        return {"ok": False, "error": error.reason}


def parsed_syn(block: bytes) -> Json:
    """The `expect` of a SYN segment's option block."""
    try:
        return _described(eno.of_syn(block))
    except OracleError as error:
        return {"ok": False, "error": error.reason}


def negotiated(
    option_1: bytes | None,
    option_2: bytes | None,
    aware: tuple[bool, bool] = OFF,
    passive: int | None = 2,
) -> Json:
    """The `expect` of a pair of options."""
    sessions = [RESUME]
    try:
        result = eno.negotiate(
            option_1, option_2, mandatory_aware=aware, passive=passive, sessions=sessions
        )
    except OracleError as error:
        return {"ok": False, "reason": error.reason}
    return {
        "ok": True,
        "tep": result.tep,
        "tep_byte": result.tep_byte,
        "roles": list(result.roles),
        "transcript": result.transcript.hex(),
        "a_bits": list(result.a_bits),
        "mode": result.mode,
    }


def negotiation() -> Json:
    """Everything in eno.json but its preamble."""
    parse: list[Json] = []
    for name, contents in PARSE.items():
        raw = _whole(contents)
        assert raw is not None
        parse.append({"name": name, "form": "syn", "option": raw.hex(), "expect": parsed(raw)})
    for name, block in SEGMENTS.items():
        raw = bytes.fromhex(block)
        found = [option.hex() for option in eno.eno_options(raw)]
        parse.append(
            {
                "name": name,
                "form": "syn-segment",
                "tcp_options": block,
                "eno_options": found,
                "expect": parsed_syn(raw),
            }
        )
    pairs: list[Json] = []
    for name, one, two, aware, passive in NEGOTIATE:
        raw_1, raw_2 = _whole(one), _whole(two)
        pairs.append(
            {
                "name": name,
                "option_1": None if raw_1 is None else raw_1.hex(),
                "option_2": None if raw_2 is None else raw_2.hex(),
                "mandatory_aware": list(aware),
                "passive": passive,
                "expect": negotiated(raw_1, raw_2, aware, passive),
            }
        )
    return {"known_resume_id": RESUME.hex(), "parse": parse, "negotiate": pairs}
