"""pyeno's answers to check.py, by way of what it exports.

PRK, ss[0] and mk[j] never leave its key schedule and stay unanswered.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyeno import Config, Role, option
from pyeno._values import Outcome
from pyeno.constants import N_B_LEN, Aead, Reason
from pyeno.errors import IllFormedOptionError, RemoteProtocolError
from pyeno.events import Rekeyed
from pyeno.negotiation import negotiate
from pyeno.tcpcrypt.agreement import Secret
from pyeno.tcpcrypt.connection import Connection
from pyeno.tcpcrypt.framer import Opener, Sealer
from pyeno.tcpcrypt.handshake import Handshake
from pyeno.tcpcrypt.keylog import KeyLog
from pyeno.tcpcrypt.keyschedule import KeySchedule
from pyeno.tcpcrypt.messages import (
    Init1,
    Init2,
    encode_init1,
    encode_init2,
    parse_init1,
    parse_init2,
)
from pyeno.tcpcrypt.schemes import bare_public, encode_public, generate

Json = dict[str, Any]
H = bytes.fromhex

# what pyeno says of a peer, in the vectors' words
WORDS = {
    ": magic at": "bad-magic",
    "message_len": "short-init",
    "has none of": "no-common-cipher",
    "not offered": "cipher-not-offered",
    "FINp": "after-finp",
    "flags": "no-flags",
    "urgent": "no-urgent-field",
    "authentic": "authentication-failed",
}


class Unsupported(Exception):
    """Nothing pyeno would do."""


def refusal(error: RemoteProtocolError) -> Json:
    reasons = [reason for words, reason in WORDS.items() if words in str(error)]
    return {"ok": False, "reason": reasons[0] if reasons else str(error)}


class Fixed:
    """Randomness that was decided beforehand."""

    def __init__(self, private: bytes, nonce: bytes = b"") -> None:
        self._private, self._nonce = private, nonce

    def public(self, size: int) -> bytes:
        return self._nonce or bytes(size)

    def secret(self, size: int) -> Secret:
        assert size == len(self._private)
        return Secret(self._private)


# -- RFC 8547


def described(raw: bytes) -> Json:
    try:
        parsed = option.parse(raw)
    except IllFormedOptionError as error:
        return {"ok": False, "error": error.reason.slug}
    return {
        "ok": True,
        "global": parsed.global_suboption,
        "explicit_global": parsed.explicit_global,
        "a": int(parsed.a),
        "b": int(parsed.b),
        "z": parsed.z,
        "vacuous": parsed.vacuous,
        "teps": [
            {"tep": sub.tep, "v": int(sub.v), "data": sub.data.hex(),
             "length_byte": sub.length_byte}
            for sub in parsed.teps
        ],
    }  # fmt: skip


def parse(q: Json) -> Json:
    return described(H(q["option"]))


def parse_syn(q: Json) -> Json:
    found = option.find(H(q["tcp_options"]))
    if len(found) != 1:
        return {"ok": False, "error": "multiple" if found else "missing"}
    return described(found[0])


def disabled(reason: Reason, own: bytes, remote: int) -> str:
    """The reason, told by a host about the other, which has that number."""
    if reason is Reason.SAME_ROLE:
        return f"same-b-{int(option.parse(own).b)}"
    if reason is Reason.PEER_NOT_AWARE:
        return f"not-aware-{remote}"
    if reason in (Reason.VACUOUS, Reason.NO_VALID_TEP):
        return "no-valid-tep"
    return f"{reason.slug}-{remote}"


def awaited(own: bytes, sessions: list[str]) -> bytes | None:
    """The identifier half that answers what an active opener proposes."""
    for sub in option.parse(own).teps:
        for halves in sessions:
            for half, other in ((halves[:18], halves[18:]), (halves[18:], halves[:18])):
                if sub.data[:9].hex() == half:
                    return H(other)
    return None


def negotiated(q: Json) -> Json:
    options = [None if q[name] is None else H(q[name]) for name in ("option_1", "option_2")]
    outcomes: list[Outcome] = []
    for host, own in enumerate(options):
        remote = options[1 - host]
        if own is None:
            return {"ok": False, "reason": f"missing-{host + 1}"}
        try:
            option.parse(own)
        except IllFormedOptionError as error:
            return {"ok": False, "reason": f"{error.reason.slug}-{host + 1}"}
        if remote is None:
            return {"ok": False, "reason": f"missing-{2 - host}"}
        active = q["passive"] != host + 1
        half = awaited(own, q["sessions"]) if active else None
        outcome = negotiate(own, remote, mandatory=q["mandatory_aware"][host], remote_half=half)
        if outcome.reason:
            return {"ok": False, "reason": disabled(outcome.reason, own, 2 - host)}
        outcomes.append(outcome)
    first, second = outcomes
    tcpcrypt = first.tep_byte & 0x7F in range(0x21, 0x25)
    fresh = "fresh" if tcpcrypt else "other"
    return {
        "ok": True,
        "tep": first.tep_byte & 0x7F,
        "tep_byte": first.tep_byte,
        "roles": [outcome.role.value for outcome in outcomes],
        "transcript": first.transcript.hex(),
        "a_bits": [int(second.peer_aware), int(first.peer_aware)],
        "mode": "resume" if first.resumed else fresh,
    }


# -- RFC 8548: the key exchange


def public_key(q: Json) -> Json:
    pair = generate(q["tep"], Fixed(H(q["private"])))
    return {"public": encode_public(q["tep"], pair.public).hex()}


def exchange(q: Json) -> Json:
    """With a Pub field as it came in an Init message."""
    message = encode_init2(Init2(Aead.AES_128_GCM, bytes(N_B_LEN), H(q["public"])))
    pair = generate(q["tep"], Fixed(H(q["private"])))
    try:
        public = bare_public(q["tep"], parse_init2(message, q["tep"]).pub_b)
        return {"ok": True, "es": pair.exchange(public).export().hex()}
    except RemoteProtocolError:
        return {"ok": False, "reason": "bad-public-key"}


def encode_init(q: Json) -> Json:
    nonce, public = H(q["nonce"]), H(q["public"])
    if q["message"] == 1:
        return {"stream": encode_init1(Init1(tuple(q["ciphers"]), nonce, public)).hex()}
    return {"stream": encode_init2(Init2(q["ciphers"][0], nonce, public)).hex()}


def take_init(q: Json) -> Json:
    role = Role.B if q["message"] == 1 else Role.A
    shake = Handshake(role=role, tep=q["tep"], aeads=tuple(q["aeads"]), randomness=Anything())
    shake.start()
    try:
        done = shake.receive(H(q["stream"]))
    except RemoteProtocolError as error:
        return refusal(error)
    if done is None:
        return {"ok": True, "complete": False}
    agreed = done[0]
    told: Json = {"ok": True, "complete": True, "cipher": agreed.aead}
    if role is Role.B:
        one = parse_init1(agreed.init1, q["tep"])
        return told | {
            "length": len(agreed.init1), "nonce": one.n_a.hex(), "public": one.pub_a.hex()
        }  # fmt: skip
    two = parse_init2(agreed.init2, q["tep"])
    return told | {
        "length": len(agreed.init2), "nonce": two.n_b.hex(), "public": two.pub_b.hex()
    }  # fmt: skip


class Anything:
    """Randomness that does not matter."""

    def public(self, size: int) -> bytes:
        return bytes(size)

    def secret(self, size: int) -> Secret:
        return Secret.random(size)


# -- keys


def traffic_keys(schedule: KeySchedule, generations: int) -> Json:
    told: Json = {"session_id": schedule.session_id.hex()}
    for name, way in (("k_ab", schedule.outgoing()), ("k_ba", schedule.incoming())):
        told[name] = []
        for _ in range(generations):
            told[name].append(way.traffic_key().export().hex())
            way.advance()
    return told


def schedule(q: Json) -> Json:
    first = KeySchedule.extract(
        Secret(H(q["es"])), n_a=H(q["nonce_a"]), transcript=H(q["transcript"]),
        init1=H(q["init1"]), init2=H(q["init2"]), tep_byte=q["tep_byte"], aead=q["aead"],
        original_role=Role.A,
    )  # fmt: skip
    told = traffic_keys(first, q["generations"])
    ss, names = [None], [None]
    made = first
    while len(ss) < q["sessions"]:
        ss.append(made.next_secret().export().hex())
        names.append(made.resumption_id().hex())
        made = KeySchedule.resume(
            made.next_secret(), sn=b"", tep_byte=q["tep_byte"], aead=q["aead"],
            original_role=Role.A,
        )  # fmt: skip
    return told | {"ss": ss, "resume_id": names}


def resume(q: Json) -> Json:
    nonces = [option.parse(H(q[name])).teps[-1].data[9:] for name in ("option_a", "option_b")]
    sn = b"".join(nonces if q["host_a_original_role"] == "A" else nonces[::-1])
    made = KeySchedule.resume(
        Secret(H(q["ss"])), sn=sn, tep_byte=q["tep_byte"], aead=q["aead"],
        original_role=Role.A,
    )  # fmt: skip
    return traffic_keys(made, q["generations"]) | {"sn": sn.hex()}


def key_log(q: Json) -> Json:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "log")
        log = KeyLog(path, H(q["name"]), q["aead"], Role.A)
        log.write(q["way"], q["generation"], Secret(H(q["key"])))
        return {"line": path.read_text().rstrip("\n")}


# -- frames


def seal(q: Json) -> Json:
    data, urgent = H(q["data"]), q["urgent"]
    if urgent is not None and urgent >= len(data):
        raise Unsupported("an urgent index beyond its frame")
    sealer = Sealer(q["aead"], Secret(H(q["key"])), q["offset"])
    if q["rekey"]:
        sealer.rekey(Secret(H(q["key"])))
    return {"frame": sealer.seal(data, fin=q["fin"], urgent=urgent).hex()}


def opened(q: Json) -> Json:
    opener = Opener(q["aead"], Secret(H(q["keys"][0])), q["offset"])
    data = bytearray()
    told: Json = {"ok": True}
    try:
        opener.feed(H(q["stream"]))
        while part := opener.read(1 << 16) or next_key(q, opener):
            data += part
        told["fin"] = opener.finished
    except RemoteProtocolError as error:
        told = refusal(error)
    return told | {"data": data.hex(), "generation": opener.generation}


def next_key(q: Json, opener: Opener) -> bytes:
    """What there is to read once a rekey has its key."""
    part = b""
    while not part and opener.rekey_wanted:
        opener.rekey(Secret(H(q["keys"][opener.generation + 1])))
        part = opener.read(1 << 16)
    return part


def dialogue(q: Json) -> Json:
    transcript = H(q["option_a"] + q["option_b"])
    hosts = {
        host: Connection(
            Outcome(Reason.NEGOTIATED, role, tep_byte=q["tep"], transcript=transcript),
            Config(aeads=(Aead(q["aead"]),)),
            randomness=Fixed(H(q[f"private_{host}"]), H(q[f"nonce_{host}"])),
        )
        for host, role in (("a", Role.A), ("b", Role.B))
    }
    hosts["b"].receive_data(hosts["a"].data_to_send())
    hosts["a"].receive_data(hosts["b"].data_to_send())
    generations = dict.fromkeys(hosts, 0)
    return {"steps": [step(hosts, generations, line) for line in q["steps"]]}


def step(hosts: dict[str, Connection], generations: dict[str, int], line: Json) -> Json:
    host = hosts[line["host"]]
    told: Json = {}
    if "receive" in line:
        host.receive_data(H(line["receive"]))
        told["data"] = host.read(1 << 16).hex()
        told["sends"] = host.data_to_send().hex()
    else:
        if line["rekey"]:
            host.rekey()
        told["sends"] = host.send(H(line["send"]), fin=line["fin"]).hex()
    while (event := host.next_event()) is not None:
        if isinstance(event, Rekeyed):
            generations[line["host"]] = event.remote_generation
    told["local_generation"] = host.generation
    return told | {"remote_generation": generations[line["host"]]}


OPERATIONS: dict[str, Callable[[Json], Json]] = {
    "parse": parse,
    "parse-syn": parse_syn,
    "negotiate": negotiated,
    "public-key": public_key,
    "exchange": exchange,
    "encode-init": encode_init,
    "take-init": take_init,
    "schedule": schedule,
    "resume": resume,
    "key-log": key_log,
    "seal": seal,
    "open": opened,
    "dialogue": dialogue,
}


def main() -> None:
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = OPERATIONS[question["op"]](question)
        except Unsupported as why:
            answer = {"unsupported": str(why)}
        print(json.dumps({"id": question["id"], **answer}), flush=True)


if __name__ == "__main__":
    main()
