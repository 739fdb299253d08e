"""The sending side of a link."""

import select
import socket
import time
from collections.abc import Callable
from functools import partial

from pyeno._values import Buffer
from pyeno.errors import LocalProtocolError
from pyeno.sockets import batches
from pyeno.sockets.exchange import Exchange
from pyeno.sockets.raw import wait
from pyeno.tep import TepConnection

CLOSE_SECONDS = 5.0
"""How long close() of a blocking socket waits for room in the kernel's buffer
for the last frames; with a timeout no longer than that, non-blocking not at all."""


class Outbound(Exchange):
    """Application bytes from the caller, sealed ones to the kernel."""

    def __init__(
        self, sock: socket.socket, connection: TepConnection, handshake_timeout: float
    ) -> None:
        super().__init__(sock, connection, handshake_timeout)
        self._held = b""

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
