"""The kernel's verdict on a socket's connection, read once: the plain socket, a
:class:`~pyeno.sockets.link.Link`, or a refusal.
"""

import errno
import os
import select
import socket
import threading
from typing import TYPE_CHECKING

from pyeno import entropy, kernel, tep
from pyeno._values import Outcome
from pyeno.config import Config, as_config
from pyeno.constants import Reason, State
from pyeno.errors import ABORTING, EncryptionRequiredError, KernelError, PyenoError
from pyeno.sockets import caching, forks
from pyeno.sockets.acks import HeldAck
from pyeno.sockets.info import Info
from pyeno.sockets.link import Link
from pyeno.sockets.raw import BaseSocket, deadline_after, kind_of, ready, reset, wait

if TYPE_CHECKING:
    from pyeno.pump import Pump
    from pyeno.tcpcrypt.agreement import Secret

_getsockopt = BaseSocket.getsockopt  # type: ignore[attr-defined]
_setsockopt = BaseSocket.setsockopt  # type: ignore[attr-defined]
_STREAMS = ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET6, socket.SOCK_STREAM))
_SOL_SOCKET, _SO_OOBINLINE = int(socket.SOL_SOCKET), int(socket.SO_OOBINLINE)

# never plain TCP: the peer may encrypt, or does
_UNKNOWN = {
    Reason.UNAVAILABLE: (
        errno.ENOPROTOOPT,
        "the BPF programs were detached while this connection opened: whether it is "
        "encrypted cannot be told any more; connection reset, connect again",
    ),
    Reason.FORGOTTEN: (
        errno.ENOBUFS,
        "the peer encrypts, but too many half-open connections pushed out what was agreed "
        "with it; connection reset, let it connect again",
    ),
}


def outcome_of(result: kernel.Result) -> Outcome:
    """What a TEP is told of a negotiation that succeeded."""
    return Outcome(
        Reason.NEGOTIATED, result.role, result.peer_aware, result.tep_byte, result.resumed,
        result.transcript,
    )  # fmt: skip


class Settling(socket.socket):
    """What is known of the connection, and how it came to be known."""

    __slots__ = (
        "_ack", "_config", "_configured", "_link", "_listening", "_pump", "_refused", "_result",
        "_seeded", "_settled", "_settling",
    )  # fmt: skip

    _link_type = Link

    def __init__(
        self,
        family: int = -1,
        type: int = -1,
        proto: int = -1,
        fileno: int | None = None,
        *,
        config: Config | None = None,
    ) -> None:
        self._config = as_config(config)
        self._result = kernel.NOT_CONFIGURED
        self._link: Link | None = None
        self._pump: Pump | None = None
        self._ack = HeldAck()
        self._listening = False
        self._configured = False
        self._seeded = True
        self._refused: PyenoError | None = None
        self._settled = False
        self._settling = threading.Lock()
        super().__init__(family, type, proto, fileno)
        if fileno is None:
            try:
                self._configure()
            except BaseException:
                self.close()
                raise

    def _configure(self) -> None:
        if kind_of(self)[:2] in _STREAMS:
            self._seeded = entropy.ready()
            if self._seeded:
                self._configured = caching.configure(self, self._config)

    @property
    def config(self) -> Config:
        """The policy this socket was made with."""
        return self._config

    # -- what ENO made of it -------------------------------------------------

    @property
    def eno(self) -> Info:
        """What TCP-ENO made of this connection; see :class:`pyeno.Info`."""
        self._look()
        return Info(self._result, None if self._link is None else self._link.connection)

    def _look(self) -> None:
        """Settle if there is a connection to settle."""
        if not self._settled and not self._closed and not self._listening:  # type: ignore[attr-defined]
            self._settle()

    def _settle(self, *, connected: bool = False, taking: bool = False) -> bool:
        """Read the kernel's verdict; False while there is none yet.  ``taking``: with the
        secret of a resumed session, for the handshake that follows at once.

        One thread at a time, or two would make keys.  Connected or not is asked
        first: a connection that opens between the two questions would pass for a
        plain one.  Nor is OFFERED ever a verdict: so reads a simultaneous open
        whose last segment is still to come (RFC 8547 section 4.6).
        """
        with self._settling:
            if self._settled:
                return True
            connected = connected or self._connected()
            result, ss = self._verdict(taking)
            self._result = result
            if result.state is State.ENCRYPTED:  # [8547:4.6-10, 4.6-11] [8548:3.2-9, 3.2-11]
                self._adopt(result, ss)
            else:
                if not connected or result.state is State.OFFERED:
                    return False
                self._ack.release(self)
                if result.reason is Reason.FORGOTTEN or (
                    self._configured and result.reason is Reason.UNAVAILABLE
                ):
                    self._refuse_unknown(result.reason)
                elif self._config.require:
                    self._refuse(result.reason)
            self._settled = True
            return True

    def _verdict(self, taking: bool) -> "tuple[kernel.Result, Secret | None]":
        if not self._seeded:
            return kernel.NO_ENTROPY, None
        if taking and self._configured:
            return caching.result(self)
        return kernel.result(self), None

    def _adopt(self, result: kernel.Result, ss: "Secret | None") -> None:
        config = self._config
        outcome = outcome_of(result)
        # TCP's unauthenticated URG flag must not take a byte out of the stream of frames
        # (RFC 8548 section 3.7) [8547:5-15]
        inline = _getsockopt(self, _SOL_SOCKET, _SO_OOBINLINE)
        if not inline:
            _setsockopt(self, _SOL_SOCKET, _SO_OOBINLINE, 1)
        try:
            definition, connection = tep.create_connection(outcome, config)
            connection.oob_inline = bool(inline)
        except ABORTING as error:
            reset(self)
            self._refused = error
            return
        link = self._link_type(
            self, connection, config.handshake_timeout, config.liveness, self._ack
        )
        link.tep = definition
        link.caching = caching.Caching(outcome, result, config, ss, resumes=definition.resumes)
        if ss is not None:
            forks.keep(link)
        self._link = link

    def _connected(self) -> bool:
        try:
            self.getpeername()
        except OSError as error:
            if error.errno == errno.ENOTCONN:
                return False
            raise
        return True

    def _refuse(self, reason: Reason) -> None:
        reset(self)
        self._refused = EncryptionRequiredError(
            f"encryption is required but was disabled: {reason.slug}; connection reset before "
            "any application data",
            reason,
        )

    def _refuse_unknown(self, reason: Reason) -> None:
        reset(self)
        self._refused = KernelError(*_UNKNOWN[reason])

    def _encrypted(self) -> Link | None:
        """The link, or None where the plain socket is to be used.

        While a SYN with ENO may be sent or is unanswered neither is right: a byte
        written now could leave as plaintext on a connection whose ENO then succeeds.
        [8547:4.6-13] [8548:3.2-10]
        """
        if not self._settled and not self._listening and not self._settle():
            self._await_connected()
        if self._refused is not None:
            raise self._refused
        return self._link

    def _await_connected(self) -> None:
        if self._result.state in (State.OFF, State.DISABLED) and not self._config.require:
            return
        if self._result.state in (State.OFFERED, State.DISABLED):
            timeout = self.gettimeout()
            if timeout != 0:
                wait(self, select.POLLOUT, deadline_after(timeout))
            elif not ready(self, select.POLLOUT):
                raise BlockingIOError(errno.EAGAIN, "the connection is not established yet")
            if self._settle():
                return
        code = self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ENOTCONN
        raise OSError(code, os.strerror(code))

    def do_handshake(self) -> None:
        """Complete the key exchange, as the socket's timeout allows.

        Raises RemoteProtocolError, EncryptionRequiredError, TimeoutError,
        BlockingIOError.  Does nothing on a connection that is not encrypted.
        """
        link = self._encrypted()
        if link is not None:
            self._prime(link)

    def _prime(self, link: Link) -> "Pump | None":
        """Keys first; then the pump, if there is one."""
        link.handshake()
        self._pump = link.pump
        return link.pump

    def link(self) -> Link | None:
        """For who drives the link itself: see _encrypted()."""
        return self._encrypted()

    def wants_room(self) -> bool:
        """After BlockingIOError from do_handshake(): wait to write, too."""
        return not self._settled or (self._link is not None and self._link.blocked)

    def _reopen(self) -> None:
        """A connection that ended with an error may be followed by another."""
        self._listening = False
        ended = self._refused is not None or (self._link is not None and self._link.error)
        if ended and not self._connected():
            if self._link is not None:  # the kernel's is the application's again
                inline = self._link.connection.oob_inline
                super().setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, inline)
            self._settled, self._link, self._refused = False, None, None
            self._pump = None
