"""Far sockets whose keys, where a session is resumed (RFC 8548 section 3.5), go from the
kernel to an engine.

A resumed session has no key exchange: nothing is sent or received before the engine
does it.  So there is no link, with its locks, its pump and its timer, and no connection
that could seal and open.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

from pyeno._backend import backend
from pyeno._values import Outcome
from pyeno.config import Config
from pyeno.constants import Aead
from pyeno.errors import LocalProtocolError
from pyeno.sockets import Info, Socket, caching, forks
from pyeno.sockets.raw import BaseSocket
from pyeno.sockets.settling import outcome_of
from pyeno.tcpcrypt.keylog import logged
from pyeno.tcpcrypt.sessions import Session
from pyeno.tcpcrypt.traffic import first_frames, next_rekeying

if TYPE_CHECKING:
    from pyeno._native.relay import Keys
    from pyeno.kernel import Result
    from pyeno.tcpcrypt.agreement import Secret


@cache
def _keys() -> "type[Keys]":
    from pyeno._native.relay import Keys

    return Keys


class Resumed:
    """The keys, and what is told of them."""

    __slots__ = (
        "_config", "_next", "_outcome", "aead", "established", "keys", "session_id",
    )  # fmt: skip

    peer_key = None
    generation = remote_generation = 0

    def __init__(self, outcome: Outcome, config: Config) -> None:
        self._outcome, self._config = outcome, config
        self._next: Session | None = None
        self.aead: Aead | None = None
        self.session_id = b""
        self.established = False
        self.keys: Keys | None = None
        """for the engine, or wiped"""

    def resume(self, session: Session) -> None:
        """As :meth:`pyeno.tcpcrypt.connection.Connection.resume`."""
        config, outcome = self._config, self._outcome
        schedule = session.schedule(outcome)
        self.session_id = schedule.session_id
        if config.cache:
            self._next = Session.after(schedule, outcome.tep_byte)
        first = first_frames(schedule, config, session.identifier)
        self.aead = first.aead
        self.keys = _keys()(
            first.sealer, first.opener, first.sending, first.receiving,
            paced=config.frame_size == "auto",
            rekey_bytes=config.rekey_bytes,
            rekey_at=next_rekeying(config.rekey_bytes),
            advanced_at=-1,
            empty_unanswered=0,
            log=first.log if logged(first.log) else None,
        )  # fmt: skip
        self.established = True

    def next_session(self) -> Session | None:
        """See :class:`pyeno.tep.TepConnection`."""
        session, self._next = self._next, None
        return session

    def taken(self) -> "Keys":
        """The keys; LocalProtocolError where they are wiped: never plain TCP instead."""
        if self.keys is None:
            raise LocalProtocolError("add: the keys of this connection are wiped")
        return self.keys

    def wipe(self) -> None:
        """Forget what the engine has not taken."""
        self.keys = None
        if self._next is not None:
            self._next.wipe()


class Far(Socket):
    """One of a relay's, towards another host."""

    __slots__ = ("resumed",)

    def __init__(
        self,
        family: int = -1,
        type: int = -1,
        proto: int = -1,
        fileno: int | None = None,
        *,
        config: Config | None = None,
    ) -> None:
        self.resumed: Resumed | None = None
        """None: the connection has a link, or is plain"""
        super().__init__(family, type, proto, fileno, config=config)

    def _adopt(self, result: "Result", ss: "Secret | None") -> None:
        if ss is None or backend == "pure":  # without an engine, a link does it
            super()._adopt(result, ss)
            return
        # whatever is tried with the socket itself must not pass for plain TCP
        self._refused = LocalProtocolError("the keys of this connection are a relay's engine's")
        outcome = outcome_of(result)
        self.resumed = resumed = Resumed(outcome, self._config)
        forks.keep(self)
        kept = caching.Caching(outcome, result, self._config, ss, resumes=True)
        kept.resume(self, resumed)
        kept.publish(self, resumed)

    @property
    def eno(self) -> Info:
        """As of every socket."""
        return super().eno if self.resumed is None else Info(self._result, self.resumed)

    def disown(self, why: LocalProtocolError) -> None:
        """See :mod:`pyeno.sockets.forks`."""
        self._refused = why
        self._wipe()

    def _wipe(self) -> None:
        if self.resumed is not None:
            self.resumed.wipe()

    def _real_close(self, _ss: Any = BaseSocket) -> None:
        self._wipe()
        super()._real_close(_ss)
