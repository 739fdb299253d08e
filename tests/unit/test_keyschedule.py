"""The key schedule against every intermediate value of the vectors."""

from typing import Any

import pytest
from tcpcrypt_vectors import HANDSHAKES, RESUMED

from pyeno.constants import Aead, Role
from pyeno.errors import LocalProtocolError


def hexed(*names: str, of: dict[str, Any]) -> list[bytes]:
    return [bytes.fromhex(of[name]) for name in names]


def fresh(twin: Any, h: dict[str, Any], role: Role = Role.A, **changes: Any) -> Any:
    es, n_a, transcript, init1, init2 = hexed(
        "es", "nonce_a", "transcript", "init1", "init2", of=h
    )
    inputs = {
        "n_a": n_a, "transcript": transcript, "init1": init1, "init2": init2,
        "tep_byte": h["tep"], "aead": h["aead"], "original_role": role,
    }  # fmt: skip
    return twin.keyschedule.KeySchedule.extract(twin.Secret(es), **(inputs | changes))


def keys_of(generations: Any, count: int) -> list[str]:
    found = []
    for j in range(count):
        assert generations.generation == j
        found.append(generations.traffic_key().export().hex())
        generations.advance()
    return found


HANDSHAKE = HANDSHAKES["sample-0-AES_128_GCM"]


@pytest.mark.rfc(
    "8547:5.1-1",
    "8547:5.1-19",
    "8547:5.1-21",
    "8547:8.6-1",
    "8548:3.3-7",
    "8548:3.3-8",
    "8548:3.3-9",
    "8548:3.3-10",
    "8548:3.3-11",
    "8548:3.4-1",
    "8548:3.5-5",
    "8548:5-1",
)
@pytest.mark.parametrize("label", HANDSHAKES)
def test_fresh_sessions(twin: Any, label: str) -> None:
    """Sections 3.3, 3.4: session ID, traffic keys of each generation."""
    h = HANDSHAKES[label]
    a, b = fresh(twin, h, Role.A), fresh(twin, h, Role.B)
    for schedule in (a, b):
        assert schedule.session_id.hex() == h["session_id"]
        assert (schedule.aead, schedule.next_secret().export().hex()) == (h["aead"], h["ss"][1])
        assert schedule.resumption_id().hex() == h["resume_id"][1]
    count = len(h["k_ab"])
    assert keys_of(a.outgoing(), count) == keys_of(b.incoming(), count) == h["k_ab"]
    assert keys_of(b.outgoing(), count) == keys_of(a.incoming(), count) == h["k_ba"]


@pytest.mark.rfc("8547:5.1-9", "8548:3.3-12", "8548:3.4-1", "8548:3.5-34")
@pytest.mark.parametrize("label", RESUMED)
def test_resumed_sessions(twin: Any, label: str) -> None:
    """Section 3.5: keys follow the original role, not the present one."""
    handshake, session = RESUMED[label]
    for host in ("a", "b"):
        role = Role(session[f"host_{host}_original_role"])
        schedule = twin.keyschedule.KeySchedule.resume(
            twin.Secret(bytes.fromhex(session["ss"])),
            sn=bytes.fromhex(session["sn"]),
            tep_byte=session["tep_byte"],
            aead=handshake["aead"],
            original_role=role,
        )
        assert schedule.original_role is role
        assert schedule.session_id.hex() == session["session_id"]
        sends_with = session[f"host_{host}_sends_with"]
        other = {"k_ab": "k_ba", "k_ba": "k_ab"}[sends_with]
        count = len(session["k_ab"])
        assert keys_of(schedule.outgoing(), count) == session[sends_with]
        assert keys_of(schedule.incoming(), count) == session[other]


@pytest.mark.rfc("8548:3.3-8")
def test_a_chain_of_session_secrets(twin: Any) -> None:
    """ss[2] is the next secret of the session resumed from ss[1]."""
    first = fresh(twin, HANDSHAKE)
    resumed = twin.keyschedule.KeySchedule.resume(
        first.next_secret(), sn=b"", tep_byte=0xA3, aead=1, original_role=Role.A
    )
    assert resumed.next_secret().export().hex() == HANDSHAKE["ss"][2]
    assert resumed.resumption_id().hex() == HANDSHAKE["resume_id"][2]


def test_inputs_are_wiped_when_used(twin: Any) -> None:
    es = twin.Secret(bytes(32))
    twin.keyschedule.KeySchedule.extract(
        es, n_a=bytes(32), transcript=b"", init1=b"", init2=b"", tep_byte=0x23, aead=1,
        original_role=Role.A,
    )  # fmt: skip
    ss = twin.Secret(bytes(32))
    twin.keyschedule.KeySchedule.resume(ss, sn=b"", tep_byte=0xA3, aead=1, original_role=Role.B)
    assert es.wiped and ss.wiped


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"n_a": bytes(31)}, ValueError, "n_a has 31 bytes; 32"),
        ({"n_a": "text"}, TypeError, "bytes-like"),
        ({"init2": None}, TypeError, "bytes-like"),
        ({"aead": 3}, ValueError, "aead 0x0003"),
        ({"aead": 0x10001}, ValueError, "aead 0x10001"),
        ({"tep_byte": 256}, ValueError, "tep_byte is 256"),
        ({"tep_byte": -1}, ValueError, "tep_byte is -1"),
        ({"original_role": "A"}, TypeError, "original_role"),
    ],
)
def test_a_refused_extract_wipes_nothing(
    twin: Any, changes: dict[str, Any], error: type[Exception], match: str
) -> None:
    es = twin.Secret(bytes(32))
    inputs = {
        "n_a": bytes(32), "transcript": b"", "init1": b"", "init2": b"", "tep_byte": 0x23,
        "aead": 1, "original_role": Role.A,
    }  # fmt: skip
    with pytest.raises(error, match=match):
        twin.keyschedule.KeySchedule.extract(es, **(inputs | changes))
    assert not es.wiped


@pytest.mark.parametrize(
    ("size", "sn", "match"),
    [(31, b"", "ss has 31 bytes; 32"), (32, bytes(17), "sn has 17 bytes; 16")],
)
def test_a_refused_resume_wipes_nothing(twin: Any, size: int, sn: bytes, match: str) -> None:
    ss = twin.Secret(bytes(size))
    with pytest.raises(ValueError, match=match):
        twin.keyschedule.KeySchedule.resume(
            ss, sn=sn, tep_byte=0xA3, aead=1, original_role=Role.A
        )
    assert not ss.wiped


def test_used_secrets_are_refused(twin: Any) -> None:
    es = twin.Secret(bytes(32))
    es.wipe()
    with pytest.raises(LocalProtocolError, match="wiped"):
        twin.keyschedule.KeySchedule.resume(
            es, sn=b"", tep_byte=0xA3, aead=1, original_role=Role.A
        )


@pytest.mark.rfc(
    "8547:4.8-2",
    "8547:5-3",
    "8547:5.1-5",
    "8547:5.1-6",
    "8547:5.1-7",
    "8547:5.1-15",
    "8547:5.1-16",
    "8547:5.1-17",
    "8547:5.1-18",
)
def test_every_input_matters(twin: Any) -> None:
    """One bit anywhere gives another session."""
    reference = fresh(twin, HANDSHAKE).session_id
    for name in ("n_a", "transcript", "init1", "init2"):
        vector = "nonce_a" if name == "n_a" else name
        altered = bytearray.fromhex(HANDSHAKE[vector])
        altered[-1] ^= 1
        assert fresh(twin, HANDSHAKE, **{name: altered}).session_id != reference


@pytest.mark.parametrize("aead", list(Aead))
def test_traffic_key_lengths(twin: Any, aead: Aead) -> None:
    """Table 3."""
    key = fresh(twin, HANDSHAKE, aead=aead).outgoing().traffic_key()
    assert len(key) == aead.key_len + aead.nonce_len


def test_both_directions_are_independent(twin: Any) -> None:
    schedule = fresh(twin, HANDSHAKE)
    out, again = schedule.outgoing(), schedule.outgoing()
    out.advance()
    assert (out.generation, again.generation) == (1, 0)
    assert again.traffic_key().export().hex() == HANDSHAKE["k_ab"][0]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("aead", Aead)
def test_both_directions_at_once(twin: Any, aead: Aead, role: Role) -> None:
    """The same as one by one."""
    made = twin.keyschedule.KeySchedule.resume(
        twin.Secret(bytes(range(32))), sn=b"", tep_byte=0xA3, aead=aead, original_role=role
    )
    sending, key, receiving, peer_key = made.directions()
    assert key.export() == made.outgoing().traffic_key().export()
    assert peer_key.export() == made.incoming().traffic_key().export()
    assert key.export() != peer_key.export()
    for generations, one in ((sending, made.outgoing()), (receiving, made.incoming())):
        generations.advance()
        one.advance()
        assert generations.traffic_key().export() == one.traffic_key().export()
    made.wipe()
    with pytest.raises(LocalProtocolError):
        made.directions()


def test_wiped_schedule(twin: Any) -> None:
    """What was taken before lives on; the session ID is no secret."""
    schedule = fresh(twin, HANDSHAKE)
    out = schedule.outgoing()
    schedule.wipe()
    for use in (
        schedule.outgoing, schedule.incoming, schedule.next_secret, schedule.resumption_id,
    ):  # fmt: skip
        with pytest.raises(LocalProtocolError, match="KeySchedule was wiped"):
            use()
    assert schedule.session_id.hex() == HANDSHAKE["session_id"]
    assert repr(schedule) == "<KeySchedule: wiped>"
    assert out.traffic_key().export().hex() == HANDSHAKE["k_ab"][0]
    out.wipe()
    for use in (out.traffic_key, out.advance):
        with pytest.raises(LocalProtocolError, match="Generations was wiped"):
            use()
    assert out.generation == 0 and repr(out) == "<Generations: wiped>"


def test_repr_shows_role_and_generation_only(twin: Any) -> None:
    schedule = fresh(twin, HANDSHAKE, Role.B)
    assert repr(schedule) == "<KeySchedule: original role B>"
    out = schedule.outgoing()
    out.advance()
    assert repr(out) == "<Generations: generation 1>"


def test_cannot_be_made_by_hand(twin: Any) -> None:
    for kind in (twin.keyschedule.KeySchedule, twin.keyschedule.Generations):
        with pytest.raises(TypeError):
            kind()
