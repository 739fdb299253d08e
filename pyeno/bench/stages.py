"""What the stages cost: one implementation of them, timed in a process of its own.

``python -m pyeno.bench.stages IMPLEMENTATION`` reads a case's name and seconds
from each line of standard input and answers nanoseconds for one call.
``native`` and ``pure`` are pyeno's twins, chosen by PYENO_BACKEND as for any
program; ``dpkt`` and ``scapy`` parse the same TCP options.
"""

import json
import sys
import timeit
from collections.abc import Callable
from importlib import import_module
from typing import Any

Work = Callable[[], Any]
Cases = dict[str, Callable[[], Work]]
"""a function that prepares each case, so that only what is asked for is made"""

FOREIGN = ("dpkt", "scapy")
SIZES = (64, 1400, 16384, 65518)
SYN, SYN_ACK = bytes.fromhex("450622212423"), bytes.fromhex("45040123")
TEPS = (0x22, 0x21, 0x24, 0x23)
# MSS, SACK, timestamps, NOP, window scale, as Linux sends them, then ENO
HEADER = bytes.fromhex("020405b40402080a000000010000000001030307") + SYN
FIND = "option: find in a SYN's TCP options"


def options(load: Callable[[str], Any]) -> Cases:
    """Parsing, encoding and negotiation (RFC 8547 section 4)."""
    option, negotiation = load("option"), load("negotiation")
    return {
        "option: parse": lambda: lambda: option.parse(SYN),
        "option: parse, read all TEPs": lambda: lambda: option.parse(SYN).teps,
        "option: encode": lambda: lambda: option.encode(TEPS),
        FIND: lambda: lambda: option.find(HEADER),
        "negotiation: choose": lambda: lambda: negotiation.choose(SYN, TEPS),
        "negotiation: negotiate": lambda: lambda: negotiation.negotiate(SYN, SYN_ACK),
    }


def keys(load: Callable[[str], Any]) -> Cases:
    """What a key exchange costs besides its round trip (RFC 8548 sections 3.3, 5)."""
    from pyeno.constants import Role, Tep

    schedule, agreement = load("keyschedule").KeySchedule, load("agreement").KeyPair
    secret = load("secret").Secret

    def traffic_keys() -> Any:
        made = schedule.extract(
            secret(bytes(32)), n_a=bytes(32), transcript=bytes(10), init1=bytes(77),
            init2=bytes(74), tep_byte=0x23, aead=1, original_role=Role.A,
        )  # fmt: skip
        return made.outgoing().traffic_key(), made.incoming().traffic_key()

    def agree() -> Work:
        tep = Tep.TCPCRYPT_ECDHE_Curve25519
        remote = agreement(tep, secret.random(32)).public
        return lambda: agreement(tep, secret.random(32)).exchange(remote)

    return {
        "key schedule: ES to traffic keys": lambda: traffic_keys,
        "key agreement: Curve25519, pair and ES": agree,
    }


def frames(load: Callable[[str], Any]) -> Cases:
    """One frame sealed, fed and read, of every AEAD and size (RFC 8548 section 3.6)."""
    from pyeno._crypto import default_aeads

    framer, secret = load("framer"), load("secret").Secret

    def prepared(aead: Any, size: int) -> Work:
        key = bytes(range(aead.key_len + aead.nonce_len))
        sealer, opener = (kind(aead, secret(key), 0) for kind in (framer.Sealer, framer.Opener))
        out, plain, data = memoryview(bytearray(size + 64)), bytearray(size), bytes(size)

        def work() -> None:
            _, written = sealer.seal_into(out, data)
            opener.feed(out[:written])
            opener.read_into(plain)

        return work

    return {
        frame_case(aead, size): lambda aead=aead, size=size: prepared(aead, size)  # type: ignore[misc]
        for aead in default_aeads()
        for size in SIZES
    }


def frame_case(aead: Any, size: int) -> str:
    """The name of a frame's case."""
    return f"frame: seal and open {size} bytes, {aead.name}"


def cases(implementation: str) -> Cases:
    """All cases of one implementation.  ImportError if it is not installed."""
    if implementation == "dpkt":
        parse_opts = import_module("dpkt.tcp").parse_opts
        return {FIND: lambda: lambda: [data for kind, data in parse_opts(HEADER) if kind == 69]}
    if implementation == "scapy":
        field = import_module("scapy.layers.inet").TCPOptionsField("options", [])
        return {FIND: lambda: lambda: [v for kind, v in field.m2i(None, HEADER) if kind == 69]}
    from pyeno._backend import backend, load

    if backend != implementation:
        raise ImportError(f"PYENO_BACKEND gave {backend}")
    return options(load) | keys(load) | frames(load)


def timed(work: Work, seconds: float) -> float:
    """Nanoseconds for one call, from calls that fill about so many seconds."""
    timer = timeit.Timer(work)
    count, took = 1, timer.timeit(1)
    while took < seconds / 10 and count < 1 << 24:
        count *= 4
        took = timer.timeit(count)
    count = max(1, int(count * seconds / max(took, 1e-9)))
    return timer.timeit(count) / count * 1e9


def main(implementation: str) -> None:
    """Names first, then an answer to each question."""
    mine = cases(implementation)
    prepared: dict[str, Work] = {}
    print(json.dumps(list(mine)), flush=True)
    for line in sys.stdin:
        name, seconds = json.loads(line)
        if name not in prepared:
            prepared[name] = mine[name]()
        print(json.dumps(timed(prepared[name], seconds)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
