"""A host in user space: one thread that reads a link, finds the connection, keeps the timers.

    with Namespace() as ns, Tun(ns) as tun, Host(tun) as host:
        conn = host.connect((tun.kernel4, port), source=tun.peer4)
        listener = host.listen(7, Plan(syn_ack=bytes.fromhex("45040123")))
        conn = listener.accept(timeout=5)

A Host answers for every address of packets that reach it.  `log` has each TCP segment that
came in or went out, in order.
"""

import itertools
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

from .rfcpeer_machine import Machine
from .rfcpeer_packet import ACK, RST, SYN, Segment, decode
from .rfcpeer_tcp import Connection, Plan
from .tun import Link

TICK = 0.02
BATCH = 64


@dataclass(frozen=True)
class Logged:
    """One line of `Host.log`: monotonic time, "in" or "out", the segment."""

    time: float
    direction: str
    segment: Segment

    def __str__(self) -> str:
        return f"{self.time:.3f} {self.direction:3} {self.segment}"


class Listener:
    """Made by Host.listen; connections appear in `accept` once established."""

    def __init__(self, host: "Host", port: int, plan: Plan | Callable[[], Plan]) -> None:
        self.host, self.port, self.plan = host, port, plan
        self.ready: queue.Queue[Connection] = queue.Queue()

    def accept(self, timeout: float = 10) -> Connection:
        """The next established connection; TimeoutError when none comes."""
        try:
            return self.ready.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"no connection to port {self.port}") from None

    def close(self) -> None:
        with self.host.lock:
            self.host.listeners.pop(self.port, None)


class Host:
    """Owns `link` from the first packet on; `close` stops the thread, not the link.

    `answer_unknown` sends RST to segments that belong to no connection, as RFC 9293 wants.
    """

    def __init__(self, link: Link, *, answer_unknown: bool = True) -> None:
        self.link, self.answer_unknown = link, answer_unknown
        self.lock = threading.RLock()
        self.log: list[Logged] = []
        self.listeners: dict[int, Listener] = {}
        self._connections: dict[tuple[str, int, str, int], Connection] = {}
        self._ports = itertools.count(40000)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="user-space TCP")
        self._thread.start()

    def connect(
        self,
        remote: tuple[str, int],
        *,
        source: str,
        port: int | None = None,
        plan: Plan | None = None,
        timeout: float = 10,
    ) -> Connection:
        """Active open from `source`; ConnectionRefusedError on RST.

        A SYN that crosses the remote SYN makes it a simultaneous open by itself.
        """
        conn = self.start(remote, source=source, port=port, plan=plan)
        return self.wait_established(conn, timeout)

    def start(
        self,
        remote: tuple[str, int],
        *,
        source: str,
        port: int | None = None,
        plan: Plan | None = None,
        cross: bool = False,
    ) -> Connection:
        """An active open without waiting; finish with `wait_established`.

        With `cross` the SYN leaves only when the remote SYN has come, before any answer to it:
        a simultaneous open that needs no luck.
        """
        with self.lock:
            local = source, port or next(self._ports)
            conn = Connection(self, local, remote, plan or Plan())
            self._connections[*local, *remote] = conn
            conn.open(syn=not cross)
            return conn

    def wait_established(self, conn: Connection, timeout: float = 10) -> Connection:
        with self.lock:
            opened = conn.changed.wait_for(
                lambda: conn.state == "ESTABLISHED" or conn.error is not None, timeout
            )
            if conn.error is not None:
                raise conn.error
            if not opened:
                self.forget(conn)
                raise TimeoutError(f"not established within {timeout:.1f} s")
            return conn

    def listen(self, port: int, plan: Plan | Callable[[], Plan] | None = None) -> Listener:
        """Passive opens on `port` of any address; a function gives each its own plan."""
        with self.lock:
            if port in self.listeners:
                raise OSError(f"port {port} is already listened on")
            listener = self.listeners[port] = Listener(self, port, plan or Plan())
            return listener

    def emit(self, conn: Machine | None, segment: Segment) -> None:
        """Put a segment on the wire and into the logs."""
        self.log.append(Logged(time.monotonic(), "out", segment))
        if conn is not None:
            conn.sent.append(segment)
        self.link.write(segment.encode())

    def forget(self, conn: Machine) -> None:
        """Answer nothing more on the connection's behalf."""
        self._connections.pop((*conn.local, *conn.remote), None)

    def close(self) -> None:
        """Stop; connections are left without a word."""
        self._stopping = True
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- the thread

    def _run(self) -> None:
        while not self._stopping:
            packet = self.link.read(TICK)
            with self.lock:
                for _ in range(BATCH):
                    if packet is None:
                        break
                    segment = decode(packet)
                    if segment is not None:
                        self._dispatch(segment)
                    packet = self.link.read(0)
                if packet is not None and (segment := decode(packet)) is not None:
                    self._dispatch(segment)
                now = time.monotonic()
                for conn in list(self._connections.values()):
                    conn.tick(now)

    def _dispatch(self, segment: Segment) -> None:
        self.log.append(Logged(time.monotonic(), "in", segment))
        key = segment.dst, segment.dport, segment.src, segment.sport
        conn = self._connections.get(key)
        listener = self.listeners.get(segment.dport)
        if conn is not None:
            conn.handle(segment)
        elif listener is not None and segment.flags & (SYN | ACK | RST) == SYN:
            plan = listener.plan() if callable(listener.plan) else listener.plan
            conn = Connection(self, key[:2], key[2:], plan)
            conn.received.append(segment)
            conn.on_established = partial(listener.ready.put, conn)
            self._connections[key] = conn
            conn.answer(segment)
        elif self.answer_unknown and not segment.flags & RST:
            self.emit(None, _reset_for(segment))


def _reset_for(segment: Segment) -> Segment:
    """RFC 9293 section 3.10.7.1."""
    ends = segment.dst, segment.src, segment.dport, segment.sport
    if segment.has_ack:
        return Segment(*ends, seq=segment.ack, flags=RST, window=0)
    ack = (segment.seq + segment.length) % (1 << 32)
    return Segment(*ends, seq=0, ack=ack, flags=RST | ACK, window=0)
