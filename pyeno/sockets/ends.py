"""How a connection comes to its end: what ended it, said again by every later
call, and that its keys are gone by then.
"""

import errno
import os
import socket
import time
import weakref

from pyeno.errors import KernelError, LocalProtocolError, RemoteProtocolError, TepError
from pyeno.sockets.raw import TCP_CLOSE, reset, tcp_state
from pyeno.tep import TepConnection

WIPE_TRIES, WIPE_PAUSE = 50, 0.001
"""times, seconds: a key is in use for one batch of frames at most"""

LOST = {
    errno.ECONNABORTED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPIPE,
    errno.ETIMEDOUT,
}  # fmt: skip
"""With these the kernel says, to one call only, that the connection is gone."""


class Mortal:
    """What a :class:`~pyeno.sockets.link.Link` knows of its end."""

    error: Exception | None = None
    lost: OSError | None = None
    """the kernel's word that the connection is gone, whichever thread got it"""
    closed = False
    _fin_sent = False

    def __init__(self, sock: socket.socket, connection: TepConnection) -> None:
        # weak, so that a socket nobody holds is closed at once, as the standard one is
        self._socket = weakref.ref(sock)
        self.connection = connection

    @property
    def _sock(self) -> socket.socket:
        sock = self._socket()
        if sock is None:
            raise OSError(errno.EBADF, "the socket of this connection is gone")
        return sock

    def check(self, *, sending: bool = False) -> None:
        """Raise what ended the connection, if anything did."""
        if self.error is not None:
            raise self.error
        if self.closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if sending and self._fin_sent:
            raise BrokenPipeError("send after shutdown(SHUT_WR): FINp was sent")

    def fail(self, error: RemoteProtocolError | TepError | KernelError) -> Exception:
        """Abort (RFC 8548 section 3.3): RST, keys forgotten, the first error kept.
        [8548:3.3-6, 3.3-16, 3.6-8, 8-1]"""
        if self.error is not None:
            return self.error
        self.error = error
        reset(self._sock)
        self._wipe()
        return error

    def meaning(self, error: OSError) -> Exception:
        """What a system call's failure is to be told as."""
        if self.error is not None:  # another thread aborted meanwhile
            return self.error
        if error.errno in LOST:
            self.lost = error
        return error

    def _was_reset(self) -> bool:
        """Whether a stream that is over was ended by RST, although another thread, or
        getsockopt(SO_ERROR), may have consumed the kernel's word of it."""
        return self.lost is not None or (
            not self._fin_sent and tcp_state(self._sock) == TCP_CLOSE
        )

    def lose(self) -> Exception:
        """The connection is gone, and nothing is left to be read: keys forgotten."""
        if self.error is None:
            self.error = self.lost or ConnectionResetError(
                errno.ECONNRESET, os.strerror(errno.ECONNRESET)
            )
            self._wipe()
        return self.error

    def disown(self, why: LocalProtocolError) -> None:
        """See :mod:`pyeno.sockets.forks`."""
        self.error = why
        self._forget()

    def abort(self) -> None:
        """RST, and forget the keys."""
        reset(self._sock)
        self._forget()

    def _forget(self) -> None:  # [8547:4.6-12]
        """From now on the link refuses everything: a socket whose connection was
        encrypted must never pass for a plain one."""
        self.closed = True
        self._wipe()

    def _wipe(self) -> None:
        """What another thread is sealing or opening with goes when it is done."""
        for _ in range(WIPE_TRIES):
            try:
                self.connection.wipe()  # [8547:5-8, 5-9]
            except LocalProtocolError:
                time.sleep(WIPE_PAUSE)
            else:
                return
