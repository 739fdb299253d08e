"""What the user-space TCP is to put on the wire: option bytes, and segments to be sent."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .rfcpeer_packet import FIN, SYN

if TYPE_CHECKING:
    from .rfcpeer_machine import Machine

MODULUS = 1 << 32
OptionBytes = bytes | Callable[["Machine"], bytes]


def ahead(a: int, b: int) -> int:
    """How far sequence number `a` is ahead of `b`, negative when behind."""
    return (a - b + (MODULUS >> 1)) % MODULUS - (MODULUS >> 1)


@dataclass
class Plan:
    """The option bytes of each kind of segment, exactly; after MSS where that is sent.

    Each is bytes or a function of the connection (it may look at `remote_syn`, `syn_count`).
    `ack` goes on every non-SYN segment until a non-SYN segment is received, or only on the
    first one when `ack_once`; `later` on all others.  `mss` None leaves that option out.
    `syn_data` rides in the first `syn_data_times` SYNs (not SYN-ACKs), beyond the stream: it is
    not sent again, whether acknowledged or not.
    """

    syn: OptionBytes = b""
    syn_ack: OptionBytes = b""
    ack: OptionBytes = b""
    later: OptionBytes = b""
    ack_once: bool = False
    mss: int | None = 1400
    window: int = 0xFFFF
    syn_data: bytes = b""
    syn_data_times: int = 1


@dataclass
class Out:
    seq: int
    flags: int
    payload: bytes = b""
    sent: bool = False

    @property
    def end(self) -> int:
        return self.seq + len(self.payload) + bool(self.flags & (SYN | FIN))
