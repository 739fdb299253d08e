"""One encrypted connection over one raw socket: the only place where a TEP's
stream bytes meet system calls.

The first RemoteProtocolError or TepError resets the connection, forgets the keys and is
raised again by every later call.
"""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from pyeno.errors import ABORTING, LocalProtocolError, PyenoError
from pyeno.sockets.inbound import READ_SIZE
from pyeno.sockets.outbound import LOOK_SECONDS, Outbound
from pyeno.sockets.raw import BaseSocket, acknowledged, ready, reset
from pyeno.sockets.urgent import Urgent

_recv_into = BaseSocket.recv_into  # type: ignore[attr-defined]
_DISCARD = int(socket.MSG_DONTWAIT | socket.MSG_TRUNC)
_nothing_there = contextlib.suppress(BlockingIOError)
_UNREAD = bytearray(READ_SIZE)
"""Only its size counts: with MSG_TRUNC the kernel's TCP discards instead of copying."""


class Link(Urgent, Outbound):
    """Handshake, send, receive and end of one connection."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._tending = threading.Lock()
        self._look_at = time.monotonic() + LOOK_SECONDS  # a new connection has nothing yet

    def acknowledged(self) -> tuple[int, int]:
        """See :func:`pyeno.sockets.raw.acknowledged`."""
        return acknowledged(self._sock)

    def tend(self) -> float | None:
        """When the timer is to look again at whether the peer is alive, None: never.

        Raises what ends the connection, PeerDeadError among others.
        """
        with self._tending:
            return self._tend()

    def disown(self, why: LocalProtocolError) -> None:
        self._tending = threading.Lock()  # fork() may have copied it held
        super().disown(why)

    def _tend(self) -> float | None:
        self.check()
        if self._liveness is None or self._fin_sent or self.deaf or self.connection.ended:
            return None  # "if it has not already transmitted a segment with FIN set"
        try:
            return self._liveness.visit(self)
        except ABORTING as error:
            raise self.fail(error) from error.__cause__

    def leave_timer(self) -> None:
        """Somebody else looks whether the peer is alive."""
        with self._tending:
            self._liveness = None

    def close(self) -> None:
        """FINp, then let the kernel send FIN; RST if FINp cannot be sent."""
        self._close()
        with self._tending:  # the timer's thread uses the descriptor no more
            pass

    def _close(self) -> None:
        if self.closed:
            return
        if self.connection.established:  # else the stream may be another process's to read
            try:
                self.finish(closing=True)
                self._discard_received()
            except (OSError, PyenoError):
                reset(self._sock)
        self._forget()

    def part(self) -> None:
        """After FINp, for who sent it without close(): forget the keys."""
        if not self.closed:
            with contextlib.suppress(OSError):
                self._discard_received()
            self._forget()

    def take_unsent(self) -> bytes:
        """Protocol bytes the kernel had no room for, for who sends them itself."""
        unsent, self._unsent = self._unsent, b""
        return bytes(unsent)

    @contextlib.contextmanager
    def leaving(self) -> Iterator[bytes]:
        """Protocol bytes the kernel has yet to be given, for who goes on with the keys: they
        are forgotten here if no exception says that nobody does."""
        with self.reading, self.writing:
            self._halt()
            try:
                self.check(sending=True)
                self.connection.open_ahead()
                while self.connection.owes:
                    self._unsent = bytes(self._unsent) + self.connection.data_to_send()
                yield bytes(self._unsent)
            except ABORTING as error:
                raise self.fail(error) from None
            except BaseException:
                self._rearm()
                raise
            self._unsent = self._held = b""
            self.leave_timer()
            self._forget()

    def _discard_received(self) -> None:
        """Take protocol bytes that nobody will read (the peer's FINp): the
        kernel answers close() with unread bytes by a RST, which would destroy
        what we sent last.  After the peer's FINp that is what they deserve."""
        if self.connection.ended:
            return
        if self.pump is not None:
            self.pump.discard()
            return
        sock = self._sock
        if not sock.gettimeout() or ready(sock, select.POLLIN):  # a timeout would be waited
            with _nothing_there:
                _recv_into(sock, _UNREAD, 0, _DISCARD)
