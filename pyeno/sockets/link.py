"""One encrypted connection over one raw socket: the only place where a TEP's
stream bytes meet system calls.

Two locks, one per direction, let one thread send while another receives.
Sealed bytes that the kernel did not take stay in ``_unsent`` and go out first,
unchanged, next time: the same offset always carries the same bytes.  The
first RemoteProtocolError resets the connection, forgets the keys and is
raised again by every later call.
"""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from pyeno import kernel
from pyeno._values import Buffer
from pyeno.errors import (
    HandshakeTimeoutError,
    LocalProtocolError,
    PyenoError,
    RemoteProtocolError,
)
from pyeno.sockets import batches, forks
from pyeno.sockets.acks import HeldAck
from pyeno.sockets.caching import Caching
from pyeno.sockets.ends import Mortal
from pyeno.sockets.raw import BaseSocket, ready, reset, wait
from pyeno.tep import TepConnection

READ_SIZE = 1 << 17
CLOSE_SECONDS = 5.0
"""How long close() of a blocking socket waits for room in the kernel's buffer
for the last frames; with a timeout no longer than that, non-blocking not at all."""

_recv_into = BaseSocket.recv_into  # type: ignore[attr-defined]
_send = BaseSocket.send  # type: ignore[attr-defined]

Taken = TypeVar("Taken", int, bytes)


class Link(Mortal):
    """Handshake, send, receive and end of one connection."""

    __slots__ = (
        "_ack", "_deadline", "_handshake_timeout", "_held", "_peeked", "_unsent", "caching",
        "deaf", "reading", "writing",
    )  # fmt: skip

    def __init__(
        self,
        sock: socket.socket,
        connection: TepConnection,
        handshake_timeout: float,
        caching: Caching,
        ack: HeldAck,
    ) -> None:
        super().__init__(sock, connection)
        self.caching = caching
        self._ack = ack
        self.reading = threading.Lock()
        self.writing = threading.Lock()
        self._handshake_timeout = handshake_timeout
        self._deadline: float | None = None
        self._unsent = b""
        self._held = b""
        self._peeked = b""
        self.deaf = False
        """this host shut down its receiving side"""

    # -- key exchange --------------------------------------------------------

    def handshake(self) -> None:
        """Complete the key exchange, as far as the socket's timeout allows."""
        if self.connection.established and self.error is None and not self.closed:
            return
        self.check()  # before the locks: one that fork() copied may be held for ever
        with self.reading, self.writing:
            self.check()
            forks.keep(self)
            now, timeout = time.monotonic(), self._sock.gettimeout()
            until = None if timeout is None else now + timeout
            if self._deadline is None:  # the peer's time runs once we take part
                self._deadline = now + self._handshake_timeout
            try:
                self._resume_session()
                while not self.connection.established:
                    self._flush()
                    self._await_init(self._deadline, until)
                    self._receive_init()
                self._publish()
                self._flush()
            except RemoteProtocolError as error:
                raise self.fail(error) from None

    def _resume_session(self) -> None:
        try:
            self.caching.resume(self._sock, self.connection)
        except LocalProtocolError as error:
            self.disown(error)
            raise

    def _publish(self) -> None:
        """Tell the host's own tools the session ID, and cache the next session; before
        the last Init message goes, so that the peer may resume at once.  Without
        either all the same."""
        self.caching.put(self._sock, self.connection)
        with contextlib.suppress(OSError):
            kernel.set_session_id(self._sock, self.connection.session_id)

    def _await_init(self, deadline: float, until: float | None) -> None:
        """Until there is something to read; what came in time is read however late."""
        self._ack.release(self._sock)
        if ready(self._sock, select.POLLIN):
            return
        late = time.monotonic() >= deadline
        if not late and self._sock.gettimeout() != 0:
            try:
                wait(
                    self._sock,
                    select.POLLIN,
                    deadline if until is None else min(until, deadline),
                )
            except TimeoutError:
                late = until is None or deadline <= until
                if not late:
                    raise
        if late:
            raise HandshakeTimeoutError(
                f"the peer did not complete the key exchange in {self._handshake_timeout:g} s; "
                "connection aborted (Config.handshake_timeout allows more)"
            )

    def _receive_init(self) -> None:
        data = bytearray(4096)
        count = _recv_into(self._sock, data)
        if count:
            self.connection.receive_data(memoryview(data)[:count])
        else:
            self.connection.receive_eof()

    # -- receiving -----------------------------------------------------------

    def recv(self, size: int) -> bytes:
        """As socket.recv(); empty only after an authenticated FINp."""
        self.handshake()
        with self.reading:
            if self._peeked:
                taken, self._peeked = self._peeked[:size], self._peeked[size:]
                return taken
            return self._take(self.connection.read, size)

    def recv_into(self, out: bytearray | memoryview) -> int:
        """As socket.recv_into()."""
        if self._peeked:
            taken = self.recv(len(out))
            out[: len(taken)] = taken
            return len(taken)
        self.handshake()
        with self.reading:
            return self._take(self.connection.read_into, out)

    def peek(self, size: int) -> bytes:
        """As socket.recv() with MSG_PEEK."""
        self.handshake()
        with self.reading:
            if len(self._peeked) < size and (self.connection.awaited or not self._peeked):
                self._peeked += self._take(self.connection.read, size - len(self._peeked))
            return self._peeked[:size]

    def pending(self) -> int:
        """Application bytes that recv() gives without a system call: select()
        does not know of them."""
        if not self.connection.established:
            return 0
        self.check()  # before the lock, as in handshake()
        with self.reading:
            self.check()
            if not self._peeked and not self.connection.awaited:
                try:
                    self._peeked = self.connection.read(READ_SIZE)
                except RemoteProtocolError as error:
                    raise self.fail(error) from None
            return len(self._peeked) + self.connection.awaited

    def _take(self, read: Callable[..., Taken], wish: object) -> Taken:
        self.check()
        started = time.monotonic()
        first = True
        try:
            while True:
                taken = read(wish)
                self._answer()
                if taken or self.connection.finished:
                    return taken
                if not self._fill(None if first else started):
                    return taken
                first = False
        except RemoteProtocolError as error:
            raise self.fail(error) from None

    def _fill(self, started: float | None) -> bool:
        """One recv(); False at the end of stream.  A frame that trickles in does not
        prolong the timeout."""
        self._ack.release(self._sock)
        timeout = self._sock.gettimeout()
        if started is not None and timeout:
            wait(self._sock, select.POLLIN, started + timeout)
        count: int = _recv_into(self._sock, self.connection.room(READ_SIZE))
        if count:
            self.connection.received(count)
        elif not self.deaf:  # else it is our own shutdown(), not the peer's end
            self.connection.receive_eof()
        return count > 0

    def _answer(self) -> None:
        """Send what the protocol owes (a rekey answer) if nobody is sending now;
        whoever is does it once the lock is free.  Never waits for room: a peer
        may be waiting for us to read."""
        while self.connection.owes and self.writing.acquire(blocking=False):
            try:
                self._drain(time.monotonic())
            except (OSError, LocalProtocolError):
                return  # what is not taken stays in _unsent
            finally:
                self.writing.release()

    # -- sending -------------------------------------------------------------

    def _push(self, sealed: Buffer, flags: int = 0) -> int:
        """One send(); where a reading thread aborted meanwhile, its error says why."""
        try:
            sent: int = _send(self._sock, sealed, flags)
        except OSError:
            if self.error is not None:
                raise self.error from None
            raise
        self._ack.held = False  # it went with these bytes
        return sent

    def _flush(self, flags: int = 0) -> None:
        """Send ``_unsent`` and owed protocol bytes, in stream order."""
        while True:
            while self._unsent:
                self._unsent = self._unsent[self._push(self._unsent, flags) :]
            self._unsent = self.connection.data_to_send()
            if not self._unsent:
                return

    def _resume(self, view: memoryview) -> int:
        """Finish the frame an earlier send() could not; its application bytes
        come again at the head of ``view`` and are not sealed twice."""
        held = self._held
        if held and view[: len(held)] != held:
            raise LocalProtocolError(
                f"send: {len(held)} bytes of the last call are sealed but were not yet "
                "reported as sent; call again with the same bytes first"
            )
        self._flush()
        self._held = b""
        return len(held)

    def send(self, data: Buffer) -> int:
        """As socket.send(): the count of bytes in frames the kernel took whole."""
        view = memoryview(data).cast("B")
        if self._sock.gettimeout() is None:
            self.sendall(view)
            return len(view)
        self.handshake()
        with self.writing:
            self.check(sending=True)
            done = self._resume(view)
            try:
                while done < len(view):
                    done += self._send_frame(view[done:])
            except (BlockingIOError, TimeoutError):
                if not done:
                    raise
        self._answer()
        return done

    def _send_frame(self, view: memoryview) -> int:
        chunk = view[: self.connection.frame_data]
        taken = len(chunk)
        self._unsent = self.connection.send(chunk)
        self._held = bytes(chunk)
        self._flush()
        self._held = b""
        return taken

    def sendall(self, data: Buffer) -> None:
        """As socket.sendall(): after an error it is unknown how much was sent."""
        view = memoryview(data).cast("B")
        self.handshake()
        with self.writing:
            self.check(sending=True)
            timeout = self._sock.gettimeout()
            deadline = time.monotonic() + timeout if timeout else None
            done = self._resume(view)
            buffer = batches.take()
            try:
                self._send_all(memoryview(buffer), view[done:], deadline)
            finally:
                batches.give(buffer)
            self._flush()
        self._answer()

    def _send_all(self, batch: memoryview, view: memoryview, deadline: float | None) -> None:
        while view:
            taken, written = self._seal_into(batch, view)
            view = view[taken:]
            self._send_batch(batch[:written], deadline)

    def _seal_into(self, batch: memoryview, view: memoryview) -> tuple[int, int]:
        try:
            return self.connection.seal_into(batch, view)
        except LocalProtocolError:
            self.check()  # the receiving thread ended it meanwhile
            raise

    def _send_batch(self, sealed: memoryview, deadline: float | None) -> None:
        """All of it before the deadline: the timeout is that of the whole sendall."""
        sock, sent = self._sock, 0
        try:
            while sent < len(sealed):
                if deadline is not None:
                    wait(sock, select.POLLOUT, deadline)
                sent += self._push(sealed[sent:])
        finally:
            if sent < len(sealed):
                self._unsent = bytes(sealed[sent:])

    # -- ends ----------------------------------------------------------------

    def finish(self, *, closing: bool = False) -> None:
        """Send the frame with FINp, once; a call cut short is taken up by the next.

        The kernel's FIN follows at once and belongs "on the segment containing
        the last byte of the last frame" (RFC 8548 section 3.7), hence MSG_MORE.
        ``closing``: wait no longer than CLOSE_SECONDS says.
        """
        timeout = self._sock.gettimeout()
        push: Callable[..., None]
        if closing:
            patience = CLOSE_SECONDS if timeout is None else min(timeout, CLOSE_SECONDS)
            push = partial(self._drain, time.monotonic() + patience)
        else:
            self.handshake()
            push = self._flush
        # a thread that waits for room holds the lock for as long as the peer likes
        if not self.writing.acquire(timeout=CLOSE_SECONDS if closing else -1):
            raise TimeoutError("another thread is still sending")
        try:
            self._finish(push)
        finally:
            self.writing.release()

    def _finish(self, push: Callable[..., None]) -> None:
        if self.error is not None or not self.connection.established:
            return
        if not self._fin_sent:
            self._held = b""
            push()
            self._unsent = self.connection.send(b"", fin=True)
            self._fin_sent = True
        push(socket.MSG_MORE)

    def _drain(self, deadline: float, flags: int = 0) -> None:
        """As _flush(), but waits for room until ``deadline`` at most."""
        while True:
            while self._unsent:
                if not ready(self._sock, select.POLLOUT):
                    wait(self._sock, select.POLLOUT, deadline)
                sent = self._push(self._unsent, flags | socket.MSG_DONTWAIT)
                self._unsent = self._unsent[sent:]
            self._unsent = self.connection.data_to_send()
            if not self._unsent:
                return

    def close(self) -> None:
        """FINp, then let the kernel send FIN; RST if FINp cannot be sent."""
        if self.closed:
            return
        if self.connection.established:  # else the stream may be another process's to read
            try:
                self.finish(closing=True)
                self._discard_received()
            except (OSError, PyenoError):
                reset(self._sock)
        self._forget()

    def _discard_received(self) -> None:
        """Take protocol bytes that nobody will read (the peer's FINp): the
        kernel answers close() with unread bytes by a RST, which would destroy
        what we sent last."""
        if ready(self._sock, select.POLLIN):
            _recv_into(self._sock, bytearray(READ_SIZE), 0, socket.MSG_DONTWAIT)
