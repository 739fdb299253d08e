"""Far sockets whose keys, where a session is resumed (RFC 8548 section 3.5), go from the
kernel to an engine.

A resumed session has no key exchange: nothing is sent or received before the engine
does it.  So there is no link, with its locks, its pump and its timer.
"""

from typing import TYPE_CHECKING, Any

from pyeno._backend import backend
from pyeno.config import Config
from pyeno.errors import LocalProtocolError
from pyeno.sockets import Info, Socket, caching, forks
from pyeno.sockets.raw import BaseSocket
from pyeno.sockets.settling import outcome_of
from pyeno.tcpcrypt.connection import Connection

if TYPE_CHECKING:
    from pyeno.kernel import Result
    from pyeno.tcpcrypt.agreement import Secret


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
        self.resumed: Connection | None = None
        """with its keys, for the engine; None: the connection has a link, or is plain"""
        super().__init__(family, type, proto, fileno, config=config)

    def _adopt(self, result: "Result", ss: "Secret | None") -> None:
        if ss is None or backend == "pure":  # without an engine, a link does it
            super()._adopt(result, ss)
            return
        # whatever is tried with the socket itself must not pass for plain TCP
        self._refused = LocalProtocolError("the keys of this connection are a relay's engine's")
        outcome = outcome_of(result)
        self.resumed = connection = Connection(outcome, self._config)
        forks.keep(self)
        kept = caching.Caching(outcome, result, self._config, ss, resumes=True)
        kept.resume(self, connection)
        kept.publish(self, connection)

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
