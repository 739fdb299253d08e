"""The key exchange of a link, and protocol bytes on their way to the kernel."""

import contextlib
import errno
import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pyeno._values import Buffer
from pyeno.errors import (
    ABORTING,
    HandshakeTimeoutError,
    KernelError,
    LocalProtocolError,
    PyenoError,
    RemoteProtocolError,
    TepError,
)
from pyeno.pump import create_lock
from pyeno.sockets import forks, timer
from pyeno.sockets.acks import HeldAck
from pyeno.sockets.caching import Caching
from pyeno.sockets.ends import Mortal
from pyeno.sockets.keepalive import Liveness
from pyeno.sockets.raw import BaseSocket, descriptor, ready, wait
from pyeno.tep import Definition, TepConnection

if TYPE_CHECKING:
    from pyeno.pump import Pump

# plain numbers: "|" of two flags makes an enumeration's member, slower than the system call
_DONTWAIT = int(socket.MSG_DONTWAIT)
_recv_into = BaseSocket.recv_into  # type: ignore[attr-defined]
_send = BaseSocket.send  # type: ignore[attr-defined]


class Exchange(Mortal, ABC):
    """Two locks, one per direction, let one thread send while another receives.

    Sealed bytes that the kernel did not take stay in ``_unsent`` and go out
    first, unchanged, next time: the same offset always carries the same bytes.
    [8548:3.6-4, 3.6-5]
    """

    _deadline: float | None = None
    _unsent: bytes | memoryview = b""
    _oob = 0
    """MSG_OOB while ``_unsent`` ends with urgent data, for the peer's SIGURG"""
    tep: Definition
    """what the connection's TEP can do"""
    caching: Caching | None = None
    """the connection's part in what the kernel keeps of it"""
    pump: "Pump | None" = None
    """does what is usual in compiled code, once the keys are there"""

    def __init__(
        self,
        sock: socket.socket,
        connection: TepConnection,
        handshake_timeout: float,
        keepalive: tuple[float, float] | None = None,
        ack: HeldAck | None = None,
    ) -> None:
        super().__init__(sock, connection)
        self.ack = ack or HeldAck()
        self.reading = create_lock()
        self.writing = create_lock()
        self._handshake_timeout = handshake_timeout
        self._counts = [0]
        self._liveness = None if keepalive is None else Liveness(*keepalive)

    @abstractmethod
    def attend(self) -> bool:
        """Take in what needs no reader; see :class:`pyeno.sockets.inbound.Inbound`."""

    @abstractmethod
    def tend(self) -> float | None:
        """Look whether the peer is alive; see :class:`pyeno.sockets.link.Link`."""

    def fail(self, error: RemoteProtocolError | TepError | KernelError) -> Exception:
        if self.error is None and not self._unsent:
            with contextlib.suppress(OSError, PyenoError):
                if words := self.connection.last_words():
                    _send(self._sock, words, _DONTWAIT)
        return super().fail(error)

    # -- key exchange --------------------------------------------------------

    def handshake(self) -> None:
        """Complete the key exchange, as far as the socket's timeout allows."""
        if self.connection.established and self.error is None and not self.closed:
            return
        self.check()  # before the locks: one that fork() copied may be held for ever
        with self.reading, self.writing:
            self.check()
            forks.keep(self)
            try:
                if self._resume_session():
                    self._publish()
                else:
                    self._exchange_keys()
                    self._publish()
                    self._flush()
                    self.connection.meanwhile()
                self._prime()
                if self._liveness is not None:
                    timer.watch(self, self._liveness.start(self.connection))
            except ABORTING as error:
                raise self.fail(error) from error.__cause__

    def _exchange_keys(self) -> None:
        now, timeout = time.monotonic(), self._sock.gettimeout()
        until = None if timeout is None else now + timeout
        if self._deadline is None:  # the peer's time runs once we take part
            self._deadline = now + self._handshake_timeout
        while not self.connection.established:
            self._flush()
            self.connection.meanwhile()
            self._await_init(self._deadline, until)
            self._receive_init()

    def _resume_session(self) -> bool:
        """In the place of the key exchange (RFC 8548 section 3.5). [8548:3.2-5, 3.2-6]"""
        if self.caching is None:
            return False
        try:
            resumed = self.caching.resume(self._sock, self.connection)
        except LocalProtocolError as error:
            if self._was_reset():  # the kernel wiped the secret with the connection
                raise self.lose() from None
            self.disown(error)
            raise
        except KernelError as error:
            raise self.fail(error) from None
        if resumed:
            self.ack.resumed()
        return resumed

    def _publish(self) -> None:
        """Before the last Init message goes, so that the peer may resume at once."""
        if self.caching is not None:
            self.caching.publish(self._sock, self.connection)

    def _wipe(self) -> None:
        if self.caching is not None:
            self.caching.wipe()
        super()._wipe()

    def _await_init(self, deadline: float, until: float | None) -> None:
        """Until there is something to read; what came in time is read however late."""
        sock = self._sock
        self.ack.release(sock)
        until = deadline if until is None else min(until, deadline)
        if time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                wait(sock, select.POLLIN, until)
                return
        elif ready(sock, select.POLLIN):
            return
        if time.monotonic() >= deadline:
            raise HandshakeTimeoutError(
                f"the peer did not complete the key exchange in {self._handshake_timeout:g} s; "
                "connection aborted (Config.handshake_timeout allows more)"
            )
        if sock.gettimeout() != 0:
            raise TimeoutError("timed out")

    def _receive_init(self) -> None:
        data = memoryview(bytearray(4096))
        count = self._receive(data)
        if count:
            self.connection.receive_data(data[:count])
        else:
            self.connection.receive_eof()

    def _receive(self, room: memoryview, flags: int = 0) -> int:
        """One recv() of stream bytes."""
        count: int = _recv_into(self._sock, room, 0, flags)
        return count

    @property
    def blocked(self) -> bool:
        """The kernel had no room for protocol bytes."""
        return bool(self._unsent)

    # -- protocol bytes ------------------------------------------------------

    def _push(self, sealed: Buffer, flags: int = 0) -> int:
        """One send(); where another thread aborted meanwhile, its error says why."""
        sock = self._sock
        try:
            # counted before a signal handler can raise, see _mend()
            self._counts.extend(map(_send, (sock,), (sealed,), (flags | self._oob,)))
        except OSError as error:
            raise self.meaning(error) from None
        self.ack.sent(sock, established=self.connection.established)
        return self._counts[-1]

    def _flush(self, flags: int = 0) -> None:
        """Send ``_unsent`` and owed protocol bytes, in stream order. [8548:3.3-3]"""
        while True:
            while self._unsent:
                self._unsent = self._unsent[self._push(self._unsent, flags) :]
            self._oob = 0
            self._unsent = self.connection.data_to_send()
            if not self._unsent:
                return

    def _drain(self, deadline: float | None, flags: int = 0) -> None:
        """As _flush(), but waits for room until ``deadline`` at most."""
        # send() itself would wait where the socket has a timeout
        waits = bool(self._sock.gettimeout())
        while True:
            while self._unsent:
                if waits and not ready(self._sock, select.POLLOUT):
                    wait(self._sock, select.POLLOUT, deadline)
                try:
                    sent = self._push(self._unsent, int(flags) | _DONTWAIT)
                except BlockingIOError:
                    waits = True
                else:
                    self._unsent = self._unsent[sent:]
            self._oob = 0
            self._unsent = self.connection.data_to_send()
            if not self._unsent:
                return

    def answer(self) -> None:
        """Send what the protocol owes (a rekey answer) if nobody is sending now;
        whoever is does it once the lock is free.  Never waits for room: a peer
        may be waiting for us to read."""
        while self.connection.owes:
            self._halt()
            if not self.writing.acquire(blocking=False):
                return
            try:
                self._drain(time.monotonic())
            except ABORTING:
                raise
            except (OSError, LocalProtocolError):
                return  # what is not taken stays in _unsent
            finally:
                self._leave_writing()

    # -- the pump ----------------------------------------------------------------

    def _prime(self) -> None:
        """There are keys: from the next call on the pump does what is usual."""
        self.pump = self.connection.pump(descriptor(self._sock), self.writing, self.reading)

    def _halt(self) -> None:
        """Sending is not as usual, whoever is at it."""
        if self.pump is not None:
            self.pump.sending = False

    @abstractmethod
    def _waiting(self) -> bool:
        """Something is to be sent or told before the next data."""

    def _rearm(self) -> None:
        """Leave sending to the pump again unless something waits: asked after it is
        armed, so that whoever halts it meanwhile is heard.  ``writing`` is held."""
        self._counts[:] = [sum(self._counts)]
        if self.pump is not None and self.connection.established:
            self.connection.arm(self.pump)
            if self._waiting():
                self.pump.sending = False

    def _leave_writing(self) -> None:
        self._rearm()
        self.writing.release()

    @contextlib.contextmanager
    def _sealing(self) -> Iterator[None]:
        """Sending is this thread's alone, and the pump's again afterwards."""
        with self.writing:
            self._halt()
            try:
                yield
            except ABORTING as error:
                raise self.fail(error) from error.__cause__
            except (OSError, PyenoError):
                raise
            except BaseException:
                self._mend()
                raise
            finally:
                self._rearm()

    def _mend(self) -> None:
        """A signal handler raised, between any two steps: what the kernel took tells what of
        ``_unsent`` is left, or that sealed bytes were lost, after which none can follow."""
        taken = sum(self._counts) + (0 if self.pump is None else self.pump.sent)
        left = self.connection.sealed - taken
        if left > len(self._unsent):
            self.fail(
                KernelError(
                    errno.EINTR,
                    "an exception of a signal handler interrupted the sealing of data; "
                    "connection reset",
                )
            )
        else:
            self._unsent = self._unsent[len(self._unsent) - left :]

    def keep_unsent(self, sealed: bytes, data: bytes) -> None:
        """What the pump sealed and the kernel did not take; see Outbound._resume()."""
        self._unsent, self._oob = sealed, 0
