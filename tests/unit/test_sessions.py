"""A cached session: what names it, whom it answers, what it gives (RFC 8548 section 3.5)."""

from typing import Any

import pytest
from tcpcrypt_vectors import RESUMED

from pyeno import Aead, Reason, Role, negotiation, option
from pyeno._values import Outcome, Suboption
from pyeno.errors import LocalProtocolError
from pyeno.tcpcrypt.agreement import Secret
from pyeno.tcpcrypt.sessions import Session

HALVES = bytes(range(18))
A_HALF, B_HALF = HALVES[:9], HALVES[9:]
SS = bytes(range(100, 132))


def session(role: Role, **changes: Any) -> Session:
    inputs = {
        "tep": 0x23, "aead": Aead.AES_128_GCM, "original_role": role,
        "identifier": HALVES, "ss": Secret(SS),
    }  # fmt: skip
    return Session(**(inputs | changes))


def outcome(role: Role, *, a_was: Role, nonces: tuple[bytes, bytes] = (b"", b"")) -> Outcome:
    """Today's host A played ``a_was`` in the original session."""
    halves = (A_HALF, B_HALF) if a_was is Role.A else (B_HALF, A_HALF)
    subs = [Suboption(0x23, True, half + n) for half, n in zip(halves, nonces, strict=True)]
    a, b = option.encode([0x24, subs[0]]), option.encode([subs[1]], global_suboption=1)
    mine, theirs = (a, b) if role is Role.A else (b, a)
    made = negotiation.negotiate(mine, theirs)
    assert made.reason is Reason.NEGOTIATED and made.resumed and made.role is role
    return made


@pytest.mark.rfc("8548:3.5-1", "8548:3.5-6", "8548:3.5-7", "8548:3.5-8", "8548:3.5-9")
@pytest.mark.parametrize(("role", "half"), [(Role.A, A_HALF), (Role.B, B_HALF)])
def test_a_host_sends_its_half(role: Role, half: bytes) -> None:
    """Figures 2 and 3."""
    it = session(role)
    assert it.local_half == half and it.remote_half == session(role.opposite).local_half
    for size in range(9):
        suboption = it.suboption(bytes(size))
        assert suboption == Suboption(0x23, True, half + bytes(size))
        assert session(role.opposite).names(suboption)
        assert not it.names(suboption)
    with pytest.raises(ValueError, match="nonce has 9 bytes"):
        it.suboption(bytes(9))


@pytest.mark.parametrize(
    "other",
    [
        Suboption(0x23, False),
        Suboption(0x24, True, B_HALF),
        Suboption(0x23, True, B_HALF[:8]),
        Suboption(0x23, True, B_HALF + bytes(9)),
        Suboption(0x23, True, B_HALF[:8] + b"x"),
        Suboption(0x23, True, A_HALF + bytes(8)),
    ],
)
def test_another_suboption_does_not_name_it(other: Suboption) -> None:
    """Of another TEP, too short or long, of another session, or one's own half."""
    assert not session(Role.A).names(other)


@pytest.mark.parametrize("label", [x for x in RESUMED if "option_a" in RESUMED[x][1]])
def test_vectors(label: str) -> None:
    """Both hosts, roles kept and swapped: the identifier, the keys, the session ID."""
    handshake, vector = RESUMED[label]
    a, b = bytes.fromhex(vector["option_a"]), bytes.fromhex(vector["option_b"])
    for host, mine, theirs in (("a", a, b), ("b", b, a)):
        made = negotiation.negotiate(mine, theirs)
        original = Role(vector[f"host_{host}_original_role"])
        ss = Secret(bytes.fromhex(vector["ss"]))
        it = Session.named(made, handshake["aead"], original, ss)
        assert it.identifier.hex() == vector["resume_id"]
        assert it.names(option.parse(theirs).teps[-1])
        schedule = it.schedule(made)
        assert schedule.session_id.hex() == vector["session_id"]
        key = schedule.outgoing().traffic_key().export().hex()
        assert key == vector[vector[f"host_{host}_sends_with"]][0]
        assert it.ss.wiped and ss.wiped
        following = Session.after(schedule, made.tep_byte)
        assert (following.tep, following.aead) == (handshake["tep"], handshake["aead"])
        assert following.original_role is original
        if vector["i"] + 1 < len(handshake["ss"]):
            place = vector["i"] + 1
            assert following.ss.export().hex() == handshake["ss"][place]
            assert following.identifier.hex() == handshake["resume_id"][place]


@pytest.mark.rfc("8548:3.5-20")
def test_sn_goes_by_the_original_roles() -> None:
    """sn[i] = nonce_a | nonce_b, whoever opens today."""
    for a_was in Role:
        ids = []
        for role, original in ((Role.A, a_was), (Role.B, a_was.opposite)):
            made = outcome(role, a_was=a_was, nonces=(b"first", b"second"))
            ids.append(session(original).schedule(made).session_id)
        assert ids[0] == ids[1]
    kept = outcome(Role.A, a_was=Role.A, nonces=(b"x", b"yz"))
    swapped = outcome(Role.A, a_was=Role.B, nonces=(b"yz", b"x"))
    sn_is_the_same = session(Role.A).schedule(kept), session(Role.B).schedule(swapped)
    assert sn_is_the_same[0].session_id == sn_is_the_same[1].session_id


def test_only_what_was_negotiated() -> None:
    """A session that the hosts did not name keeps its secret."""
    made = outcome(Role.A, a_was=Role.A)
    for other in (
        session(Role.A, identifier=HALVES[::-1]),
        session(Role.B),
        session(Role.A, tep=0x24),
    ):
        with pytest.raises(LocalProtocolError, match="another session"):
            other.schedule(made)
        assert not other.ss.wiped
    fresh = negotiation.negotiate(bytes.fromhex("450323"), bytes.fromhex("45040123"))
    with pytest.raises(LocalProtocolError, match="fresh key exchange"):
        session(Role.A).schedule(fresh)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"identifier": bytes(17)}, "identifier has 17 bytes; 18"),
        ({"ss": Secret(b"short")}, "ss has 5 bytes; 32"),
        ({"aead": 7}, "7 is not a valid Aead"),
    ],
)
def test_impossible_sessions(change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        session(Role.A, **change)


def test_shows_no_secret() -> None:
    it = session(Role.B)
    assert repr(it) == "<Session: TEP 0x23, AES_128_GCM, original role B>"
    it.wipe()
    assert it.ss.wiped and repr(it) == "<Session: TEP 0x23, AES_128_GCM, wiped>"
