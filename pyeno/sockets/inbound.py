"""The receiving side of a link."""

import select
import socket
import time
from collections.abc import Callable
from typing import TypeVar

from pyeno.errors import ABORTING, LocalProtocolError
from pyeno.sockets.exchange import Exchange
from pyeno.sockets.raw import BaseSocket, ready, wait

READ_SIZE = 1 << 17
AHEAD_MAX = 1 << 18
"""Bytes that are received ahead of the application in search of urgent data, at most."""
HEAD_SIZE = 20 * 64
"""Bytes looked at in search of frames without data."""

_recv = BaseSocket.recv  # type: ignore[attr-defined]
_DONTWAIT = int(socket.MSG_DONTWAIT)

Taken = TypeVar("Taken", int, bytes)


class Inbound(Exchange):
    """Stream bytes from the kernel, application bytes to the caller."""

    deaf = False
    """this host shut down its receiving side"""
    _over = False
    """nothing more comes from the kernel; what came is judged once it is read"""
    _heard = 0.0

    @property
    def heard(self) -> float:
        """When stream bytes came last, by the monotonic clock."""
        return self._heard if self.pump is None else max(self._heard, self.pump.heard)

    def recv(self, size: int) -> bytes:
        """As socket.recv(); empty only after an authenticated FINp. [8547:5-10] [8548:3.7-4]"""
        self.handshake()
        with self.reading:
            return self._take(self.connection.read, size)

    def recv_into(self, out: bytearray | memoryview) -> int:
        """As socket.recv_into()."""
        self.handshake()
        with self.reading:
            return self._take(self.connection.read_into, out)

    def peek(self, size: int) -> bytes:
        """As socket.recv() with MSG_PEEK."""
        self.handshake()
        with self.reading:
            self.check()
            if self.connection.awaited < size:  # or who waits for more would wait for ever
                self._look_ahead()
            return self._take(self._peek, size)

    def _peek(self, size: int) -> bytes:
        self.connection.open_ahead()
        return self.connection.peek(size)

    def pending(self) -> int:
        """Application bytes that recv() gives without a system call: select()
        does not know of them."""
        if not self.connection.established:
            return 0
        self.check()  # before the lock, as in handshake()
        with self.reading:
            self.check()
            try:
                self.connection.open_ahead()
            except ABORTING as error:
                raise self.fail(error) from error.__cause__
            self.answer()
            return self.connection.awaited - self._hole()

    def _hole(self) -> int:
        """Urgent bytes to come that recv() leaves out: one or none."""
        mark = self.connection.urgent_index
        ahead = mark is not None and mark >= self.connection.read_index
        return int(ahead and not self.connection.oob_inline)

    def _take(self, read: Callable[..., Taken], wish: object) -> Taken:
        self.check()
        started = time.monotonic()
        first = True
        try:
            while True:
                taken = read(wish)
                self.answer()
                if taken:
                    if self.pump is not None and not self.ack.held:
                        self.pump.receiving = True
                    return taken
                if self.connection.finished:
                    self._look_behind()
                    return taken
                if not self._fill(None if first else started):
                    return taken
                first = False
        except ABORTING as error:
            raise self.fail(error) from error.__cause__
        except LocalProtocolError:
            self.check()  # another thread ended it meanwhile, and the keys are gone
            raise

    def _fill(self, started: float | None) -> bool:
        """One recv(); False at the end of stream.  A frame that trickles in does not
        prolong the timeout."""
        if not self._over:
            self.ack.release(self._sock)
            timeout = self._sock.gettimeout()
            if started is not None and timeout:
                wait(self._sock, select.POLLIN, started + timeout)
            try:
                count = self._receive(self.connection.room(READ_SIZE))
            except OSError as error:
                raise self.receive_failed(error) from None
            if self._received(count):
                return True
        self._judge_end()
        return False

    def receive_failed(self, error: OSError) -> Exception:
        """What a failed recv() is to be told as, when all that came was read."""
        told = self.meaning(error)
        return self.lose() if told is self.lost else told

    def _received(self, count: int) -> bool:
        if count:
            self._heard = time.monotonic()
            self.connection.received(count)
        else:
            self._over = True
        return count > 0

    def _judge_end(self) -> None:
        """All that came was read: FINp, FIN without it, RST, or an end of our own?"""
        self.check()
        if self.deaf or self.connection.ended:  # it is our own shutdown(), or the peer's end
            return
        if self._was_reset():
            raise self.lose()
        self.connection.receive_eof()

    # -- without the application's reading ---------------------------------------

    def attend(self) -> bool:
        """Open frames that carry no data (answers to rekeyings, probes), unless another
        thread is reading and does it anyway.

        Data stay in the kernel, where select() sees them; False where such are unread
        and nothing behind them can be told.
        """
        if not self.reading.acquire(blocking=False):
            return True
        try:
            self.check()
            return self._attend()
        except ABORTING as error:
            raise self.fail(error) from error.__cause__
        except LocalProtocolError:
            self.check()  # another thread ended it meanwhile, and the keys are gone
            raise
        finally:
            self.reading.release()

    def _attend(self) -> bool:
        connection = self.connection
        if self._over or not ready(self._sock, select.POLLIN):
            return True
        try:
            head = _recv(self._sock, HEAD_SIZE, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError as error:
            self._gone(error)
            return True
        size, unread = connection.dataless(head)
        if size:
            self._received(self._receive(connection.room(size)[:size], _DONTWAIT))
            connection.open_ahead()
            self.answer()
        if connection.ended:
            self._look_behind()
        elif not head:
            self._over = True
            connection.open_ahead()  # frames may have come with the last Init message
            if not connection.awaited:
                self._judge_end()
        return not unread

    def _look_ahead(self) -> bool:
        """Receive and open what has come, AHEAD_MAX bytes at most, and send what is owed
        for it; False where no more can be received."""
        connection = self.connection
        try:
            connection.open_ahead()
            while self._room_ahead() and self._receive_now():
                connection.open_ahead()
            self.answer()
        except ABORTING as error:
            raise self.fail(error) from error.__cause__
        return self._room_ahead()

    def _room_ahead(self) -> bool:
        return self.connection.awaited + self.connection.buffered < AHEAD_MAX

    def _look_behind(self) -> None:
        """A sender "MUST NOT set FINp on any other frame" than the last (section 3.7):
        what follows in a later segment is an error as well."""
        while self.connection.ended and self._receive_now():
            self.connection.open_ahead()  # says so, once all data are read

    def _receive_now(self) -> bool:
        """One recv() that does not wait; False if there was nothing."""
        if self._over or not ready(self._sock, select.POLLIN):
            return False
        try:
            return self._received(self._receive(self.connection.room(READ_SIZE), _DONTWAIT))
        except OSError as error:
            self._gone(error)
            return False

    def _gone(self, error: OSError) -> None:
        """A connection lost is told when what came before has been read."""
        if isinstance(error, BlockingIOError):
            return
        told = self.meaning(error)
        if told is not self.lost:
            raise told from None
        self._over = True
