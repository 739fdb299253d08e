"""Simultaneous opens whose SYNs cross for certain, and the loss of chosen segments.

Losses are written "> syn 1": the first SYN that moves right.  Segments are counted in each
direction and kind ("syn", "syn-ack", "ack": any other), retransmissions included.
"""

from collections import Counter

from wire.middlebox import Middlebox
from wire.rfcpeer_packet import Segment, decode
from wire.tun import Tun

Losses = tuple[str, ...]
SIGN = {"right": ">", "left": "<"}


def kind_of(segment: Segment) -> str:
    if not segment.syn:
        return "ack"
    return "syn-ack" if segment.has_ack else "syn"


class Loss:
    """One connection's: `lost` counts what it took."""

    def __init__(self, losses: Losses = ()) -> None:
        self.losses, self.lost = losses, 0
        self._seen: Counter[str] = Counter()

    def takes(self, segment: Segment, direction: str) -> bool:
        name = f"{SIGN[direction]} {kind_of(segment)}"
        self._seen[name] += 1
        taken = f"{name} {self._seen[name]}" in self.losses
        self.lost += taken
        return taken


class Crossing:
    """A middlebox's hook: each pair's first SYNs pass one another; `losses` by left port."""

    def __init__(self, box: Middlebox, losses: dict[int, Loss]) -> None:
        self.box, self.losses = box, losses
        self._held: dict[int, tuple[bytes, str]] = {}
        self._crossed: set[int] = set()

    def __call__(self, packet: bytes, direction: str) -> list[bytes]:
        segment = decode(packet)
        if segment is None:
            return [packet]
        port = segment.sport if direction == "right" else segment.dport
        if port not in self.losses:
            return [packet]
        taken = self.losses[port].takes(segment, direction)
        passed = [] if taken else [packet]
        if port in self._crossed:
            return passed
        held = self._held.get(port)
        if held is None or held[1] == direction:
            self._held.setdefault(port, (b"" if taken else packet, direction))
            return []
        self._crossed.add(port)
        if held[0]:
            self.box.inject(*held)
        return passed


class LossyLink:
    """A Tun for a user-space host to the right of it; what `loss` names is lost."""

    def __init__(self, tun: Tun) -> None:
        self.tun, self.loss = tun, Loss()

    def read(self, timeout: float) -> bytes | None:
        packet = self.tun.read(timeout)
        return None if packet is None else self._passed(packet, "right")

    def write(self, packet: bytes) -> None:
        if self._passed(packet, "left"):
            self.tun.write(packet)

    def _passed(self, packet: bytes, direction: str) -> bytes | None:
        segment = decode(packet)
        return None if segment and self.loss.takes(segment, direction) else packet

    def close(self) -> None:
        self.tun.close()
