"""Bulk throughput and fresh connections per second: pyeno beside plain TCP and
stdlib TLS 1.3, over loopback.

Two processes pinned to two CPUs; in every round each transport runs once, in
turn, so that the machine's noise hits all alike.  Only ratios count.  pyeno
must be attached (``pyeno attach``).

    python bench/macro.py [--rounds 5]
"""

import argparse
import os
import socket
import sys
import time
from collections.abc import Callable

from machine import keep, summary
from transports import Eno, Plain, Tls, Transport

from pyeno import Aead

HOST = "127.0.0.1"
NEAR, FAR = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
BULK_BYTES = 1 << 29
FRESH_CONNECTIONS = 1000
Scenario = Callable[[Transport, socket.socket], float]


def forked(far: Callable[[], None]) -> int:
    """Run ``far`` in a child pinned to the last CPU; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            os.sched_setaffinity(0, {FAR})
            far()
            os._exit(0)
        except BaseException as error:  # the child never returns
            print(f"bench: far end: {error!r}", file=sys.stderr)
            os._exit(1)
    return pid


def nodelay(sock: socket.socket) -> socket.socket:
    """What performance-sensitive services set."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def bulk(size: int) -> Scenario:
    """Bytes per second one way, in writes of ``size``."""

    def scenario(transport: Transport, listener: socket.socket) -> float:
        def far() -> None:
            with nodelay(transport.accept(listener)) as sock:
                buffer, total = bytearray(1 << 18), 0
                while total < BULK_BYTES:
                    total += sock.recv_into(buffer)
                sock.sendall(b"!")

        pid = forked(far)
        data = bytes(size)
        with nodelay(transport.connect(listener.getsockname())) as sock:
            started = time.perf_counter()
            for _ in range(BULK_BYTES // size):
                sock.sendall(data)
            assert sock.recv(1) == b"!"
            elapsed = time.perf_counter() - started
        os.waitpid(pid, 0)
        return BULK_BYTES / elapsed

    return scenario


def fresh(transport: Transport, listener: socket.socket) -> float:
    """Connections per second: connect, one byte echoed, close."""

    def far() -> None:
        for _ in range(FRESH_CONNECTIONS):
            with nodelay(transport.accept(listener)) as sock:
                sock.sendall(sock.recv(1))

    pid = forked(far)
    started = time.perf_counter()
    for _ in range(FRESH_CONNECTIONS):
        with nodelay(transport.connect(listener.getsockname())) as sock:
            sock.sendall(b"a")
            assert sock.recv(1) == b"a"
    elapsed = time.perf_counter() - started
    os.waitpid(pid, 0)
    return FRESH_CONNECTIONS / elapsed


SCENARIOS: dict[str, Scenario] = {
    "bulk 1 MiB writes, bytes/s": bulk(1 << 20),
    "bulk 256 KiB writes, bytes/s": bulk(1 << 18),
    "bulk 16 KiB writes, bytes/s": bulk(1 << 14),
    "fresh connections/s": fresh,
}


def measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Interleaved rounds: figures by scenario and transport."""
    transports: list[Transport] = [Plain(), Tls(), *(Eno(aead) for aead in Aead)]
    figures: dict[str, dict[str, list[float]]] = {
        name: {transport.name: [] for transport in transports} for name in SCENARIOS
    }
    for turn in range(rounds):
        for name, scenario in SCENARIOS.items():
            for transport in transports:
                with transport.listen(HOST) as listener:
                    figures[name][transport.name].append(scenario(transport, listener))
        print(f"round {turn + 1} of {rounds} done", file=sys.stderr)
    return figures


def compared(rows: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Medians and spread, and the ratios to plain TCP and to TLS."""
    report = {transport: summary(values) for transport, values in rows.items()}
    for row in report.values():
        row["against plain"] = row["median"] / report["plain"]["median"]
        row["against tls1.3"] = row["median"] / report["tls1.3"]["median"]
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--name", default="first-macro", help="of the file under results/")
    options = parser.parse_args()
    os.sched_setaffinity(0, {NEAR})
    report = {name: compared(rows) for name, rows in measure(options.rounds).items()}
    for name, rows in report.items():
        for transport, row in rows.items():
            print(
                f"{name:<30} {transport:<24} {row['median']:>16,.0f}"
                f" {row['against plain']:>7.2f} plain {row['against tls1.3']:>6.2f} TLS"
            )
    print(keep(options.name, {"what": __doc__, "figures": report}))


if __name__ == "__main__":
    main()
