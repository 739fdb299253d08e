"""Offer, choose and negotiate: RFC 8547 sections 4.2-4.6, 4.8.  Both twins."""

import json
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pyeno import negotiation
from pyeno._values import Outcome
from pyeno.constants import Reason, Role
from pyeno.negotiation import EncryptionDisabled, Negotiator, Segment

SYN, SYN_ACK, ACK = Segment
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "sample.json").read_text())
TWINS = {name: import_module(f"pyeno._{name}.negotiation") for name in ("native", "pure")}
H = bytes.fromhex
A23, B23 = H("450323"), H("45040123")
NON_SYN = H("4502")


@pytest.fixture(params=TWINS)
def twin(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """One twin, also beneath the Negotiator."""
    for name in ("choose", "negotiate", "offer"):
        monkeypatch.setattr(negotiation, name, getattr(TWINS[request.param], name))
    yield TWINS[request.param]


# offer: sections 4.1, 4.2, 4.5


@pytest.mark.rfc("8547:4.2-1", "8547:4.2-4", "8547:4.2-5", "8547:4.2-6", "8547:4.2-9")
@pytest.mark.parametrize(
    ("teps", "flags", "option"),
    [
        ([0x23], {}, "450323"),
        ([0x21, 0x23], {}, "45042123"),
        ([], {}, "4502"),
        ([0x23], {"role_b": True}, "45040123"),
        ([0x23], {"aware": True}, "45040223"),
        ([0x23], {"role_b": True, "aware": True}, "45040323"),
        ([], {"role_b": True}, "450301"),
        (range(0x20, 0x46), {}, "4528" + bytes(range(0x20, 0x46)).hex()),
    ],
)
def test_offer(twin: ModuleType, teps: Any, flags: dict[str, bool], option: str) -> None:
    """RFC 8547 section 4.2: b and a default to 0, an API sets them; z bits are 0."""
    assert twin.offer(teps, **flags).hex() == option
    assert twin.offer(iter(teps), **flags).hex() == option


@pytest.mark.parametrize(
    ("teps", "flags", "says"),
    [
        ([0x23, 0x1F], {}, "place 1.*0x1f.*0x20-0x7f"),
        ([0xA3], {}, "place 0.*without v"),
        ([0x23, 0x21, 0x23], {}, "place 2.*0x23 came before"),
        (range(0x20, 0x47), {}, "39 TEPs.*room for 38"),
        (range(0x20, 0x46), {"role_b": True}, "38 TEPs.*room for 37"),
        (range(0x20, 0x80), {"aware": True}, "96 TEPs"),
    ],
)
def test_offer_refuses(twin: ModuleType, teps: Any, flags: dict[str, bool], says: str) -> None:
    """RFC 8547 sections 4.1, 4.4, 4.5 rule 3."""
    with pytest.raises(ValueError, match=says):
        twin.offer(teps, **flags)


# choose: sections 4.2, 4.5, 4.6


@pytest.mark.rfc(
    "8547:4.2-8",
    "8547:4.2-10",
    "8547:4.2-12",
    "8547:4.2-13",
    "8547:4.5-4",
    "8547:4.5-5",
    "8547:4.6-5",
    "8548:3.5-13",
    "8548:3.5-14",
)
@pytest.mark.parametrize(
    ("received", "teps", "flags", "option", "reason"),
    [
        ("450323", [0x23], {}, "45040123", Reason.NEGOTIATED),
        ("450323", [0x23], {"aware": True}, "45040323", Reason.NEGOTIATED),
        # host B's priority decides, host A's order does not (4.5)
        ("45042321", [0x21, 0x23], {}, "45040123", Reason.NEGOTIATED),
        ("45042123", [0x23, 0x21], {}, "45040121", Reason.NEGOTIATED),
        # under nine bytes of data: as if v = 0 (RFC 8548 section 3.5)
        ("4503a3", [0x23], {}, "45040123", Reason.NEGOTIATED),
        ("450ba3" + "11" * 8, [0x23], {}, "45040123", Reason.NEGOTIATED),
        # a resumption proposal may be answered fresh; too long a nonce not
        ("4514a3" + "11" * 17, [0x23], {}, "45040123", Reason.NEGOTIATED),
        ("4515a3" + "11" * 18, [0x23], {}, "", Reason.NO_VALID_TEP),
        ("4515a3" + "11" * 18, [0x23, 0x21], {}, "", Reason.NO_VALID_TEP),
        ("45042323", [0x23], {}, "", Reason.NO_VALID_TEP),
        ("4505232321", [0x21, 0x23], {}, "45040121", Reason.NEGOTIATED),
        ("4504b011", [0x30], {}, "", Reason.NO_VALID_TEP),
        ("450323", [0x21], {}, "", Reason.NO_VALID_TEP),
        ("450323", [], {}, "", Reason.NO_VALID_TEP),
        ("4502", [0x23], {}, "", Reason.VACUOUS),
        ("450302", [0x23], {}, "", Reason.VACUOUS),
        ("45040123", [0x23], {}, "", Reason.SAME_ROLE),
        ("450323", [0x23], {"mandatory": True}, "", Reason.PEER_NOT_AWARE),
        ("45040223", [0x23], {"mandatory": True}, "45040123", Reason.NEGOTIATED),
        ("4505000223", [0x23], {"mandatory": True}, "", Reason.PEER_NOT_AWARE),
        ("45041c23", [0x23], {}, "45040123", Reason.NEGOTIATED),  # z ignored (4.2)
        ("45042380", [0x23], {}, "", Reason.LENGTH_BEYOND_END),
        ("4505802323", [0x23], {}, "", Reason.LENGTH_BYTE_NOT_BEFORE_TEP),
        ("45", [0x23], {}, "", Reason.MALFORMED),
    ],
)
def test_choose(
    twin: ModuleType, received: str, teps: list[int], flags: Any, option: str, reason: Reason
) -> None:
    """RFC 8547 sections 4.2, 4.5, 4.6: one valid TEP and b = 1, or nothing and why."""
    answer = twin.choose(H(received), teps, **flags)
    assert answer == (H(option), reason)
    assert type(answer[1]) is Reason


@pytest.mark.rfc("8547:4.5-2")
@pytest.mark.parametrize("tep", [0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x30, 0x7F])
def test_only_tcpcrypt_takes_data(twin: ModuleType, tep: int) -> None:
    """RFC 8547 section 4.5 rule 2: by RFC 8548 section 3.5 for 0x21-0x24, else never."""
    received = bytes([69, 4, 0x80 | tep, 0x11])
    answer, reason = twin.choose(received, [tep])
    if 0x21 <= tep <= 0x24:
        assert (answer, reason) == (bytes([69, 4, 1, tep]), Reason.NEGOTIATED)
        assert twin.negotiate(received, answer).tep_byte == tep
    else:
        assert (answer, reason) == (b"", Reason.NO_VALID_TEP)


# negotiate: sections 4.3, 4.5, 4.6, 4.8


@pytest.mark.parametrize("vector", VECTORS["negotiate"], ids=lambda v: v["name"])
def test_sample_vectors(twin: ModuleType, vector: dict[str, Any]) -> None:
    """tests/vectors/sample.json, an independent reading of RFC 8547 section 4."""
    options = [vector["option_1"], vector["option_2"]]
    expect = vector["expect"]
    for mine, theirs in ((0, 1), (1, 0)):
        mandatory = vector["mandatory_aware"][mine]
        if options[mine] is None or expect.get("reason", "").endswith(f"end-{mine + 1}"):
            continue  # nobody sends that on purpose
        host = Negotiator.active(H(options[mine]), mandatory=mandatory)
        host.send(SYN)
        host.receive(SYN_ACK, [H(options[theirs])] if options[theirs] else [])
        host.send(ACK)
        if not expect["ok"]:
            assert isinstance(host.result, EncryptionDisabled)
            slug = expect["reason"]
            kinds = {"same-b-0": "same-role", "missing-2": "syn-ack-without-eno"}
            kinds["length-beyond-end-1"] = "length-beyond-end"
            assert host.result.reason.slug == kinds.get(slug, slug)
            continue
        assert host.result == Outcome(
            Reason.NEGOTIATED,
            Role(expect["roles"][mine]),
            bool(expect["a_bits"][theirs]),
            expect["tep_byte"],
            expect["mode"] == "resumed",
            H(expect["transcript"]),
        )


RESUME = "11" * 17


@pytest.mark.rfc(
    "8547:4.5-1",
    "8547:4.5-2",
    "8547:4.5-3",
    "8547:4.5-6",
    "8547:4.8-3",
    "8547:4.8-4",
    "8547:4.8-5",
)
@pytest.mark.parametrize(
    ("a", "b", "tep_byte", "resumed"),
    [
        ("450523" + "2122", "4506012123" + "22", 0x22, False),  # the last in B's (4.5)
        ("450423" + "21", "450501" + "2123", 0x23, False),
        ("450423" + "21", "450601" + "212330", 0x23, False),  # A did not send 0x30
        ("4514a3" + RESUME, "451501a3" + RESUME, 0xA3, True),
        ("450ca3" + RESUME[:18], "451501a3" + RESUME, 0xA3, True),
        ("4514a3" + RESUME, "45040123", 0x23, False),
        ("450ba3" + RESUME[:16], "45040123", 0x23, False),
        # B's v = 1 unasked, ill-sized or too long: this TEP is not valid
        ("450323", "451501a3" + RESUME, None, False),
        ("450ba3" + RESUME[:16], "451501a3" + RESUME, None, False),
        ("4514a3" + RESUME, "450401a3", None, False),
        ("4514a3" + RESUME, "450c01a3" + RESUME[:16], None, False),
        ("4514a3" + RESUME, "451601a3" + RESUME + "11", None, False),
        ("4515a3" + RESUME + "11", "45040123", None, False),
        # ... and an earlier one stands (4.5: the last *valid* one)
        ("45042123", "45160121a3" + RESUME, 0x21, False),
        ("45042123", "450601212323", 0x21, False),
    ],
)
def test_negotiate(
    twin: ModuleType, a: str, b: str, tep_byte: int | None, resumed: bool
) -> None:
    """RFC 8547 sections 4.3, 4.5, 4.8; RFC 8548 section 3.5.  Both hosts alike."""
    for role, sent, received in ((Role.A, H(a), H(b)), (Role.B, H(b), H(a))):
        outcome = twin.negotiate(sent, received)
        if tep_byte is None:
            assert outcome == Outcome(Reason.NO_VALID_TEP, role)
        else:
            assert outcome == Outcome(
                Reason.NEGOTIATED, role, False, tep_byte, resumed, H(a) + H(b)
            )


HALF_A, HALF_B, OTHER = "aa" * 9, "bb" * 9, "cc" * 9


@pytest.mark.parametrize(
    ("a", "b", "tep_byte", "resumed"),
    [
        ("450ca3" + HALF_A, "450d01a3" + HALF_B, 0xA3, True),
        ("450ca3" + HALF_A, "450f01a3" + HALF_B + "0102", 0xA3, True),
        ("450ca3" + HALF_A, "450d01a3" + OTHER, None, False),
        # the other TEPs of the option are as they were
        ("450d21a3" + HALF_A, "450e0121a3" + OTHER, 0x21, False),
        # only resumption data are ignored: v = 0 asks for a fresh key exchange
        ("450ca3" + HALF_A, "45040123", 0x23, False),
        # what B sent unasked, or ill-sized, stays invalid
        ("450323", "450d01a3" + HALF_B, None, False),
        ("450ca3" + HALF_A, "450c01a3" + HALF_B[:16], None, False),
        # ignoring one of two does not make the other the only one
        ("450ca3" + HALF_A, "45180188a3" + OTHER + "a3" + HALF_B, None, False),
    ],
)
def test_negotiate_ignores_another_half(
    twin: ModuleType, a: str, b: str, tep_byte: int | None, resumed: bool
) -> None:
    """RFC 8548 section 3.5: an identifier-half that does not match is ignored."""
    outcome = twin.negotiate(H(a), H(b), remote_half=H(HALF_B))
    if tep_byte is None:
        assert outcome == Outcome(Reason.NO_VALID_TEP, Role.A)
    else:
        assert (outcome.tep_byte, outcome.resumed) == (tep_byte, resumed)
    host = Negotiator.active(H(a), remote_half=H(HALF_B))
    host.send(SYN)
    host.receive(SYN_ACK, [H(b)])
    assert bool(host.send(ACK)) is (tep_byte is not None), "MUST NOT send any more ENO options"


def test_negotiate_in_a_simultaneous_open(twin: ModuleType) -> None:
    """Host B ignores another half of host A's alike; both hosts conclude the same."""
    a, b = "450ca3" + HALF_A, "450d01a3" + HALF_B
    for half, reason in ((HALF_A, Reason.NEGOTIATED), (OTHER, Reason.NO_VALID_TEP)):
        assert twin.negotiate(H(b), H(a), remote_half=H(half)).reason is reason


@pytest.mark.parametrize("size", [0, 8, 10])
def test_halves_have_nine_bytes(twin: ModuleType, size: int) -> None:
    for call in (
        lambda **half: twin.negotiate(A23, B23, **half),
        partial(Negotiator.active, A23),
    ):
        with pytest.raises(ValueError, match=f"{size} bytes.*is 9"):
            call(remote_half=bytes(size))


@pytest.mark.rfc("8547:4.4-8", "8547:4.6-4", "8547:4.6-6", "8547:4.6-15")
def test_negotiate_judges_the_remote_option(twin: ModuleType) -> None:
    """RFC 8547 section 4.6: rules 1-3 in this order, vacuous last."""
    a_aware = H("45040223")
    assert twin.negotiate(B23, a_aware).peer_aware is True
    for received, reason in (
        (A23, Reason.SAME_ROLE),
        (H("45040423"), Reason.SAME_ROLE),
        (H("450301"), Reason.VACUOUS),
        (b"", Reason.MALFORMED),
        (H("45042380"), Reason.LENGTH_BEYOND_END),
        (H("4505802323"), Reason.LENGTH_BYTE_NOT_BEFORE_TEP),
    ):
        assert twin.negotiate(A23, received) == Outcome(reason, Role.A)
    assert twin.negotiate(A23, B23, mandatory=True) == Outcome(Reason.PEER_NOT_AWARE, Role.A)
    # this host's own vacuous option leaves no valid TEP either
    assert twin.negotiate(NON_SYN, B23) == Outcome(Reason.NO_VALID_TEP, Role.A)


def test_negotiate_refuses_an_ill_formed_own_option(twin: ModuleType) -> None:
    """RFC 8547 section 4.4: what this host sent must be well-formed."""
    with pytest.raises(ValueError, match="sent: the length byte at byte 3"):
        twin.negotiate(H("45042380"), A23)
    with pytest.raises(ValueError, match="sent: the ENO option is empty"):
        Negotiator.active(b"")
