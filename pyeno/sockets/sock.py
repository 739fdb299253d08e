"""``pyeno.Socket``: a ``socket.socket`` whose TCP encrypts itself.

As ``ssl.SSLSocket`` does, it subclasses the standard class and keeps its
methods; where ENO was disabled every call goes straight to it.  What
encryption cannot keep (file-descriptor hand-over, ancillary data) is refused
with an error that says so.
"""

import errno
import os
import socket
import struct
from typing import Any

from pyeno.constants import State
from pyeno.errors import LocalProtocolError
from pyeno.sockets.raw import BaseSocket, kind_of, reset
from pyeno.sockets.receiving import Receiving
from pyeno.sockets.sending import Sending

OOB_INLINE = socket.SOL_SOCKET, socket.SO_OOBINLINE
INT = struct.Struct("i")


class Socket(Receiving, Sending):
    """A stream socket under a :class:`pyeno.Config`.

    ``connect`` completes the key exchange; accepted sockets do so on first
    I/O or ``do_handshake()``, so that a slow peer never blocks ``accept``.
    """

    __slots__ = ()

    # -- opening -------------------------------------------------------------

    def connect(self, address: Any) -> None:
        """As socket.connect(), then the key exchange.

        Raises EncryptionRequiredError where ``Config.require`` forbids the
        plain connection it got.
        """
        self._prepare_ack()
        try:
            super().connect(address)
            self._opened()
        finally:
            self._settle_ack()

    def connect_ex(self, address: Any) -> int:
        """As socket.connect_ex(); protocol errors are still raised."""
        self._prepare_ack()
        try:
            code = super().connect_ex(address)
            if code == 0:
                self._opened()
        finally:
            self._settle_ack()
        return code

    def _prepare_ack(self) -> None:
        """Hold the handshake's last ACK back for the first bytes, unless nobody would
        be there to release it: who does not block comes back whenever it likes."""
        self._reopen()
        if self._configured and self.gettimeout() != 0:
            self._ack.hold(self)

    def _settle_ack(self) -> None:
        if self._link is None:
            self._ack.release(self)

    def fileno(self) -> int:
        """As socket.fileno().  Who asks may wait with it (select, poll), so the peer
        must not be kept waiting for this host's first bytes."""
        self._ack.asked(self)
        return super().fileno()

    def _opened(self) -> None:
        try:
            self._settle(connected=True, taking=True)
            self.do_handshake()
        except BlockingIOError:
            return

    def listen(self, *backlog: int) -> None:
        super().listen(*backlog)
        self._listening = True
        if self._configured:
            # net.ipv4.tcp_fastopen may have switched it on (RFC 8547 section 4.7)
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 0)

    def accept(self) -> tuple["Socket", Any]:
        """As socket.accept(); the key exchange comes with the first I/O.

        A connection that ``Config.require`` forbids is reset at once and its
        socket raises EncryptionRequiredError on every use.
        """
        descriptor, address = self._accept()  # type: ignore[attr-defined]
        accepted = type(self)(*kind_of(self), fileno=descriptor, config=self._config)
        if socket.getdefaulttimeout() is None and self.gettimeout():
            accepted.setblocking(True)
        accepted._seeded = self._seeded
        accepted._settle(connected=True)
        return accepted, address

    def flush_session(self) -> None:
        """Forget the cached session that came of this connection, if any
        (RFC 8548 section 3.5); one that is made later is not cached."""
        self._look()
        if self._link is not None and self._link.caching is not None:
            self._link.caching.flush(self)

    # -- options -------------------------------------------------------------

    def setsockopt(self, level: int, option: int, value: Any, *length: int) -> None:
        """As socket.setsockopt().  The kernel's SO_OOBINLINE stays on while frames come
        in; the application's says what becomes of their urgent bytes."""
        if self._link is None or (level, option) != OOB_INLINE:
            super().setsockopt(level, option, value, *length)
            return
        if not isinstance(value, int):
            if value is None or len(value) < INT.size:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            (value,) = INT.unpack_from(value)
        self._link.connection.oob_inline = bool(value)

    def getsockopt(self, level: int, option: int, *length: int) -> Any:
        """As socket.getsockopt()."""
        if self._link is None or (level, option) != OOB_INLINE:
            return super().getsockopt(level, option, *length)
        inline = int(self._link.connection.oob_inline)
        return INT.pack(inline)[: length[0]] if length and length[0] else inline

    # -- ends ----------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        """As socket.shutdown(); ending the sending side sends FINp first."""
        link = self._encrypted()
        if link is not None and how in (socket.SHUT_WR, socket.SHUT_RDWR):
            link.finish()
        if link is not None and how in (socket.SHUT_RD, socket.SHUT_RDWR):
            link.deaf = True
        super().shutdown(how)

    def _real_close(self, _ss: Any = BaseSocket) -> None:
        if self._link is not None:
            self._link.close()
        super()._real_close(_ss)  # type: ignore[misc]

    def abort(self) -> None:
        """Destroy the connection with a RST (RFC 793 Abort) and close."""
        if self._link is not None:
            self._link.abort()
        else:
            reset(self)
        self.close()

    def detach(self) -> int:
        self._stay(
            "detach: the keys of an encrypted connection cannot leave with the descriptor"
        )
        return super().detach()

    def dup(self) -> "Socket":
        self._stay("dup: the keys of an encrypted connection cannot be shared")
        return Socket(*kind_of(self), fileno=socket.dup(self.fileno()), config=self._config)

    def _stay(self, refusal: str) -> None:
        """Refuse where the connection is, or may turn out to be, encrypted."""
        self._look()
        if self._link is not None or self._result.state is State.OFFERED:
            raise LocalProtocolError(refusal)

    def __getstate__(self) -> None:
        raise TypeError("a pyeno.Socket cannot be pickled")
