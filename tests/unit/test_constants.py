"""pyeno.constants, ext/wire/*.h and the RFCs' tables give the same numbers."""

import re
from enum import IntEnum
from pathlib import Path
from types import ModuleType

import pytest

from pyeno import _tepdata, constants, kernel
from pyeno import errors as errors_module
from pyeno.constants import Aead, Reason, Role, State, Tep

ROOT = Path(__file__).parents[2]
HEADERS = {path.name: path.read_text() for path in (ROOT / "ext/wire").glob("*.h")}


def without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def enums(header: str) -> dict[str, int]:
    """Every enumerator of a header whose value is a number, a name or counted."""
    found: dict[str, int] = {}
    for body in re.findall(r"enum\s*\w*\s*\{(.*?)\}", without_comments(header), re.DOTALL):
        value = -1
        for name, written in re.findall(r"(\w+)\s*(?:=\s*([^,]+?))?\s*(?:,|$)", body.strip()):
            if written:
                words = re.sub(r"[A-Z]\w+", lambda word: str(found.get(word[0], "?")), written)
                if not re.fullmatch(r"[\dxa-fA-F +*-]+", words):
                    continue
                value = sum(
                    (-1 if sign == "-" else 1) * product(term)
                    for sign, term in re.findall(r"([+-]?)\s*([^+-]+)", words)
                )
            else:
                value += 1
            found[name] = value
    return found


def product(term: str) -> int:
    result = 1
    for factor in term.split("*"):
        result *= int(factor, 0)
    return result


ENO = enums(HEADERS["eno.h"])


def named(prefix: str, header: str, enum: str) -> dict[str, int]:
    """The enumerators of one named enum, without their prefix."""
    text = without_comments(HEADERS[header])
    body = re.search(rf"enum {enum} \{{(.*?)\}}", text, re.DOTALL)
    assert body is not None
    values = enums(HEADERS[header])
    return {name.removeprefix(prefix): values[name] for name in re.findall(r"\w+_\w+", body[1])}


def members(enum: type[IntEnum]) -> dict[str, int]:
    return {member.name: int(member) for member in enum}


def test_reasons_are_the_headers() -> None:
    """RFC 8547 section 4.6: enum eno_reason is pyeno.Reason, name by name."""
    reasons = named("ENO_", "eno.h", "eno_reason")
    count = reasons.pop("REASON_COUNT")
    assert reasons == members(Reason)
    assert count == len(Reason) and sorted(reasons.values()) == list(range(count))


def test_states_are_the_headers() -> None:
    """RFC 8547 section 4.6: enum eno_state is pyeno.State, name by name."""
    assert named("ENO_STATE_", "eno_abi.h", "eno_state") == members(State)


def test_socket_options_are_the_headers() -> None:
    """pyeno.kernel and ext/wire/eno_abi.h name the same numbers."""
    numbers = enums(HEADERS["eno_abi.h"].replace("TCP_ENO_BASE", str(kernel.TCP_ENO_BASE)))
    last = numbers.pop("TCP_ENO_LAST")
    options = {name: at for name, at in numbers.items() if name.startswith("TCP_ENO_")}
    mine = {n: at for n, at in vars(kernel).items() if n.startswith("TCP_ENO_")}
    del mine["TCP_ENO_BASE"]
    assert options == mine
    assert last == max(options.values())


def test_suboption_data_are_the_headers() -> None:
    """RFC 8547 section 4.4: what a table of them holds."""
    most = enums(HEADERS["eno.h"] + HEADERS["eno_tep_data.h"])
    assert most["ENO_TEP_DATA_MAX"] == _tepdata.RULES_MAX
    assert most["ENO_TEP_DATA_SENT_MAX"] == _tepdata.SENT_MAX
    assert _tepdata.RECEIVED_MAX == most["ENO_TEP_DATA_RECEIVED_MAX"] == 37


@pytest.mark.parametrize(
    ("name", "c_name"),
    [
        ("ENO_KIND", "ENO_KIND"),
        ("ENO_OPTION_MAX", "ENO_OPTION_MAX"),
        ("ENO_V", "ENO_V"),
        ("ENO_GLT", "ENO_GLT"),
        ("ENO_TEP_MIN", "ENO_TEP_MIN"),
        ("GLOBAL_B", "ENO_GLOBAL_B"),
        ("GLOBAL_A", "ENO_GLOBAL_A"),
        ("GLOBAL_Z", "ENO_GLOBAL_Z"),
    ],
)
def test_option_bytes_are_the_headers(name: str, c_name: str) -> None:
    """RFC 8547 section 4.1, figures 1 and 4; section 4.2, figure 5."""
    assert getattr(constants, name) == ENO[c_name]


@pytest.mark.rfc("8547:11-2")
def test_option_bytes_are_the_rfcs() -> None:
    """RFC 8547 section 4.1: kind 69, v and glt share the byte; figure 5: 000zzzab."""
    assert constants.ENO_KIND == 69
    assert constants.ENO_V ^ constants.ENO_GLT == 0xFF
    assert constants.GLOBAL_B | constants.GLOBAL_A | constants.GLOBAL_Z == 0x1F
    assert ENO["ENO_LENGTH_NNNNN"] == 0x1F
    assert ENO["ENO_SUBOPTION_MAX"] == 38


@pytest.mark.rfc("8548:7-1")
def test_tep_identifiers() -> None:
    """RFC 8547 table 3 and RFC 8548 table 4; draft-ietf-tcpinc-use-tls section 3."""
    assert members(Tep) == {
        "EXPERIMENTAL": 0x20,
        "TCPCRYPT_ECDHE_P256": 0x21,
        "TCPCRYPT_ECDHE_P521": 0x22,
        "TCPCRYPT_ECDHE_Curve25519": 0x23,
        "TCPCRYPT_ECDHE_Curve448": 0x24,
        "TLS": 0x30,
    }
    tcpcrypt = enums(HEADERS["eno_negotiate.h"])
    assert tcpcrypt["TCPCRYPT_TEP_FIRST"] == Tep.TCPCRYPT_ECDHE_P256
    assert tcpcrypt["TCPCRYPT_TEP_LAST"] == Tep.TCPCRYPT_ECDHE_Curve448
    assert constants.RESUME_HALF_LEN == tcpcrypt["TCPCRYPT_RESUME_HALF"] == 9
    assert constants.RESUME_NONCE_MAX == tcpcrypt["TCPCRYPT_NONCE_MAX"] == 8


@pytest.mark.rfc("8547:5-4", "8548:7-2")
def test_aeads() -> None:
    """RFC 8548 tables 3 and 5."""
    assert [(int(a), a.key_len, a.nonce_len) for a in Aead] == [
        (0x0001, 16, 12),
        (0x0002, 32, 12),
        (0x0010, 32, 12),
    ]


@pytest.mark.rfc("8548:4.3-1", "8548:5-1", "8548:5-2")
def test_tcpcrypt_constants() -> None:
    """RFC 8548 section 4.3, table 1; sections 4.1 and 5."""
    names = ("NEXTK", "SESSID", "REKEY", "KEY_A", "KEY_B", "RESUME")
    assert [getattr(constants, f"CONST_{name}") for name in names] == [
        bytes([number]) for number in range(1, 7)
    ]
    assert (constants.INIT1_MAGIC, constants.INIT2_MAGIC) == (0x15101A0E, 0x097105E0)
    assert (constants.N_A_LEN, constants.N_B_LEN, constants.K_LEN) == (32, 32, 32)


def test_roles_are_opposite() -> None:
    """RFC 8547 section 4.3."""
    assert Role.A.opposite is Role.B and Role.B.opposite is Role.A
    assert {Role(letter) for letter in "AB"} == set(Role)


def test_slugs_are_single_words() -> None:
    """RFC 8547 section 4.6: what the command line prints for each reason."""
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", reason.slug) for reason in Reason)
    assert Reason.SYN_ACK_WITHOUT_ENO.slug == "syn-ack-without-eno"


def errors_of(module: ModuleType) -> list[type[BaseException]]:
    return [
        x
        for x in vars(module).values()
        if isinstance(x, type) and x.__module__ == module.__name__
    ]


def test_every_error_is_a_pyeno_error() -> None:
    """RFC 8548 section 3.3: aborts are told from the application's own mistakes."""
    found = errors_of(errors_module)
    assert len(found) >= 10
    assert all(issubclass(error, errors_module.PyenoError) for error in found)
    assert not issubclass(errors_module.LocalProtocolError, ConnectionError)
    assert issubclass(errors_module.RemoteProtocolError, ConnectionError)
