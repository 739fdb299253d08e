"""The test vectors of tests/vectors, made by the oracle from fixed inputs.

Everything random is shake_256 of a label, so that a run anywhere gives the same bytes.
The format is described in tests/vectors/README.md.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from . import eno, init, keys
from .frames import DATA_MAX, Sealer, nonce
from .scheme import SCHEMES

Json = dict[str, Any]


def derived(label: str, length: int) -> bytes:
    """A fixed value that looks random."""
    return hashlib.shake_256(b"oracle " + label.encode()).digest(length)


def pattern(length: int) -> bytes:
    """What {"pattern": length} stands for."""
    return hashlib.shake_256(b"oracle data").digest(length)


def shortened(raw: bytes) -> str | Json:
    """Hex, or for a long value its length, hash and both ends."""
    if len(raw) <= 512:
        return raw.hex()
    return {
        "length": len(raw),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "first": raw[:32].hex(),
        "last": raw[-32:].hex(),
    }


# name, bytes of data, FINp, urgent field, rekey
Plan = Sequence[tuple[str, int, bool, int | None, bool]]
FULL: Plan = (
    ("empty", 0, False, None, False),
    ("one byte", 1, False, None, False),
    ("100 bytes", 100, False, None, False),
    ("16 KiB", 16384, False, None, False),
    ("URGp, last urgent byte is data[4]", 10, False, 4, False),
    ("URGp, index beyond this frame", 3, False, 300, False),
    ("largest", DATA_MAX, False, None, False),
    ("largest with URGp", DATA_MAX - 2, False, 0, False),
    ("rekey with data", 100, False, None, True),
    ("same generation", 1, False, None, False),
    ("empty rekey", 0, False, None, True),
    ("FINp with data", 5, True, None, False),
)
EMPTY_FIN: Plan = (
    ("100 bytes", 100, False, None, False),
    ("rekey with data", 100, False, None, True),
    ("FINp, empty", 0, True, None, False),
)
REKEY_FIN: Plan = (("all at once: rekey, URGp and FINp", 8, True, 7, True),)


def frames(aead: int, mk: bytes, sends_ab: bool, offset: int, plan: Plan) -> list[Json]:
    """One direction's frames from `offset` on; reserved bits are zero."""
    sealer = Sealer(aead, mk, sends_ab, offset)
    out: list[Json] = []
    app_offset = 0
    for name, size, fin, urgent, rekey in plan:
        at = sealer.offset
        raw = sealer.seal(pattern(size), fin=fin, urgent=urgent, rekey=rekey)
        out.append(
            {
                "name": name,
                "data": {"pattern": size},
                "fin": fin,
                "urgent": urgent,
                "rekey": rekey,
                "generation": sealer.generation,
                "offset": at,
                "app_offset": app_offset,
                "urgent_index": None if urgent is None else app_offset + urgent,
                "nonce": nonce(aead, sealer.traffic_key, at).hex(),
                "aad": raw[:3].hex(),
                "frame": shortened(raw),
            }
        )
        app_offset += size
    return out


def schedule(ss: bytes, sn: bytes, aead: int, generations: int) -> tuple[Json, bytes]:
    """mk[j], k_ab[j] and k_ba[j]; also returns mk[0]."""
    mk = [keys.first_master_key(ss, sn)]
    while len(mk) < generations:
        mk.append(keys.next_master_key(mk[-1]))
    pairs = [keys.traffic_keys(key, aead) for key in mk]
    values: Json = {
        "mk": [key.hex() for key in mk],
        "k_ab": [ab.hex() for ab, _ in pairs],
        "k_ba": [ba.hex() for _, ba in pairs],
    }
    return values, mk[0]


def key_log(name: bytes, aead: int, values: Json) -> list[str]:
    """A line for each direction and generation; `name` is N_A or, resumed, the identifier."""
    return [
        f"TCPCRYPT {name.hex()} {aead:04x} {way} {j} {key}"
        for way in ("ab", "ba")
        for j, key in enumerate(values[f"k_{way}"])
    ]


def resumed(
    tep: int, aead: int, i: int, ss: bytes, a_was: str, label: str,
    nonce_lens: tuple[int, int] = (8, 7), plans: tuple[Plan, Plan] = (EMPTY_FIN, REKEY_FIN),
) -> Json:  # fmt: skip
    """A session resumed with ss[i]; `a_was` is the original role of today's host A."""
    session_a = keys.Session(tep, aead, a_was, i, ss)
    session_b = keys.Session(tep, aead, "B" if a_was == "A" else "A", i, ss)
    nonce_a, nonce_b = (
        derived(f"{label} {x}", n) for x, n in zip("AB", nonce_lens, strict=True)
    )
    option_a = eno.encode([eno.Suboption(tep, 1, session_a.local_half + nonce_a)])
    option_b = eno.encode([eno.Suboption(tep, 1, session_b.local_half + nonce_b)], 1)
    sn = session_a.sn(nonce_a, nonce_b)
    values, mk = schedule(ss, sn, aead, 2)
    a_sends_ab = a_was == "A"
    return {
        "i": i,
        "ss": ss.hex(),
        "resume_id": session_a.identifier.hex(),
        "host_a_original_role": session_a.original_role,
        "host_b_original_role": session_b.original_role,
        "option_a": option_a.hex(),
        "option_b": option_b.hex(),
        "tep_byte": 0x80 | tep,
        "sn": sn.hex(),
        **values,
        "session_id": keys.session_id(0x80 | tep, ss, sn).hex(),
        "host_a_sends_with": "k_ab" if a_sends_ab else "k_ba",
        "host_b_sends_with": "k_ba" if a_sends_ab else "k_ab",
        "key_log": key_log(session_a.identifier, aead, values),
        "frames_from_a": frames(aead, mk, a_sends_ab, 0, plans[0]),
        "frames_from_b": frames(aead, mk, not a_sends_ab, 0, plans[1]),
    }


def handshake(tep: int, aead: int, ignored: bytes, plans: tuple[Plan, Plan]) -> Json:
    """A fresh key agreement, every intermediate value, and what can be resumed from it."""
    scheme = SCHEMES[tep]
    label = f"{scheme.name} {keys.AEADS[aead][0]} {len(ignored)}"
    option_a, option_b = eno.encode([0x24, tep] if tep != 0x24 else [tep]), eno.encode([tep], 1)
    negotiated = eno.negotiate(option_a, option_b)
    private_a = scheme.private(derived(label + " private A", scheme.private_len))
    private_b = scheme.private(derived(label + " private B", scheme.private_len))
    nonce_a, nonce_b = derived(label + " N_A", 32), derived(label + " N_B", 32)
    public_a, public_b = scheme.public(private_a), scheme.public(private_b)
    ciphers = (0x7F01, aead)
    init1 = init.encode_init1(ciphers, nonce_a, public_a, ignored=ignored)
    init2 = init.encode_init2(aead, nonce_b, public_b, ignored=ignored[::-1])
    es = scheme.shared(private_a, public_b)
    assert es == scheme.shared(private_b, public_a)
    ss = [keys.prk(nonce_a, negotiated.transcript, init1, init2, es)]
    ss += [keys.next_secret(ss[0])]
    ss += [keys.next_secret(ss[1])]
    values, mk = schedule(ss[0], b"", aead, 3)
    return {
        "tep": tep,
        "tep_name": scheme.name,
        "aead": aead,
        "aead_name": keys.AEADS[aead][0],
        "option_a": option_a.hex(),
        "option_b": option_b.hex(),
        "transcript": negotiated.transcript.hex(),
        "private_a": private_a.hex(),
        "private_b": private_b.hex(),
        "public_a": public_a.hex(),
        "public_b": public_b.hex(),
        "nonce_a": nonce_a.hex(),
        "nonce_b": nonce_b.hex(),
        "ciphers_a": list(ciphers),
        "ignored_a": ignored.hex(),
        "ignored_b": ignored[::-1].hex(),
        "init1": init1.hex(),
        "init2": init2.hex(),
        "es": es.hex(),
        "prk": ss[0].hex(),
        "ss": [secret.hex() for secret in ss],
        **values,
        "session_id": keys.session_id(negotiated.tep_byte, ss[0]).hex(),
        "resume_id": [None, *(keys.resume_id(secret).hex() for secret in ss[1:])],
        "key_log": key_log(nonce_a, aead, values),
        "frames_ab": frames(aead, mk, True, len(init1), plans[0]),
        "frames_ba": frames(aead, mk, False, len(init2), plans[1]),
        "resumed_roles_kept": resumed(tep, aead, 1, ss[1], "A", label + " kept"),
        "resumed_roles_swapped": resumed(tep, aead, 2, ss[2], "B", label + " swapped"),
    }


ABOUT = (
    "Made by ci/vectors from tests/oracle, a reading of RFC 8547 and RFC 8548 that shares no "
    "code with pyeno. The format is in README.md beside this file."
)


def tcpcrypt(tep: int) -> Json:
    """The file for one TEP: each AEAD, and one handshake with `ignored` bytes."""
    shakes = [handshake(tep, aead, b"", (FULL, FULL)) for aead in keys.AEADS]
    shakes.append(handshake(tep, 0x0001, derived("ignored", 5), (EMPTY_FIN, REKEY_FIN)))
    return {"about": ABOUT, "tep": tep, "handshakes": shakes}


def files() -> dict[str, str]:
    """File name -> contents, for every file that ci/vectors owns."""
    from .vectors_eno import negotiation
    from .vectors_refused import refused
    from .vectors_sessions import rekey, resumption

    out = {f"tcpcrypt-{tep:#04x}.json": tcpcrypt(tep) for tep in SCHEMES}
    for name, made in (
        ("eno", negotiation), ("resumption", resumption), ("rekey", rekey), ("refused", refused)
    ):  # fmt: skip
        out[f"{name}.json"] = {"about": ABOUT, **made()}
    return {name: json.dumps(value, indent=1) + "\n" for name, value in out.items()}
