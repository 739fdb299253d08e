"""The handshake, cell by cell: RFC 8547 section 4.6.  Both twins."""

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from pyeno import negotiation
from pyeno._values import Outcome
from pyeno.constants import Reason, Role
from pyeno.errors import LocalProtocolError
from pyeno.negotiation import (
    RECEIVED,
    SENT,
    Check,
    EncryptionDisabled,
    Form,
    Negotiator,
    Progress,
    Segment,
)

SYN, SYN_ACK, ACK = Segment
TWINS = {name: import_module(f"pyeno._{name}.negotiation") for name in ("native", "pure")}
H = bytes.fromhex
A23, B23 = H("450323"), H("45040123")
NON_SYN = H("4502")
RESUME = "11" * 17


@pytest.fixture(params=TWINS)
def twin(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """One twin, also beneath the Negotiator."""
    for name in ("choose", "negotiate", "offer"):
        monkeypatch.setattr(negotiation, name, getattr(TWINS[request.param], name))
    yield TWINS[request.param]


def walked(host: Negotiator, script: str) -> None:
    """``<SYN 450323`` is received, ``>SYN 450323`` must be what is sent; - is none."""
    for step in script.split(","):
        segment, _, option = step.strip().partition(" ")
        kind = Segment[segment[1:]]
        if segment[0] == ">":
            assert host.send(kind).hex() == option.replace("-", "")
        else:
            host.receive(kind, [H(o) for o in option.split("+") if o not in ("", "-")])


ENABLED = Outcome(Reason.NEGOTIATED, Role.A, False, 0x23, False, A23 + B23)
FLIPPED = ENABLED._replace(role=Role.B)
OPENED = ">SYN 450323, <SYN_ACK 45040123"
CROSSED = ">SYN 450323, <SYN 45040123"


@pytest.mark.parametrize(
    ("script", "progress", "result"),
    [
        (">SYN 450323", "SYN_SENT", None),
        (">SYN 450323, >SYN 450323, >SYN 450323", "SYN_SENT", None),
        (OPENED, "SYN_ACK_RECEIVED", None),
        (OPENED + ", >ACK 4502", "ACK_SENT", ENABLED),
        (OPENED + ", >ACK 4502, >ACK 4502, >ACK 4502", "ACK_SENT", ENABLED),
        (OPENED + ", >ACK 4502, <ACK -, >ACK -", "ESTABLISHED", ENABLED),
        (OPENED + ", >ACK 4502, <ACK 4502, >ACK -", "ESTABLISHED", ENABLED),
        (OPENED + ", <SYN_ACK -, >ACK 4502, <SYN_ACK -", "ACK_SENT", ENABLED),
        (OPENED + ", >ACK 4502, <ACK -, <SYN_ACK -, <SYN -, <ACK -", "ESTABLISHED", ENABLED),
        (">SYN 450323, <ACK 4502", "SYN_SENT", None),  # TCP drops it
        (">SYN 450323, <SYN_ACK -, >ACK -", "DISABLED", Reason.SYN_ACK_WITHOUT_ENO),
        (">SYN 450323, <SYN_ACK -, <SYN_ACK 45040123, >ACK -", "DISABLED", 4),
        (">SYN 450323, <SYN_ACK 450323, >ACK -", "DISABLED", Reason.SAME_ROLE),
        (">SYN 450323, <SYN_ACK 45040121, >ACK -", "DISABLED", Reason.NO_VALID_TEP),
        (">SYN 450323, <SYN_ACK 450301, >ACK -", "DISABLED", Reason.VACUOUS),
        (">SYN 450323, <SYN_ACK 4505012380, >ACK -", "DISABLED", Reason.LENGTH_BEYOND_END),
        (">SYN 450323, <SYN_ACK 45040123+45040123, >ACK -", "DISABLED", 6),
        # simultaneous open, figure 12
        (CROSSED + ", >SYN_ACK 450323", "SYN_ACK_SENT", None),
        (CROSSED + ", >SYN_ACK 450323, <SYN 45040123", "SYN_ACK_SENT", None),
        (
            CROSSED + ", >SYN_ACK 450323, <SYN_ACK 45040123, >ACK 4502",
            "ACK_SENT",
            ENABLED,
        ),
        (
            CROSSED + ", >SYN_ACK 450323, >ACK 4502, <ACK 4502, >ACK -",
            "ESTABLISHED",
            ENABLED,
        ),
        (CROSSED + ", <SYN_ACK 45040123, >ACK 4502", "ACK_SENT", ENABLED),
        (CROSSED, "SYN_RECEIVED", None),
        (CROSSED + ", <SYN 45040123", "SYN_RECEIVED", None),
        (CROSSED + ", <SYN 45040223, >SYN_ACK -", "DISABLED", Reason.SYN_CHANGED),
        (CROSSED + ", <SYN_ACK 45040123", "SYN_ACK_RECEIVED", None),
        (CROSSED + ", <SYN_ACK 45040323, >ACK -", "DISABLED", Reason.SYN_CHANGED),
        (CROSSED + ", <SYN_ACK -, >ACK -", "DISABLED", Reason.SYN_ACK_WITHOUT_ENO),
        (CROSSED + ", >SYN_ACK 450323, >ACK 4502", "SYN_ACK_SENT", None),
        (">SYN 450323, <SYN -, >SYN -, >SYN_ACK -", "DISABLED", Reason.SYN_WITHOUT_ENO),
        (">SYN 450323, <SYN 450323, >SYN_ACK -", "DISABLED", Reason.SAME_ROLE),
        (
            CROSSED + ", >SYN_ACK 450323, <SYN_ACK 4505012321, >ACK -",
            "DISABLED",
            Reason.SYN_CHANGED,
        ),
        (
            CROSSED + ", >SYN_ACK 450323, <SYN_ACK -, >ACK -",
            "DISABLED",
            Reason.SYN_ACK_WITHOUT_ENO,
        ),
    ],
)
def test_active_opener(twin: ModuleType, script: str, progress: str, result: Any) -> None:
    """RFC 8547 section 4.6, figures 9-12 from the active opener's side."""
    host = Negotiator.active(twin.offer([0x23]))
    walked(host, script)
    assert host.progress is Progress[progress]
    assert host.result == (EncryptionDisabled(result) if isinstance(result, int) else result)
    assert host.enabled is isinstance(result, Outcome)


ACCEPTED = "<SYN 450323, >SYN_ACK 45040123"


@pytest.mark.parametrize(
    ("script", "progress", "result"),
    [
        ("<SYN 450323", "SYN_RECEIVED", None),
        (ACCEPTED, "SYN_ACK_SENT", None),
        (
            ACCEPTED + ", <SYN 450323, >SYN_ACK 45040123, >SYN_ACK 45040123",
            "SYN_ACK_SENT",
            None,
        ),
        (ACCEPTED + ", <ACK 4502, >ACK -", "ESTABLISHED", FLIPPED),
        (ACCEPTED + ", <ACK 450423ff, >ACK -", "ESTABLISHED", FLIPPED),
        (ACCEPTED + ", <ACK 4502+4502", "ESTABLISHED", FLIPPED),
        (ACCEPTED + ", >ACK 4502, <ACK 4502, <ACK -", "ESTABLISHED", FLIPPED),
        (ACCEPTED + ", <ACK 4502, <SYN -", "ESTABLISHED", FLIPPED),
        (ACCEPTED + ", <ACK -, >ACK -, <ACK 4502", "DISABLED", Reason.ACK_WITHOUT_ENO),
        (ACCEPTED + ", <SYN -, >SYN_ACK -, <ACK 4502", "DISABLED", Reason.SYN_CHANGED),
        (ACCEPTED + ", <SYN 45042123, >SYN_ACK -", "DISABLED", Reason.SYN_CHANGED),
        ("<SYN 450323, <SYN -, >SYN_ACK -", "DISABLED", Reason.SYN_CHANGED),
        (ACCEPTED + ", <SYN 450323+450323, >SYN_ACK -", "DISABLED", Reason.REPEATED_OPTION),
        ("<SYN -, >SYN_ACK -, <SYN 450323, >SYN_ACK -", "DISABLED", Reason.SYN_WITHOUT_ENO),
        ("<SYN 450323+450321, >SYN_ACK -", "DISABLED", Reason.REPEATED_OPTION),
        ("<SYN 4502, >SYN_ACK -", "DISABLED", Reason.VACUOUS),
        ("<SYN 45040123, >SYN_ACK -", "DISABLED", Reason.SAME_ROLE),
        ("<SYN 450330, >SYN_ACK -", "DISABLED", Reason.NO_VALID_TEP),
        ("<SYN 45042380, >SYN_ACK -", "DISABLED", Reason.LENGTH_BEYOND_END),
        ("<SYN 450480ff, >SYN_ACK -", "DISABLED", Reason.LENGTH_BEYOND_END),
        ("<SYN 45048023, >SYN_ACK -", "DISABLED", Reason.LENGTH_BYTE_NOT_BEFORE_TEP),
        ("<ACK 4502", "PASSIVE_OPENED", None),
    ],
)
def test_passive_opener(twin: ModuleType, script: str, progress: str, result: Any) -> None:
    """RFC 8547 section 4.6, figures 9-11 from the passive opener's side."""
    host = Negotiator.passive([0x21, 0x23])
    walked(host, script)
    assert host.progress is Progress[progress]
    assert host.result == (EncryptionDisabled(result) if isinstance(result, int) else result)


def test_mandatory_awareness(twin: ModuleType) -> None:
    """RFC 8547 section 4.2: disabled if the remote host does not set a = 1."""
    for aware, reason in ((False, Reason.PEER_NOT_AWARE), (True, None)):
        host = Negotiator.passive([0x23], aware=True, mandatory=True)
        host.receive(SYN, [twin.offer([0x23], aware=aware)])
        assert host.result == (EncryptionDisabled(reason) if reason else None)
    host = Negotiator.active(twin.offer([0x23], aware=True), mandatory=True)
    host.send(SYN)
    assert host.receive(SYN_ACK, [B23]) == EncryptionDisabled(Reason.PEER_NOT_AWARE)


def test_answer_from_the_application(twin: ModuleType) -> None:
    """RFC 8548 section 3.5: a passive opener that resumes; RFC 8547 section 4.2: b = 1."""
    a, b = H("4514a3" + RESUME), H("451501a3" + RESUME)
    seen: list[bytes] = []
    host = Negotiator.passive(answer=lambda option: seen.append(option) or b)  # type: ignore[func-returns-value]
    host.receive(SYN, [a])
    assert (seen, host.send(SYN_ACK)) == ([a], b)
    assert host.receive(ACK, [NON_SYN]) == Outcome(
        Reason.NEGOTIATED, Role.B, False, 0xA3, True, a + b
    )
    host = Negotiator.passive(answer=lambda _: b"")
    assert host.receive(SYN, [a]) == EncryptionDisabled(Reason.NO_VALID_TEP)
    for wrong, error in ((A23, LocalProtocolError), (b"\x45", ValueError)):
        host = Negotiator.passive(answer=lambda _, wrong=wrong: wrong)
        with pytest.raises(error):
            host.receive(SYN, [a])
        assert (host.progress, host.result) == (Progress.PASSIVE_OPENED, None)
    host = Negotiator.passive(answer=lambda _: pytest.fail("asked about a vacuous option"))
    assert host.receive(SYN, [NON_SYN]) == EncryptionDisabled(Reason.VACUOUS)


def test_withdraw(twin: ModuleType) -> None:
    """RFC 8547 section 4.6: an active opener MAY remove ENO between SYN retransmissions."""
    host = Negotiator.active(A23)
    walked(host, ">SYN 450323")
    assert host.withdraw() == EncryptionDisabled(Reason.UNAVAILABLE)
    walked(host, ">SYN -, <SYN_ACK 45040123, >ACK -")
    for late in (Negotiator.passive([0x23]), Negotiator.active(A23)):
        if late.progress is Progress.ACTIVE_OPENED:
            walked(late, OPENED)
        before = late.progress
        with pytest.raises(LocalProtocolError, match=before.name):
            late.withdraw()
        assert late.progress is before


def reached(progress: Progress) -> Negotiator:
    """A host in this state."""
    scripts = {
        Progress.SYN_SENT: ">SYN 450323",
        Progress.SYN_RECEIVED: CROSSED,
        Progress.SYN_ACK_SENT: CROSSED + ", >SYN_ACK 450323",
        Progress.SYN_ACK_RECEIVED: OPENED,
        Progress.ACK_SENT: OPENED + ", >ACK 4502",
        Progress.ESTABLISHED: OPENED + ", >ACK 4502, <ACK -",
        Progress.DISABLED: ">SYN 450323, <SYN_ACK -",
    }
    if progress is Progress.PASSIVE_OPENED:
        return Negotiator.passive([0x23])
    host = Negotiator.active(A23)
    if progress in scripts:
        walked(host, scripts[progress])
    assert host.progress is progress
    return host


@pytest.mark.parametrize("progress", Progress)
@pytest.mark.parametrize("segment", Segment)
def test_every_cell_of_the_table(progress: Progress, segment: Segment) -> None:
    """RFC 8547 section 4.6: the rows decide, and what has no row changes nothing."""
    host = reached(progress)
    before = host.result
    if (progress, segment) in SENT:
        form, to = SENT[progress, segment]
        forms = {Form.SYN_FORM: A23, Form.NON_SYN_FORM: NON_SYN, Form.NONE: b""}
        assert (host.send(segment), host.progress) == (forms[form], to)
    else:
        with pytest.raises(LocalProtocolError, match=progress.name):
            host.send(segment)
        assert (host.progress, host.result) == (progress, before)
    host = reached(progress)
    row = RECEIVED.get((progress, segment))
    host.receive(segment, [])
    if row is None:
        assert (host.progress, host.result) == (progress, before)
    elif row.check is Check.NOTHING:
        assert host.progress is row.to
    else:
        assert row.missing and host.result == EncryptionDisabled(row.missing)


def test_results_are_frozen() -> None:
    """RFC 8547 section 4.6: an outcome is a value."""
    for value, name in ((ENABLED, "tep_byte"), (EncryptionDisabled(Reason.VACUOUS), "reason")):
        with pytest.raises(AttributeError):
            setattr(value, name, 0)
