"""The sending side of a link."""

import contextlib
import select
import socket
import time
from collections.abc import Callable
from functools import partial

from pyeno._values import Buffer
from pyeno.errors import ABORTING, LocalProtocolError
from pyeno.sockets import batches
from pyeno.sockets.exchange import Exchange
from pyeno.sockets.raw import wait

CLOSE_SECONDS = 5.0
"""How long close() of a blocking socket waits for room in the kernel's buffer
for the last frames; with a timeout no longer than that, non-blocking not at all."""

LOOK_SECONDS = 0.1
"""How often a host that only sends looks for what comes in."""


class Outbound(Exchange):
    """Application bytes from the caller, sealed ones to the kernel."""

    _held = b""
    _held_urgent = False
    _probe = False
    """the next frame is to initiate rekeying, since liveness must be proven"""
    _look_at = 0.0

    def _resume(self, view: memoryview, urgent: bool) -> int:
        """Finish the frame an earlier send() could not; its application bytes
        come again at the head of ``view`` and are not sealed twice."""
        held = self._held
        last = len(held) == len(view)
        if held and (view[: len(held)] != held or self._held_urgent is not (urgent and last)):
            raise LocalProtocolError(
                f"send: {len(held)} bytes of the last call are sealed but were not yet "
                "reported as sent; call again with the same bytes first, and the same flags"
            )
        self._flush()
        self._held = b""
        return len(held)

    def send(self, data: Buffer, urgent: bool = False) -> int:
        """As socket.send(): the count of bytes in frames the kernel took whole.

        ``urgent``: the last byte of ``data`` is (MSG_OOB).
        """
        view = memoryview(data).cast("B")
        if self._sock.gettimeout() is None:
            self.sendall(view, urgent)
            return len(view)
        self.handshake()
        with self._sealing():
            self.check(sending=True)
            done = self._resume(view, urgent)
            try:
                while done < len(view):
                    done += self._send_frame(view[done:], urgent)
            except (BlockingIOError, TimeoutError):
                if not done:
                    raise
        self.answer()
        self._look_sometimes()
        return done

    def count_as_sent(self) -> None:
        """Of a frame that send() could not finish the caller need not give the bytes again:
        what is sealed goes out first all the same."""
        self._held = b""

    def _send_frame(self, view: memoryview, urgent: bool) -> int:
        chunk = view[: self.connection.frame_data]
        taken = len(chunk)
        self._seal(chunk, urgent and taken == len(view))
        self._flush()
        self._held = b""
        return taken

    def _seal(self, chunk: memoryview, urgent: bool) -> None:
        self._probe_if_wanted()
        self._unsent = self.connection.send(chunk, urgent=urgent)
        self._oob = socket.MSG_OOB if urgent else 0
        self._held, self._held_urgent = bytes(chunk), urgent

    def keep_unsent(self, sealed: bytes, data: bytes) -> None:
        super().keep_unsent(sealed, data)
        self._held, self._held_urgent = data, False

    def _waiting(self) -> bool:
        return bool(
            self._unsent or self._held or self._probe or self._fin_sent or self.closed
            or self.error is not None or self.connection.owes
        )  # fmt: skip

    def sendall(self, data: Buffer, urgent: bool = False) -> None:
        """As socket.sendall(): after an error it is unknown how much was sent."""
        view = memoryview(data).cast("B")
        self.handshake()
        with self._sealing():
            self.check(sending=True)
            timeout = self._sock.gettimeout()
            deadline = time.monotonic() + timeout if timeout else None
            view = view[self._resume(view, urgent) :]
            last = (len(view) - 1) % self.connection.frame_data + 1 if urgent and view else 0
            buffer = batches.take()
            try:
                self._send_all(memoryview(buffer), view[: len(view) - last], deadline)
            finally:
                batches.give(buffer)
            if last:
                self._send_urgent(view[-last:], deadline)
            self._flush()
        self.answer()
        self._look_sometimes()

    def _send_urgent(self, view: memoryview, deadline: float | None) -> None:
        """The last frame; here nothing is held, as with all that sendall() seals."""
        self._seal(view, True)
        self._held = b""
        if deadline is None:
            self._flush()
        else:
            self._drain(deadline)

    def _send_all(self, batch: memoryview, view: memoryview, deadline: float | None) -> None:
        while view:
            self._probe_if_wanted()
            if self._look_sometimes():
                self._flush()
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
        sock, self._unsent = self._sock, sealed
        try:
            while self._unsent:
                if deadline is not None:
                    wait(sock, select.POLLOUT, deadline)
                self._unsent = self._unsent[self._push(self._unsent) :]
        finally:
            self._unsent = bytes(self._unsent)

    # -- rekeying and liveness -------------------------------------------------

    def rekey(self) -> None:
        """Initiate rekeying (RFC 8548 section 3.8); never waits for the answer."""
        self.handshake()
        with self._sealing():
            self.check(sending=True)
            self.connection.rekey()
            with contextlib.suppress(BlockingIOError):  # it goes out first, next time
                self._flush()

    def probe(self) -> bool:
        """Initiate rekeying without waiting; False where another thread is sending and
        does it with its next frame."""
        self._halt()
        if not self.writing.acquire(blocking=False):
            self._probe = True
            self._halt()
            return False
        try:
            self.check(sending=True)
            self.connection.rekey()
            with contextlib.suppress(BlockingIOError, TimeoutError):
                self._drain(time.monotonic())
        finally:
            self._leave_writing()
        return True

    @property
    def probing(self) -> bool:
        """A probe waits for the thread that is sending."""
        return self._probe

    def _probe_if_wanted(self) -> None:
        if self._probe:
            self._probe = False
            self.connection.rekey()

    def _look_sometimes(self) -> bool:
        """Who only sends must not leave the peer's rekeying unanswered, nor its end or
        errors unnoticed; whether it looked."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_SECONDS
        if self.pump is not None:
            self.pump.look_at = self._look_at
        self.attend()
        return True

    def _prime(self) -> None:
        super()._prime()
        if self.pump is not None:
            self.pump.look_at = self._look_at
            self.pump.first = not self.ack.usual
            self.pump.receiving = not self.ack.held
            self._rearm()

    def first_sent(self) -> None:
        """The pump sent the application's first bytes."""
        self.ack.sent(self._sock, established=True)
        if self.pump is not None:
            self.pump.receiving = True

    def fin_sealed(self) -> None:
        """The pump sealed FINp."""
        self._fin_sent = True

    def look_out(self) -> None:
        """The same for the pump, whose ``writing`` is held."""
        if self._look_sometimes():
            self._flush()
        self._rearm()

    # -- ends ----------------------------------------------------------------

    def finish(self, *, closing: bool = False) -> None:
        """Send the frame with FINp, once; a call cut short is taken up by the next.

        The kernel's FIN follows at once and belongs "on the segment containing
        the last byte of the last frame" (RFC 8548 section 3.7), hence MSG_MORE.
        ``closing``: wait no longer than CLOSE_SECONDS says.
        """
        if closing and self.pump is not None and self.pump.finish(self):  # type: ignore[arg-type]
            return
        timeout = self._sock.gettimeout()
        push: Callable[..., None]
        if closing:
            patience = CLOSE_SECONDS if timeout is None else min(timeout, CLOSE_SECONDS)
            push = partial(self._drain, time.monotonic() + patience)
        else:
            self.handshake()
            if self.connection.ended:
                self.attend()  # does anything follow the peer's FINp?
            push = self._flush
        # a thread that waits for room holds the lock for as long as the peer likes
        if not self.writing.acquire(timeout=CLOSE_SECONDS if closing else -1):
            raise TimeoutError("another thread is still sending")
        try:
            self._halt()
            self._finish(push)
        except ABORTING as error:
            raise self.fail(error) from error.__cause__
        finally:
            self._leave_writing()

    def _finish(self, push: Callable[..., None]) -> None:
        if self.error is not None or not self.connection.established:
            return
        if not self._fin_sent:
            self._held = b""
            push()
            self._unsent = self.connection.send(b"", fin=True)
            self._fin_sent = True
        push(socket.MSG_MORE)
