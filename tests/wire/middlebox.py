"""A middlebox between two kernels: two namespaces, a TUN device each, user space between.

    with Middlebox(strip_eno("syn-ack")) as box:
        listener = box.right.listen(box.right4)
        s = box.left.kernel_socket()
        s.connect((box.right4, port))              # through the hook
        box.packets                                # everything that went by

A hook is `f(packet, direction) -> list of packets` to pass on in its place, `direction` being
"right" (from left to right) or "left".  An output may be a `Later`, passed on after a delay.
Ready-made hooks are in `middlebox_hooks`; `box.hook` may be changed at any time.
"""

import heapq
import itertools
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from .rfcpeer_packet import Segment, decode
from .tun import Namespace, Tun

Hook = Callable[[bytes, str], list[bytes]]
BATCH = 64


class Later(bytes):
    """A packet to be passed on `delay` seconds from now."""

    delay: float

    def __new__(cls, packet: bytes, delay: float) -> Self:
        made = super().__new__(cls, packet)
        made.delay = delay
        return made


def unchanged(packet: bytes, direction: str) -> list[bytes]:
    """The hook of a plain wire."""
    return [packet]


@dataclass(frozen=True)
class Passed:
    """One packet: monotonic time, direction, as it came in, and what went out for it."""

    time: float
    direction: str
    packet: bytes
    out: tuple[bytes, ...]

    @property
    def segment(self) -> Segment | None:
        """The TCP segment that came in."""
        return decode(self.packet)


class Middlebox:
    """`left` and `right` are Namespaces; `left4`, `left6`, `right4`, `right6` addresses.

    `record` False keeps no packets (for long transfers); `error` is what a hook raised.
    """

    def __init__(self, hook: Hook = unchanged, *, mtu: int = 1500, record: bool = True) -> None:
        self.hook, self.record = hook, record
        self.packets: list[Passed] = []
        self.error: BaseException | None = None
        self.left4, self.right4 = "10.78.0.1", "10.78.0.2"
        self.left6, self.right6 = "fd78::1", "fd78::2"
        self._closing: list[Callable[[], None]] = []
        self._later: list[tuple[float, int, str, bytes]] = []
        self._order = itertools.count()
        self._stopping = False
        try:
            self.left, self._left_tun = self._side(self.left4, self.left6, mtu)
            self.right, self._right_tun = self._side(self.right4, self.right6, mtu)
        except BaseException:
            self._release()
            raise
        self._thread = threading.Thread(target=self._run, name="middlebox")
        self._thread.start()

    def _side(self, address4: str, address6: str, mtu: int) -> tuple[Namespace, Tun]:
        namespace = Namespace()
        self._closing.append(namespace.close)
        tun = Tun(namespace, kernel4=address4, kernel6=address6, mtu=mtu)
        self._closing.append(tun.close)
        return namespace, tun

    def segments(self, direction: str | None = None) -> list[Segment]:
        """The TCP segments that came in, of one direction or both, in order."""
        return [
            segment
            for passed in list(self.packets)
            if direction in (None, passed.direction) and (segment := passed.segment)
        ]

    def payload(self, direction: str) -> bytes:
        """Every TCP payload of a direction as it came in, for "is this on the wire" checks."""
        return b"".join(segment.payload for segment in self.segments(direction))

    def inject(self, packet: bytes, direction: str) -> None:
        """Put a packet of the test's own on the wire."""
        (self._right_tun if direction == "right" else self._left_tun).write(packet)

    def close(self) -> None:
        """Stop forwarding and delete both namespaces; raises what a hook raised."""
        self._stopping = True
        self._thread.join()
        self._release()
        if self.error is not None:
            raise self.error

    def _release(self) -> None:
        while self._closing:
            self._closing.pop()()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- the thread

    def _run(self) -> None:
        poll = select.poll()
        sides = {self._left_tun.fd: ("right", self._left_tun)}
        sides[self._right_tun.fd] = ("left", self._right_tun)
        for fd in sides:
            poll.register(fd, select.POLLIN)
        try:
            while not self._stopping:
                for fd, _ in poll.poll(self._patience() * 1000):
                    direction, tun = sides[fd]
                    self._drain(direction, tun)
                self._release_due()
        except BaseException as error:  # raised again by close
            self.error = error

    def _patience(self) -> float:
        if not self._later:
            return 0.05
        return min(0.05, max(0.0, self._later[0][0] - time.monotonic()))

    def _drain(self, direction: str, tun: Tun) -> None:
        for _ in range(BATCH):
            packet = tun.read(0)
            if packet is None:
                return
            out = self.hook(packet, direction)
            if self.record:
                self.packets.append(Passed(time.monotonic(), direction, packet, tuple(out)))
            for each in out:
                if isinstance(each, Later):
                    due = time.monotonic() + each.delay
                    heapq.heappush(self._later, (due, next(self._order), direction, each))
                else:
                    self.inject(each, direction)

    def _release_due(self) -> None:
        while self._later and self._later[0][0] <= time.monotonic():
            _, _, direction, packet = heapq.heappop(self._later)
            self.inject(packet, direction)
