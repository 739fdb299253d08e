"""TCP segments off the wire, with their options as bytes (RFC 793 section 3.1)."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

ENO_KIND = 69
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


class Segment(NamedTuple):
    source: tuple[str, int]
    target: tuple[str, int]
    seq: int
    ack: int
    flags: int
    options: tuple[bytes, ...]
    payload: bytes
    at: float = 0.0
    """when it was seen, by the monotonic clock"""

    @property
    def eno(self) -> tuple[bytes, ...]:
        """Its ENO options, kind and length bytes included."""
        return tuple(o for o in self.options if o[0] == ENO_KIND)

    @property
    def syn(self) -> bool:
        return self.flags & (SYN | ACK) == SYN

    @property
    def syn_ack(self) -> bool:
        return self.flags & (SYN | ACK) == SYN | ACK


def split_options(data: bytes) -> Iterator[bytes]:
    """Options with their kind and length bytes, without padding; a malformed one ends it."""
    while data and data[0]:
        size = 1 if data[0] == 1 else max(2, data[1] if len(data) > 1 else 0)
        if size > 1:
            yield data[:size]
        data = data[size:]


def decode(frame: bytes) -> Segment | None:
    """A TCP segment out of an Ethernet frame; None for anything else."""
    (ethertype,) = struct.unpack_from("!H", frame, 12)
    packet = frame[14:]
    if ethertype == 0x0800 and packet[9] == socket.IPPROTO_TCP:
        family, at, addresses = socket.AF_INET, (packet[0] & 15) * 4, packet[12:20]
        end = struct.unpack_from("!H", packet, 2)[0]
    elif ethertype == 0x86DD and packet[6] == socket.IPPROTO_TCP:
        family, at, addresses = socket.AF_INET6, 40, packet[8:40]
        end = 40 + struct.unpack_from("!H", packet, 4)[0]
    else:
        return None
    tcp = packet[at:end]
    sport, dport, seq, ack, offset, flags = struct.unpack_from("!HHIIBB", tcp)
    half, head = len(addresses) // 2, (offset >> 4) * 4
    return Segment(
        (socket.inet_ntop(family, addresses[:half]), sport),
        (socket.inet_ntop(family, addresses[half:]), dport),
        seq,
        ack,
        flags,
        tuple(split_options(tcp[20:head])),
        tcp[head:],
    )


class Capture:
    """Collects segments while it is open; they can be read at any time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._sock.settimeout(0.02)
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._open = True
        self.segments: list[Segment] = []

    def _collect(self) -> None:
        while self._open:
            with contextlib.suppress(TimeoutError):
                segment = decode(self._sock.recv(65536))
                if segment:
                    self.segments.append(segment._replace(at=time.monotonic()))

    def wait(self, enough: Callable[[list[Segment]], bool], timeout: float = 5) -> None:
        """Until the segments satisfy a predicate; AssertionError if they never do."""
        until = time.monotonic() + timeout
        while not enough(self.segments):
            assert time.monotonic() < until, f"the wire only saw {self.segments}"
            time.sleep(0.005)

    def syns(self) -> list[Segment]:
        return [s for s in self.segments if s.syn]

    def syn_acks(self) -> list[Segment]:
        return [s for s in self.segments if s.syn_ack]

    def after(self) -> list[Segment]:
        """The segments without SYN."""
        return [s for s in self.segments if not s.flags & (SYN | RST)]

    def __enter__(self) -> Self:
        self._sock.bind(("eth", 3))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(0.03)  # what is on its way through the socket
        self._open = False
        self._thread.join()
        self._sock.close()
