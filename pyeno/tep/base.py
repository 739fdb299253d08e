"""BaseConnection: a whole TepConnection over the few methods that make a TEP.

What a TEP writes itself knows of no buffers, sockets or threads:

    begin()          the stream bytes this host sends first
    take(data)       stream bytes came: it calls owe(), establish(), deliver(), end()
    seal(data, fin)  the stream bytes of one piece of application data
    wipe()           forget every secret
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pyeno._values import Buffer, Outcome
from pyeno.constants import Role
from pyeno.errors import (
    LocalProtocolError,
    NotEncryptedError,
    RemoteProtocolError,
    TepError,
    TruncationError,
)
from pyeno.events import DataReceived, EncryptionEnabled, EndOfStream, Event
from pyeno.option import parse
from pyeno.tep.defaults import Defaults as Defaults
from pyeno.tep.definition import check_session_id, failure, number
from pyeno.tep.registry import get
from pyeno.tep.room import Room

if TYPE_CHECKING:
    from pyeno.config import Config

T = TypeVar("T")

_EVENT_READ = 1 << 16


class BaseConnection(Defaults, ABC):
    """Give it stream bytes, take application bytes, and the other way round.

    ``take`` raises RemoteProtocolError for what the peer must not send; what was
    delivered before is read first all the same.  No two of the TEP's methods run
    at once, whatever threads use the connection.
    """

    frame_data: int = 1 << 14
    """application bytes that ``seal`` is given at once, at most"""
    overhead: int = 1 << 10
    """stream bytes that one ``seal`` makes beyond its data, at most"""

    def __init__(self, outcome: Outcome, config: "Config") -> None:
        self.outcome = outcome
        self.config = config
        # re-entrant: a signal handler may send on the connection it interrupted
        self._lock = threading.RLock()
        self._begun = self._ended = self._fin_sealed = self._wiped = False
        self._session_id = b""
        self._owed = b""
        self._plain = bytearray()
        self._room = Room()
        self._fault: Exception | None = None
        """what ``take`` raised once there were keys: told when all before it is read"""
        self._opened = self._buffered = self._sealed = 0
        self._told = self._end_told = False

    def __repr__(self) -> str:
        state = "established" if self.established else "key exchange"
        return f"<{type(self).__name__}: role {self.role.value}, {state}>"

    def __getstate__(self) -> None:
        raise TypeError(f"a {type(self).__name__} has secrets and cannot be pickled")

    # -- what a TEP writes -------------------------------------------------------

    @abstractmethod
    def begin(self) -> bytes:
        """What this host sends before it has received anything, if anything."""

    @abstractmethod
    def take(self, data: bytes) -> None:
        """The next bytes of the stream, cut anywhere; raises RemoteProtocolError."""

    @abstractmethod
    def seal(self, data: bytes, fin: bool) -> bytes:
        """The stream bytes of at most ``frame_data`` bytes; ``fin``: this host's
        authenticated end of stream follows them, and ``data`` may be empty then."""

    @abstractmethod
    def wipe(self) -> None:
        """Forget every secret of the TEP's own, then call ``super().wipe()``; may be
        called at any time, and twice."""
        with self._lock:
            self._wiped = True
            self._plain.clear()
            self._owed = b""

    # -- what it calls -------------------------------------------------------------

    @property
    def role(self) -> Role:
        """This host's."""
        return self.outcome.role

    def suboption_data(self, role: Role) -> bytes | None:
        """What the host of this role sent with the negotiated TEP; None: v = 0."""
        transcript, tep = self.outcome.transcript, number(self.outcome.tep_byte)
        middle = transcript[1]  # host A's option, its length in its second byte, then B's
        option = transcript[:middle] if role is Role.A else transcript[middle:]
        for suboption in parse(option).teps:
            if suboption.tep == tep:
                return suboption.data if suboption.v else None
        return None

    def owe(self, stream: bytes) -> None:
        """Send this, before anything that is sealed from now on."""
        with self._lock:
            if not self._fin_sealed:
                self._owed += stream

    def establish(self, session_id: bytes) -> None:
        """Keys are agreed; once (RFC 8547 section 5.1)."""
        if self._session_id:
            raise TepError(f"{self._whose()}: establish() was called twice; connection aborted")
        self._session_id = check_session_id(self._whose(), session_id, self.outcome.tep_byte)

    def deliver(self, data: bytes) -> None:
        """Application data that were authenticated, in order."""
        if not self.established:
            raise TepError(f"{self._whose()}: deliver() before establish(); connection aborted")
        if self._ended and data:
            raise RemoteProtocolError(
                "application data follow the authenticated end of stream; connection aborted"
            )
        self._plain += data

    def end(self) -> None:
        """The peer's end of stream was authenticated."""
        if not self.established:
            raise TepError(f"{self._whose()}: end() before establish(); connection aborted")
        self._ended = True

    def _whose(self) -> str:
        definition = get(number(self.outcome.tep_byte))
        return type(self).__name__ if definition is None else definition.whose

    def _made(self, method: Callable[..., bytes], *arguments: Any) -> bytes:
        """Stream bytes of the TEP's own."""
        stream = self._call(method, *arguments)
        if not isinstance(stream, bytes):
            raise TepError(
                f"{self._whose()}: {method.__name__}() gave {type(stream).__name__}, not "
                "bytes; connection aborted"
            )
        return stream

    def _call(self, method: Callable[..., T], *arguments: Any) -> T:
        """One of the TEP's own: the peer may be at fault, or the TEP."""
        try:
            return method(*arguments)
        except (RemoteProtocolError, TepError):
            raise
        except Exception as error:
            raise failure(self._whose(), method, error) from error

    # -- what is known -------------------------------------------------------------

    @property
    def established(self) -> bool:
        return bool(self._session_id)

    @property
    def session_id(self) -> bytes:
        if not self._session_id:
            raise NotEncryptedError(
                "no session ID yet: the key exchange is not complete; call do_handshake()"
            )
        return self._session_id

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def finished(self) -> bool:
        return self._ended and not self._plain and self._fault is None

    @property
    def opened(self) -> int:
        return self._opened

    @property
    def buffered(self) -> int:
        return self._buffered

    @property
    def awaited(self) -> int:
        return len(self._plain)

    @property
    def sealed(self) -> int:
        return self._sealed

    @property
    def owes(self) -> bool:
        return bool(self._owed) or not (self._begun or self._wiped)

    # -- receiving -------------------------------------------------------------------

    def receive_data(self, data: Buffer) -> None:
        with self._lock:
            self._usable()
            self._begin()
            if data:
                self._take(bytes(data))

    def _take(self, data: bytes) -> None:
        if self._fault is not None:
            self._buffered += len(data)
            return
        try:
            if self._ended:
                raise RemoteProtocolError(
                    f"{len(data)} bytes follow the authenticated end of the stream; connection "
                    "aborted"
                )
            self._call(self.take, data)
        except Exception as error:
            self._buffered += len(data)
            if not self.established or isinstance(error, TepError):
                raise
            self._fault = error
        else:
            self._opened += len(data)

    def room(self, size: int) -> memoryview:
        self._ready()
        return self._room.lend(size)

    def received(self, size: int) -> None:
        with self._lock:
            self._ready()
            if size:
                self._take(self._room.take(size))

    def receive_eof(self) -> None:
        if self._fault is not None:
            raise self._fault
        if not self.established:
            raise TruncationError(
                f"the stream ended during the key exchange, after {self._opened} bytes; "
                "connection aborted"
            )
        if not self._ended:  # [8547:5-10, 5-11, 5-13, 5-14]
            raise TruncationError(
                f"the stream ended at offset {self._opened} without an authenticated end: data "
                "may be missing; connection aborted"
            )

    def read(self, size: int) -> bytes:
        with self._lock:
            self.open_ahead()
            with memoryview(self._plain) as view:
                data = bytes(view[:size])
            del self._plain[:size]
            return data

    def read_into(self, out: bytearray | memoryview) -> int:
        with self._lock:
            data = self.read(len(out))
            memoryview(out).cast("B")[: len(data)] = data
            return len(data)

    def peek(self, size: int) -> bytes:
        with self._lock:
            self._ready()
            return bytes(self._plain[:size])

    def open_ahead(self) -> None:
        self._ready()
        if self._fault is not None and not self._plain:
            raise self._fault

    def next_event(self) -> Event | None:
        if not self.established:
            return None
        if not self._told:
            self._told = True
            return EncryptionEnabled(self._session_id, self.aead)
        if self._wiped:
            return None
        data = self.read(_EVENT_READ)
        if data:
            return DataReceived(data)
        if self.finished and not self._end_told:
            self._end_told = True
            return EndOfStream()
        return None

    # -- sending -----------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        with self._lock:
            if not self._wiped:
                self._begin()
            return self._count(self._owing())

    def send(self, data: Buffer, *, fin: bool = False, urgent: bool = False) -> bytes:
        with self._lock:
            self._sendable()
            if urgent:
                raise LocalProtocolError(
                    f"urgent data: {self._whose()} disables them (RFC 8547 section 5); send "
                    "them without MSG_OOB"
                )
            view = memoryview(data).cast("B")
            pieces = [self._owing()]
            while len(view) > self.frame_data:
                pieces.append(self._seal(view[: self.frame_data], False))
                view = view[self.frame_data :]
            if view or fin:
                pieces.append(self._seal(view, fin))
            return self._count(b"".join(pieces))

    def seal_into(
        self, out: bytearray | memoryview, data: Buffer, *, fin: bool = False
    ) -> tuple[int, int]:
        with self._lock:
            self._sendable()
            room, view = memoryview(out).cast("B"), memoryview(data).cast("B")
            if len(room) <= len(self._owed) + self.overhead:
                raise ValueError(
                    f"out has {len(room)} bytes; a frame needs more than "
                    f"{len(self._owed) + self.overhead}"
                )
            owed, taken, done = self._owing(), 0, False
            at = len(owed)
            room[:at] = owed
            while not done and (size := len(room) - at - self.overhead) > 0:
                piece = view[taken : taken + min(size, self.frame_data)]
                taken += len(piece)
                done = taken == len(view)
                if piece or fin:
                    stream = self._seal(piece, fin and done)
                    room[at : at + len(stream)] = stream
                    at += len(stream)
            self._sealed += at
            return taken, at

    def _seal(self, piece: memoryview, fin: bool) -> bytes:
        stream = self._made(self.seal, bytes(piece), fin)
        self._fin_sealed = self._fin_sealed or fin
        if len(stream) > len(piece) + self.overhead:
            raise TepError(
                f"{self._whose()}: seal() made {len(stream)} bytes of {len(piece)}; its "
                f"overhead is {self.overhead} at most; connection aborted"
            )
        return stream

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._owed += self._made(self.begin)

    def _owing(self) -> bytes:
        owed, self._owed = self._owed, b""
        return owed

    def _count(self, stream: bytes) -> bytes:
        self._sealed += len(stream)
        return stream

    # -- what is allowed when ------------------------------------------------------------

    def _usable(self) -> None:
        if self._wiped:
            raise LocalProtocolError("this connection was wiped; make a new one")

    def _ready(self) -> None:
        self._usable()
        if not self.established:
            raise LocalProtocolError("the key exchange is not complete")

    def _sendable(self) -> None:
        self._ready()
        if self._fin_sealed:
            raise LocalProtocolError("send after the end of the stream was sent")
