"""The cases of resumption.json and rekey.json: RFC 8548 sections 3.5 and 3.8."""

from typing import Any

from . import eno, init, keys
from .frames import Opener, Sealer
from .scheme import SCHEMES
from .vectors import Plan, derived, pattern, resumed

Json = dict[str, Any]

TEP = 0x23  # the key schedule is the same for all
# nonces of today's hosts A and B: none, one host's only, shortest, longest
NONCE_LENS = ((0, 0), (8, 8), (8, 0), (0, 8), (1, 7), (4, 4))
FROM_A: Plan = (("2 bytes", 2, False, None, False), ("FINp", 0, True, None, False))
FROM_B: Plan = (("rekey", 0, False, None, True), ("URGp and FINp", 4, True, 2, False))


def chain(aead: int) -> Json:
    """Sessions from one ss[0]; each i in both role arrangements, with other nonces."""
    label = f"chain {keys.AEADS[aead][0]}"
    ss = [derived(label, keys.K_LEN)]
    sessions = []
    lens = iter(NONCE_LENS)
    for i in 1, 2, 3:
        ss.append(keys.next_secret(ss[-1]))
        for a_was in "AB":
            case = f"{label} {i} {a_was}"
            sessions.append(
                resumed(TEP, aead, i, ss[i], a_was, case, next(lens), (FROM_A, FROM_B))
            )
    return {
        "tep": TEP,
        "aead": aead,
        "aead_name": keys.AEADS[aead][0],
        "ss": [secret.hex() for secret in ss],
        "resume_id": [None, *(keys.resume_id(secret).hex() for secret in ss[1:])],
        "sessions": sessions,
    }


def resumption() -> Json:
    return {"chains": [chain(aead) for aead in keys.AEADS]}


# who, what: "send" data [+ "rekey" | "fin"], or "receive" the other's next frame
Script = tuple[tuple[str, str, int], ...]
SCRIPTS: dict[str, Script] = {
    "A rekeys with data, B answers": (
        ("a", "rekey", 10), ("b", "receive", 0), ("a", "receive", 0),
        ("b", "send", 3), ("a", "receive", 0),
    ),
    "B rekeys without data (keep-alive), A answers": (
        ("b", "rekey", 0), ("a", "receive", 0), ("b", "receive", 0),
        ("a", "send", 3), ("b", "receive", 0),
    ),
    "both at once: neither owes an answer": (
        ("a", "rekey", 5), ("b", "rekey", 6), ("a", "receive", 0), ("b", "receive", 0),
        ("a", "send", 1), ("b", "send", 2), ("b", "receive", 0), ("a", "receive", 0),
    ),
    "both at once, data of the old generation still under way": (
        ("b", "send", 7), ("a", "rekey", 5), ("b", "rekey", 0), ("a", "receive", 0),
        ("a", "receive", 0), ("b", "receive", 0),
    ),
    "A rekeys twice before B reads: two answers": (
        ("a", "rekey", 4), ("a", "rekey", 4), ("b", "receive", 0), ("b", "receive", 0),
        ("a", "receive", 0), ("a", "receive", 0),
    ),
    "both at once, and A once more": (
        ("a", "rekey", 1), ("b", "rekey", 1), ("a", "rekey", 1), ("b", "receive", 0),
        ("b", "receive", 0), ("a", "receive", 0), ("a", "receive", 0),
    ),
    "A rekeys after B's FINp: no answer": (
        ("b", "fin", 2), ("a", "receive", 0), ("a", "rekey", 9), ("b", "receive", 0),
        ("a", "fin", 0), ("b", "receive", 0),
    ),
}  # fmt: skip


class Host:
    """One side of a dialogue; ``sent`` are its frames that have not been received yet."""

    def __init__(self, aead: int, mk: bytes, is_a: bool, lens: tuple[int, int]) -> None:
        ours, theirs = lens if is_a else lens[::-1]
        self.sealer = Sealer(aead, mk, is_a, ours)
        self.opener = Opener(aead, mk, not is_a, theirs)
        self.sent: list[bytes] = []
        self.finished = False

    def send(self, kind: str, size: int) -> bytes:
        fin = kind == "fin"
        raw = self.sealer.seal(pattern(size), fin=fin, rekey=kind == "rekey")
        self.finished |= fin
        self.sent.append(raw)
        return raw

    def receive(self, raw: bytes) -> tuple[bytes, bytes]:
        """The data, and what has to be sent at once."""
        self.opener.feed(raw)
        data, answer = self.opener.next().data, b""
        while self.sealer.generation < self.opener.generation and not self.finished:
            answer += self.send("rekey", 0)
        return data, answer


def dialogue(aead: int, name: str, script: Script) -> Json:
    """A fresh key exchange, then the script; host A lists no cipher but this one."""
    scheme, label = SCHEMES[TEP], f"dialogue {keys.AEADS[aead][0]}"
    private = [scheme.private(derived(f"{label} {x}", scheme.private_len)) for x in "AB"]
    nonces = [derived(f"{label} N_{x}", init.N_LEN) for x in "AB"]
    option_a, option_b = eno.encode([TEP]), eno.encode([TEP], 1)
    init1 = init.encode_init1((aead,), nonces[0], scheme.public(private[0]))
    init2 = init.encode_init2(aead, nonces[1], scheme.public(private[1]))
    es = scheme.shared(private[0], scheme.public(private[1]))
    ss = keys.prk(nonces[0], option_a + option_b, init1, init2, es)
    mk, lens = keys.first_master_key(ss), (len(init1), len(init2))
    hosts = {host: Host(aead, mk, host == "a", lens) for host in "ab"}
    steps = [step(hosts, *line) for line in script]
    return {
        "name": name,
        "tep": TEP,
        "aead": aead,
        "option_a": option_a.hex(),
        "option_b": option_b.hex(),
        "private_a": private[0].hex(),
        "private_b": private[1].hex(),
        "nonce_a": nonces[0].hex(),
        "nonce_b": nonces[1].hex(),
        "init1": init1.hex(),
        "init2": init2.hex(),
        "mk0": mk.hex(),
        "steps": steps,
    }


def step(hosts: dict[str, Host], name: str, kind: str, size: int) -> Json:
    host, peer = hosts[name], hosts["b" if name == "a" else "a"]
    told: Json = {"host": name}
    if kind == "receive":
        raw = peer.sent.pop(0)
        data, answer = host.receive(raw)
        told |= {"receive": raw.hex(), "data": data.hex(), "sends": answer.hex()}
    else:
        told |= {"send": pattern(size).hex(), "rekey": kind == "rekey", "fin": kind == "fin"}
        told["sends"] = host.send(kind, size).hex()
    generations = {"local_generation": host.sealer.generation}
    return told | generations | {"remote_generation": host.opener.generation}


def rekey() -> Json:
    return {
        "dialogues": [
            dialogue(aead, name, script)
            for aead in keys.AEADS
            for name, script in SCRIPTS.items()
        ]
    }
