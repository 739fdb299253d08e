"""One tcpcrypt connection without I/O: joins handshake, key schedule, frames.

    stream bytes ──▶ Handshake ──Agreed──┐
                      Session ──ss[i]──▶ KeySchedule ──keys──▶ Traffic: Sealer, Opener
                                             └──ss[i+1]──▶ Session

Offsets in the framer count every byte of the direction's TCP stream, the Init
message included (RFC 8548 section 3.6).
"""

from typing import TYPE_CHECKING

from pyeno._values import Buffer, Outcome
from pyeno.config import Config
from pyeno.constants import ENO_GLT, Aead, Role
from pyeno.errors import LocalProtocolError, NotEncryptedError, TruncationError
from pyeno.events import (
    DataReceived,
    EncryptionEnabled,
    EndOfStream,
    Event,
    Rekeyed,
    UrgentReceived,
)
from pyeno.pump import create_pump
from pyeno.tcpcrypt.handshake import Agreed, Handshake
from pyeno.tcpcrypt.keyschedule import KeySchedule
from pyeno.tcpcrypt.schemes import Randomness, make_ahead
from pyeno.tcpcrypt.sessions import Session
from pyeno.tcpcrypt.system import SYSTEM
from pyeno.tcpcrypt.traffic import Traffic, dataless, first_frames

if TYPE_CHECKING:
    from pyeno.pump import Lock, Pump

_EVENT_READ = 1 << 16
_EVENTS_MAX = 64


class _Events(list[Event]):
    """Those nobody asks for push each other out."""

    __slots__ = ()

    def raised(self, remote_generation: int) -> None:
        self.append(Rekeyed(remote_generation))
        del self[:-_EVENTS_MAX]


class Connection:
    """Give it stream bytes, take application bytes, and the other way round.

    ``outcome`` is the negotiation's; ``randomness`` may be injected, so that
    tests and simulators are repeatable.  Where the negotiation resumed a
    session, ``resume()`` takes the place of the key exchange.  Implements
    :class:`pyeno.tep.TepConnection`; see there for each method.
    """

    _handshake: Handshake | None = None
    """while it goes on; none where a session is resumed"""
    _keys: Traffic | None = None
    _next: Session | None = None
    _urgent_index: int | None = None
    _oob_inline = True
    _wiped = False
    _told = False
    """that encryption is enabled, by the first event"""
    _owed = b""

    def __init__(
        self, outcome: Outcome, config: Config, *, randomness: Randomness = SYSTEM
    ) -> None:
        self._outcome = outcome
        self._config = config
        self._randomness = randomness
        self._events = _Events()  # a deque takes half a kibibyte even when it is empty
        if not outcome.resumed:  # [8548:3.2-5]
            self._handshake = Handshake(
                role=outcome.role,
                tep=outcome.tep_byte & ENO_GLT,
                aeads=config.aeads,
                randomness=randomness,
            )
            self._owed = self._handshake.start()

    # -- what is known -------------------------------------------------------

    def __repr__(self) -> str:
        if self._keys is None:
            return f"<tcpcrypt Connection: role {self.role.value}, {self._begun()}>"
        return f"<tcpcrypt Connection: role {self.role.value}, generation {self.generation}>"

    def _begun(self) -> str:
        return "to be resumed" if self._handshake is None else self._handshake.state.value

    @property
    def role(self) -> Role:
        return self._outcome.role

    @property
    def established(self) -> bool:
        return self._keys is not None

    @property
    def finished(self) -> bool:
        return self._keys is not None and self._keys.opener.finished and not self.awaited

    @property
    def session_id(self) -> bytes:
        if self._keys is None:
            raise NotEncryptedError(
                "no session ID yet: the key exchange is not complete; call do_handshake()"
            )
        return self._keys.session_id

    @property
    def peer_key(self) -> bytes | None:
        return None  # ECDHE keys are of one connection each, and authenticate nobody

    @property
    def aead(self) -> Aead | None:
        return None if self._keys is None else self._keys.aead

    @property
    def generation(self) -> int:
        return 0 if self._keys is None else self._keys.sending.generation

    @property
    def remote_generation(self) -> int:
        return 0 if self._keys is None else self._keys.remote_generation

    @property
    def unanswered(self) -> bool:
        return self._keys is not None and self._keys.unanswered

    @property
    def opened(self) -> int:
        return 0 if self._keys is None else self._keys.opener.offset

    @property
    def sealed(self) -> int:
        return 0 if self._keys is None else self._keys.sealer.offset

    @property
    def ended(self) -> bool:
        return self._keys is not None and self._keys.opener.finished

    @property
    def awaited(self) -> int:
        return 0 if self._keys is None else self._keys.opener.pending

    @property
    def buffered(self) -> int:
        return 0 if self._keys is None else self._keys.opener.buffered

    def dataless(self, head: bytes) -> tuple[int, bool]:
        if self._keys is None or self.awaited or self.buffered:
            return 0, True
        return dataless(head)

    @property
    def frame_data(self) -> int:
        return self._config.frame_data

    @property
    def owes(self) -> bool:
        return bool(self._owed) or (self._keys is not None and self._keys.owes)

    # -- key exchange --------------------------------------------------------

    def _agree(self, agreed: Agreed) -> None:
        schedule = KeySchedule.extract(
            agreed.es,
            n_a=agreed.n_a,
            transcript=self._outcome.transcript,  # [8547:4.8-1]
            init1=agreed.init1,
            init2=agreed.init2,
            tep_byte=self._outcome.tep_byte,
            aead=agreed.aead,
            original_role=self.role,
        )
        init1, init2 = len(agreed.init1), len(agreed.init2)
        sent, received = (init1, init2) if self.role is Role.A else (init2, init1)
        self._begin(schedule, agreed.n_a, sent, received)

    def resume(self, session: Session) -> None:
        """Keys without a key exchange (section 3.5): frames begin at offset 0.
        [8548:3.2-6, 3.5-19, 3.5-21]"""
        if self._keys is not None or self._wiped:
            raise LocalProtocolError("resume: this connection has, or had, its keys already")
        self._begin(session.schedule(self._outcome), session.identifier, 0, 0)

    def meanwhile(self) -> None:
        make_ahead(self._outcome.tep_byte & ENO_GLT, self._randomness)

    def next_session(self) -> Session | None:
        session, self._next = self._next, None
        return session

    def _begin(self, schedule: KeySchedule, name: bytes, sent: int, received: int) -> None:
        """Frames both ways, after that many stream bytes; ``name`` is for the key log."""
        config = self._config
        if config.cache:
            self._next = Session.after(schedule, self._outcome.tep_byte)
        first = first_frames(schedule, config, name, sent, received)
        first.opener.oob_inline = self._oob_inline
        self._keys = Traffic(
            schedule.session_id, first,
            frame_data=config.frame_data, rekey_bytes=config.rekey_bytes,
            paced=config.frame_size == "auto", raised=self._events.raised,
        )  # fmt: skip

    # -- receiving -----------------------------------------------------------

    def receive_data(self, data: Buffer) -> None:
        if self._keys is not None:
            self._keys.opener.feed(data)
            return
        handshake = self._handshake
        if handshake is None:
            raise LocalProtocolError(
                "the session is to be resumed: call resume() before receive_data()"
            )
        agreed = handshake.receive(data)
        if agreed is None:
            return
        self._agree(agreed[0])
        self._handshake = None
        self._owed += agreed[1]
        if agreed[2]:
            self._ready().opener.feed(agreed[2])

    def room(self, size: int) -> memoryview:
        return self._ready().opener.room(size)

    def received(self, size: int) -> None:
        self._ready().opener.received(size)

    def receive_eof(self) -> None:
        if self._keys is None:
            raise TruncationError(
                "the stream ended during the key exchange, "
                f"{self._handshake.begun if self._handshake else 0} bytes into the peer's "
                "Init message; connection aborted"
            )
        opener = self._keys.opener
        if not opener.finished:  # [8547:5-10, 5-11, 5-13, 5-14] [8548:3.7-4, 3.7-5]
            raise TruncationError(
                f"the stream ended at offset {opener.offset + opener.buffered} without an "
                f"authenticated FINp ({opener.buffered} bytes of an incomplete frame): data "
                "may be missing; connection aborted"
            )

    def read(self, size: int) -> bytes:
        keys = self._ready()
        return keys.read(keys.opener.read, size)

    def read_into(self, out: bytearray | memoryview) -> int:
        keys = self._ready()
        return keys.read(keys.opener.read_into, out)

    def peek(self, size: int) -> bytes:
        return self._ready().opener.peek(size)

    def open_ahead(self) -> None:
        self._ready().open_ahead()

    def next_event(self) -> Event | None:
        if self._keys is not None and not self._told:
            self._told = True
            return EncryptionEnabled(self._keys.session_id, self._keys.aead)
        if self._events:
            return self._events.pop(0)
        if self._keys is None or self._wiped:
            return None
        data = self.read(_EVENT_READ)
        if self.urgent_index != self._urgent_index:
            self._urgent_index = self._keys.opener.urgent_index
            self._events.append(UrgentReceived(self._keys.opener.urgent_index or 0))
        if data:
            self._events.append(DataReceived(data))
        if self._events:
            return self._events.pop(0)
        if self.finished:
            self._wiped = True
            return EndOfStream()
        return None

    # -- urgent data (section 3.7) ---------------------------------------------

    @property
    def urgent_index(self) -> int | None:
        return None if self._keys is None else self._keys.opener.urgent_index

    @property
    def urgent_byte(self) -> int | None:
        return None if self._keys is None else self._keys.opener.urgent_byte

    @property
    def read_index(self) -> int:
        return 0 if self._keys is None else self._keys.opener.read_index

    @property
    def oob_inline(self) -> bool:
        return self._oob_inline

    @oob_inline.setter
    def oob_inline(self, wish: bool) -> None:
        if self._keys is not None:
            self._keys.opener.oob_inline = wish
        self._oob_inline = wish

    # -- sending -------------------------------------------------------------

    def data_to_send(self) -> bytes:
        owed, keys = self._owed, self._keys
        if owed:
            self._owed = b""
        return owed + keys.owed() if keys is not None and keys.owes else owed

    def send(self, data: Buffer, *, fin: bool = False, urgent: bool = False) -> bytes:
        return self._ready().seal(data, fin=fin, urgent=urgent)

    def seal_into(
        self, out: bytearray | memoryview, data: Buffer, *, fin: bool = False
    ) -> tuple[int, int]:
        return self._ready().seal_into(out, data, fin=fin)

    def rekey(self) -> None:
        self._ready().rekey()

    # -- the usual case, compiled ----------------------------------------------

    def pump(self, fd: int, writing: "Lock", reading: "Lock") -> "Pump | None":
        keys = self._ready()
        return create_pump(
            keys.sealer, keys.opener, fd, writing, reading,
            paced=self._config.frame_size == "auto",
        )  # fmt: skip

    def arm(self, pump: "Pump") -> None:
        pump.arm(self._ready().rekey_at)

    def traffic(self) -> Traffic:
        """Both directions, for a relay that is to seal and open in the place of this."""
        return self._ready()

    # -- ends ----------------------------------------------------------------

    def last_words(self) -> bytes:
        return b""  # "abort" is a RST and no more (RFC 8548 section 3.3)

    def wipe(self) -> None:
        """Forget every secret; nothing can be sent or read afterwards.

        Raises LocalProtocolError if another thread is sealing or opening with a
        key; all others are gone then.
        """
        self._wiped = True
        if self._handshake is not None:
            self._handshake.wipe()
        if self._next is not None:
            self._next.wipe()
        if self._keys is not None:
            self._keys.wipe()

    def _ready(self) -> Traffic:
        if self._keys is None:
            raise LocalProtocolError(f"the key exchange is not complete ({self._begun()})")
        return self._keys
