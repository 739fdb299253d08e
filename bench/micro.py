"""Nanoseconds per option parse and per frame: the compiled core beside its pure
twin, interleaved in one process.

    python bench/micro.py [--rounds 7]
"""

import argparse
import timeit
from collections.abc import Callable
from importlib import import_module
from typing import Any

from machine import keep, summary

from pyeno._crypto import providers
from pyeno.constants import Aead

TWINS = ("native", "pure")
SIZES = (64, 1400, 16384, 65518)
Work = Callable[[], Any]


def twin(which: str, stem: str) -> Any:
    return import_module(f"pyeno._{which}.{stem}")


def parses(which: str) -> dict[str, Work]:
    """Option parsing and negotiation (RFC 8547 section 4)."""
    option, negotiation = twin(which, "option"), twin(which, "negotiation")
    syn, syn_ack = bytes.fromhex("450323"), bytes.fromhex("45040123")
    return {
        "parse SYN option": lambda: option.parse(syn),
        "parse SYN-ACK option": lambda: option.parse(syn_ack),
        "find in TCP options": lambda: option.find(
            bytes.fromhex("020405b4450323010402080a") + bytes(8)
        ),
        "negotiate": lambda: negotiation.negotiate(syn, syn_ack),
    }


def seal_and_open(which: str, aead: Aead, size: int) -> Work:
    """One frame sealed, fed and read."""
    framer, secret = twin(which, "framer"), twin(which, "secret")
    key = bytes(range(aead.key_len + aead.nonce_len))
    sealer = framer.Sealer(aead, secret.Secret(key), 0)
    opener = framer.Opener(aead, secret.Secret(key), 0)
    data, out, plain = bytes(size), bytearray(size + 64), bytearray(size)
    view = memoryview(out)

    def work() -> None:
        _, written = sealer.seal_into(view, data)
        opener.feed(view[:written])
        opener.read_into(plain)

    return work


def frames(which: str) -> dict[str, Work]:
    """Every AEAD at every size (RFC 8548 section 4.2)."""
    return {
        f"seal+open {size} bytes, {aead.name}": seal_and_open(which, aead, size)
        for aead in Aead
        for size in SIZES
    }


def measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    works = {which: parses(which) | frames(which) for which in TWINS}
    loops = {
        which: {
            name: max(1, timeit.Timer(work).autorange()[0] // 4) for name, work in rows.items()
        }
        for which, rows in works.items()
    }
    figures: dict[str, dict[str, list[float]]] = {
        name: {which: [] for which in TWINS} for name in works["native"]
    }
    for _ in range(rounds):
        for name, rows in figures.items():
            for which, values in rows.items():
                count = loops[which][name]
                values.append(timeit.timeit(works[which][name], number=count) / count * 1e9)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--name", default="first-micro", help="of the file under results/")
    options = parser.parse_args()
    report: dict[str, Any] = {}
    for name, rows in measure(options.rounds).items():
        report[name] = {which: summary(values) for which, values in rows.items()}
        native, pure = (report[name][which]["median"] for which in TWINS)
        report[name]["pure / native"] = pure / native
        print(
            f"{name:<42} native {native:>10,.0f} ns   pure {pure:>10,.0f} ns"
            f"  {pure / native:5.1f}x"
        )
    library = {aead.name: provider for aead, provider in providers().items()}
    print(
        keep(
            options.name,
            {"what": __doc__, "providers": library, "unit": "ns", "figures": report},
        )
    )


if __name__ == "__main__":
    main()
