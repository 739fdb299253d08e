"""The TCP machine of a user-space host, small but correct (RFC 9293).

What is to be sent stands in `_queue` as segments that keep their bounds for ever: SYN first,
then data as it was cut, then FIN.  What was sent and not yet acknowledged is resent on a
timer, on three duplicate ACKs, and at each partial ACK while recovering.  What arrives out of
order is dropped.  There is no congestion control and no SACK: the wire is a test's own.

Every method here runs with the host's lock held.
"""

import secrets
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from .rfcpeer_packet import ACK, FIN, RST, SYN, Segment
from .rfcpeer_plan import MODULUS, Out, Plan, ahead

if TYPE_CHECKING:
    from .rfcpeer_host import Host

RTO_FIRST, RTO_MAX, TRIES_MAX = 0.25, 2.0, 12


class Machine:
    """`open` or `answer` begins it, `handle` and `tick` drive it.

    `remote_syn`, `local_syn`: the SYN (or SYN-ACK) segments as received and as last sent.
    `first_non_syn`: the first non-SYN segment received.  `received`, `sent`: all segments.
    """

    def __init__(
        self, host: "Host", local: tuple[str, int], remote: tuple[str, int], plan: Plan
    ) -> None:
        self.host, self.local, self.remote, self.plan = host, local, remote, plan
        self.state = "CLOSED"
        self.changed = threading.Condition(host.lock)
        self.received: list[Segment] = []
        self.sent: list[Segment] = []
        self.remote_syn: Segment | None = None
        self.local_syn: Segment | None = None
        self.first_non_syn: Segment | None = None
        self.error: OSError | None = None
        self.syn_count = 0
        self.fin_received = False
        self.retransmissions = 0
        self.on_established: Callable[[], None] | None = None
        self.hold_syn = False
        self.iss = secrets.randbelow(MODULUS)
        self.snd_una = self._snd_end = self.iss
        self.snd_max = self.iss
        self.snd_wnd = 0xFFFF
        self.snd_mss = 536
        self.rcv_nxt = 0
        self._inbox = bytearray()
        self._queue: deque[Out] = deque()
        self._duplicates = 0
        self._recover = self.iss
        self._rto = RTO_FIRST
        self._deadline: float | None = None
        self._tries = 0
        self._acks_with_option = 0

    def open(self, *, syn: bool = True) -> None:
        """Active open.  With `syn` false the SYN waits for the remote one, to cross it."""
        self.state, self.hold_syn = "SYN_SENT", not syn
        self._append(SYN, b"")
        if syn:
            self._transmit()

    def answer(self, syn: Segment) -> None:
        """Passive open on a received SYN."""
        self.state = "SYN_RECEIVED"
        self._learn(syn)
        self._append(SYN | ACK, b"")
        self._transmit()

    def handle(self, segment: Segment) -> None:
        """A segment for this connection."""
        self.received.append(segment)
        if segment.flags & RST:
            self._handle_rst(segment)
        elif self.state == "SYN_SENT":
            self._handle_in_syn_sent(segment)
        elif segment.syn:
            self._handle_late_syn(segment)
        elif segment.has_ack:
            if self.first_non_syn is None:
                self.first_non_syn = segment
            self._handle_ack(segment)
            self._handle_data(segment)
        self.changed.notify_all()

    def tick(self, now: float) -> None:
        """The retransmission timer."""
        if self._deadline is None or now < self._deadline or self.error or self.hold_syn:
            return
        self._tries += 1
        if self._tries > TRIES_MAX:
            self.fail(TimeoutError(f"no acknowledgment after {TRIES_MAX} tries"))
            return
        self._rto = min(self._rto * 2, RTO_MAX)
        self._recover = self.snd_max
        self._resend()

    def fail(self, error: OSError) -> None:
        """End the connection at once; every waiting call raises `error`."""
        self.error, self.state = self.error or error, "CLOSED"
        self._queue.clear()
        self._deadline = None
        self.host.forget(self)
        self.changed.notify_all()

    # -- receiving

    def _learn(self, syn: Segment) -> None:
        self.remote_syn = syn
        self.rcv_nxt = (syn.seq + 1) % MODULUS
        self.snd_wnd = syn.window
        self.snd_mss = min(syn.mss or 536, self.plan.mss or 1400)

    def _handle_rst(self, segment: Segment) -> None:
        if self.state == "SYN_SENT":
            if segment.has_ack and segment.ack == (self.iss + 1) % MODULUS:
                self.fail(ConnectionRefusedError("RST answered the SYN"))
        elif 0 <= ahead(segment.seq, self.rcv_nxt) <= self.plan.window:
            self.fail(ConnectionResetError("RST received"))

    def _handle_in_syn_sent(self, segment: Segment) -> None:
        if not segment.syn:
            return
        if segment.has_ack and segment.ack != (self.iss + 1) % MODULUS:
            return
        self._learn(segment)
        if self.hold_syn:
            self.hold_syn = False
            self._transmit()
        if segment.has_ack:
            self._handle_ack(segment)
            self._acknowledge()
        else:  # simultaneous open: the same SYN again, now with ACK
            self.state = "SYN_RECEIVED"
            self._queue[0].flags = SYN | ACK
            self._resend()

    def _handle_late_syn(self, segment: Segment) -> None:
        if self.state == "SYN_RECEIVED" and not segment.has_ack:
            self._resend()  # the SYN once more: our SYN-ACK was lost
            return
        if self.state == "SYN_RECEIVED":
            self._handle_ack(segment)  # the SYN-ACK of a simultaneous open
        self._acknowledge()

    def _handle_ack(self, segment: Segment) -> None:
        new = ahead(segment.ack, self.snd_una)
        if new > ahead(self.snd_max, self.snd_una):
            self._acknowledge()
            return
        if new < 0:
            return
        same_window = segment.window == self.snd_wnd
        self.snd_wnd = segment.window
        if new:
            self._acknowledged(segment.ack)
        elif same_window and not segment.length and self._queue and self._queue[0].sent:
            self._duplicates += 1
            if self._duplicates == 3:
                self._recover = self.snd_max
                self._resend()
        if self.state in ("SYN_SENT", "SYN_RECEIVED") and self.snd_una != self.iss:
            self.state = "ESTABLISHED"
            if self.on_established:
                self.on_established()
        self._transmit()

    def _acknowledged(self, ack: int) -> None:
        self.snd_una = ack
        self._duplicates = self._tries = 0
        self._rto = RTO_FIRST
        while self._queue and ahead(ack, self._queue[0].end) >= 0:
            self._queue.popleft()
        if self._queue:
            first, part = self._queue[0], ahead(ack, self._queue[0].seq)
            if part > 0:
                first.seq, first.payload = ack, first.payload[part:]
            if first.sent and ahead(self._recover, ack) > 0:
                self._resend()
        self._arm()

    def _handle_data(self, segment: Segment) -> None:
        if not segment.length:
            if ahead(segment.seq, self.rcv_nxt) < 0:  # a keep-alive or window probe
                self._acknowledge()
            return
        skip = ahead(self.rcv_nxt, segment.seq)
        if 0 <= skip < segment.length and not self.fin_received:
            fresh = segment.payload[skip:]
            self._inbox += fresh
            self.fin_received = bool(segment.flags & FIN)
            self.rcv_nxt = (self.rcv_nxt + len(fresh) + self.fin_received) % MODULUS
        self._acknowledge()

    # -- sending

    def _append(self, flags: int, payload: bytes) -> None:
        self._queue.append(Out(self._snd_end, flags, payload))
        self._snd_end = self._queue[-1].end % MODULUS
        if self._queue[-1].end == self._queue[-1].seq:
            self._queue.pop()  # neither data nor FIN: nothing to send

    def _transmit(self) -> None:
        """Send what was not yet sent, as far as the remote window allows."""
        if self.state == "SYN_RECEIVED" and not self._queue:
            return
        for out in self._queue:
            if out.sent:
                continue
            if self.hold_syn or (self.state.startswith("SYN_") and not out.flags & SYN):
                break
            if ahead(out.end, self.snd_una) > self.snd_wnd and not out.flags & SYN:
                break
            out.sent = True
            self._emit(out.flags, out.seq, out.payload)
        self._arm()

    def _resend(self) -> None:
        """The first segment again; with nothing sent it serves as a window probe."""
        if self._queue:
            first = self._queue[0]
            self.retransmissions += first.sent
            first.sent = True
            self._emit(first.flags, first.seq, first.payload)
        self._arm()

    def _arm(self) -> None:
        self._deadline = time.monotonic() + self._rto if self._queue else None

    def _acknowledge(self) -> None:
        self._emit(ACK, self.snd_max)

    def _emit(self, flags: int, seq: int, payload: bytes = b"") -> None:
        segment = self._segment(flags, seq, payload)
        if ahead(seq + segment.length, self.snd_max) > 0:
            self.snd_max = (seq + segment.length) % MODULUS
        if segment.syn:
            if not segment.has_ack and self.syn_count <= self.plan.syn_data_times:
                segment = replace(segment, payload=self.plan.syn_data)
            self.local_syn = segment
        self.host.emit(self, segment)

    def _segment(self, flags: int, seq: int, payload: bytes) -> Segment:
        return Segment(
            *(self.local[0], self.remote[0], self.local[1], self.remote[1]),
            seq=seq % MODULUS,
            ack=self.rcv_nxt if flags & ACK else 0,
            flags=flags,
            window=self.plan.window,
            options=self._options(flags),
            payload=payload,
        )

    def _options(self, flags: int) -> bytes:
        """RFC 8547 section 4.6 as the plan has it."""
        plan = self.plan
        if flags & SYN:
            self.syn_count += 1
            head = b"" if plan.mss is None else struct.pack("!BBH", 2, 4, plan.mss)
            chosen = plan.syn_ack if flags & ACK else plan.syn
            return head + (chosen(self) if callable(chosen) else chosen)
        early = self.first_non_syn is None and not flags & RST
        if early and plan.ack_once:
            early = self._acks_with_option == 0
        self._acks_with_option += early
        chosen = plan.ack if early else plan.later
        return chosen(self) if callable(chosen) else chosen
