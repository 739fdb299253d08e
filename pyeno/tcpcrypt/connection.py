"""One tcpcrypt connection without I/O: joins handshake, key schedule, frames.

    stream bytes ──▶ Handshake ──Agreed──┐
                      Session ──ss[i]──▶ KeySchedule ──keys──▶ Sealer, Opener
                                             └──ss[i+1]──▶ Session

Offsets in the framer count every byte of the direction's TCP stream, the Init
message included (RFC 8548 section 3.6).  Rekeying (section 3.8) is decided
here and nowhere else: the framer flags and uses the keys it is given.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from pyeno._values import Buffer, Outcome
from pyeno.config import Config
from pyeno.constants import ENO_GLT, Aead, Role
from pyeno.errors import LocalProtocolError, NotEncryptedError, TruncationError
from pyeno.events import DataReceived, EncryptionEnabled, EndOfStream, Event, Rekeyed
from pyeno.tcpcrypt.agreement import Secret
from pyeno.tcpcrypt.framer import Opener, Sealer
from pyeno.tcpcrypt.handshake import Agreed, Handshake
from pyeno.tcpcrypt.keylog import KeyLog
from pyeno.tcpcrypt.keyschedule import Generations, KeySchedule
from pyeno.tcpcrypt.schemes import Randomness
from pyeno.tcpcrypt.sessions import Session
from pyeno.tcpcrypt.system import SYSTEM

_EVENT_READ = 1 << 16

Wish = TypeVar("Wish")
Taken = TypeVar("Taken", int, bytes)


class _Keys(NamedTuple):
    """The two directions after the key exchange."""

    session_id: bytes
    aead: Aead
    sending: Generations
    receiving: Generations
    sealer: Sealer
    opener: Opener


class Connection:
    """Give it stream bytes, take application bytes, and the other way round.

    ``outcome`` is the negotiation's; ``randomness`` may be injected, so that
    tests and simulators are repeatable.  Where the negotiation resumed a
    session, ``resume()`` takes the place of the key exchange.  Implements
    :class:`pyeno.tep.TepConnection`; see there for each method.
    """

    def __init__(
        self, outcome: Outcome, config: Config, *, randomness: Randomness = SYSTEM
    ) -> None:
        self._outcome = outcome
        self._config = config
        self._handshake = Handshake(
            role=outcome.role,
            tep=outcome.tep_byte & ENO_GLT,
            aeads=config.aeads,
            randomness=randomness,
        )
        self._original_role = outcome.role
        self._keys: _Keys | None = None
        self._next: Session | None = None
        self._keylog = KeyLog(config.keylog)
        self._events: deque[Event] = deque(maxlen=64)
        self._rekey_at = 0
        self._advanced_at = -1
        self._answer_due = False
        self._wiped = False
        self._owed = b"" if outcome.resumed else self._handshake.start()

    # -- what is known -------------------------------------------------------

    def __repr__(self) -> str:
        if self._keys is None:
            return (
                f"<tcpcrypt Connection: role {self.role.value}, {self._handshake.state.value}>"
            )
        return f"<tcpcrypt Connection: role {self.role.value}, generation {self.generation}>"

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
    def aead(self) -> Aead | None:
        return None if self._keys is None else self._keys.aead

    @property
    def generation(self) -> int:
        return 0 if self._keys is None else self._keys.sending.generation

    @property
    def awaited(self) -> int:
        return 0 if self._keys is None else self._keys.opener.pending

    @property
    def frame_data(self) -> int:
        return self._config.frame_data

    @property
    def owes(self) -> bool:
        return bool(self._owed) or self._answer_due

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
        """Keys without a key exchange (section 3.5): frames begin at offset 0."""
        if self._keys is not None or self._wiped:
            raise LocalProtocolError("resume: this connection has, or had, its keys already")
        schedule = session.schedule(self._outcome)
        self._original_role = session.original_role
        self._begin(schedule, session.identifier, 0, 0)

    def next_session(self) -> Session | None:
        session, self._next = self._next, None
        return session

    def _begin(self, schedule: KeySchedule, name: bytes, sent: int, received: int) -> None:
        """Frames both ways, after that many stream bytes; ``name`` is for the key log."""
        sending, receiving = schedule.outgoing(), schedule.incoming()
        session_id, aead = schedule.session_id, Aead(schedule.aead)
        if self._config.cache:
            self._next = Session.after(schedule, self._outcome.tep_byte)
        schedule.wipe()
        self._keylog.begin(name, aead)
        key, peer_key = sending.traffic_key(), receiving.traffic_key()
        self._log(sending, key, outgoing=True)
        self._log(receiving, peer_key, outgoing=False)
        sealer = Sealer(aead, key, sent, frame_size=self._config.frame_data)
        opener = Opener(aead, peer_key, received)
        self._keys = _Keys(session_id, aead, sending, receiving, sealer, opener)
        self._plan_rekey()
        self._events.append(EncryptionEnabled(session_id, aead))

    def _log(self, generations: Generations, key: Secret, *, outgoing: bool) -> None:
        direction = "ab" if outgoing is (self._original_role is Role.A) else "ba"
        self._keylog.write(direction, generations.generation, key)

    # -- receiving -----------------------------------------------------------

    def receive_data(self, data: Buffer) -> None:
        if self._keys is not None:
            self._keys.opener.feed(data)
            return
        if self._outcome.resumed:
            raise LocalProtocolError(
                "the session is to be resumed: call resume() before receive_data()"
            )
        agreed = self._handshake.receive(data)
        if agreed is None:
            return
        self._agree(agreed[0])
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
                f"the stream ended during the key exchange, {self._handshake.begun} bytes "
                "into the peer's Init message; connection aborted"
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
        return self._read(keys, keys.opener.read, size)

    def read_into(self, out: bytearray | memoryview) -> int:
        keys = self._ready()
        return self._read(keys, keys.opener.read_into, out)

    def _read(self, keys: _Keys, read: Callable[[Wish], Taken], wish: Wish) -> Taken:
        """Across any frames that raise the remote generation."""
        taken = read(wish)
        while not taken and keys.opener.rekey_wanted:
            self._offer_next_key(keys)
            taken = read(wish)
            self._raise_remote_generation(keys)
        return taken

    def next_event(self) -> Event | None:
        if self._events:
            return self._events.popleft()
        if self._keys is None or self._wiped:
            return None
        data = self.read(_EVENT_READ)
        if data:
            return DataReceived(data)
        if self._events:
            return self._events.popleft()
        if self.finished:
            self._wiped = True
            return EndOfStream()
        return None

    # -- sending -------------------------------------------------------------

    def data_to_send(self) -> bytes:
        if self._answer_due:
            self._answer_rekey(self._ready())
        owed, self._owed = self._owed, b""
        return owed

    def send(self, data: Buffer, *, fin: bool = False) -> bytes:
        keys = self._sendable()
        if keys.sealer.offset >= self._rekey_at:
            self._advance(keys)
        return keys.sealer.seal(data, fin=fin)

    def seal_into(
        self, out: bytearray | memoryview, data: Buffer, *, fin: bool = False
    ) -> tuple[int, int]:
        keys = self._sendable()
        if keys.sealer.offset >= self._rekey_at:
            self._advance(keys)
        return keys.sealer.seal_into(out, data, fin=fin)

    # -- rekeying (section 3.8) ------------------------------------------------

    def rekey(self) -> None:
        """Initiate rekeying: the next frame sent carries rekey = 1."""
        keys = self._sendable()
        if not self._unannounced(keys):
            self._advance(keys)

    def _unannounced(self, keys: _Keys) -> bool:
        """No frame has used the local generation yet, so it must not be raised again."""
        return keys.sealer.offset == self._advanced_at

    def _advance(self, keys: _Keys) -> None:
        """Raise the local generation; the frame that announces it comes next.

        When data is sent this waits for no answer ("MUST NOT initiate more than one
        concurrent rekey operation if it has no data to send"): who only sends reads
        no answers, and one key must not seal without end.
        """
        self._advanced_at = keys.sealer.offset
        keys.sending.advance()
        key = keys.sending.traffic_key()
        keys.sealer.rekey(key)
        self._plan_rekey()
        self._log(keys.sending, key, outgoing=True)

    def _answer_rekey(self, keys: _Keys) -> None:
        self._answer_due = False
        if keys.sealer.finished:
            return
        if self._unannounced(keys):
            self._owed += keys.sealer.seal(b"")
        # one frame for each generation: "MUST immediately increment ... to match"
        while keys.sending.generation < keys.receiving.generation:
            self._advance(keys)
            self._owed += keys.sealer.seal(b"")

    def _plan_rekey(self) -> None:
        if self._keys is not None:
            budget = self._config.rekey_bytes
            offset = self._keys.sealer.offset
            self._rekey_at = 1 << 63 if budget is None else offset + budget

    def _offer_next_key(self, keys: _Keys) -> None:
        """The next frame has rekey = 1; it has yet to authenticate."""
        keys.receiving.advance()
        key = keys.receiving.traffic_key()
        keys.opener.rekey(key)
        self._log(keys.receiving, key, outgoing=False)

    def _raise_remote_generation(self, keys: _Keys) -> None:
        """It did.  An answer is owed if the remote generation is now ahead; it
        is sealed by data_to_send(), which the caller keeps in stream order."""
        self._events.append(Rekeyed(keys.receiving.generation))
        behind = keys.sending.generation < keys.receiving.generation
        self._answer_due = behind or self._unannounced(keys)

    # -- ends ----------------------------------------------------------------

    def wipe(self) -> None:
        """Forget every secret; nothing can be sent or read afterwards.

        Raises LocalProtocolError if another thread is sealing or opening with a
        key; all others are gone then.
        """
        self._wiped = True
        self._handshake.wipe()
        if self._next is not None:
            self._next.wipe()
        busy: LocalProtocolError | None = None
        for part in () if self._keys is None else self._keys[2:]:
            try:
                part.wipe()
            except LocalProtocolError as error:
                busy = error
        if busy is not None:
            raise busy

    def _ready(self) -> _Keys:
        if self._keys is None:
            raise LocalProtocolError(
                f"the key exchange is not complete ({self._handshake.state.value})"
            )
        return self._keys

    def _sendable(self) -> _Keys:
        keys = self._ready()
        if keys.sealer.finished:
            raise LocalProtocolError("send after the end of stream (FINp) was sent")
        return keys


def create(outcome: Outcome, config: Config) -> Connection:
    """The factory :mod:`pyeno.tep` calls for every tcpcrypt TEP."""
    return Connection(outcome, config)
