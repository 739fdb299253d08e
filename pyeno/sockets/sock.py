"""``pyeno.Socket``: a ``socket.socket`` whose TCP encrypts itself.

As ``ssl.SSLSocket`` does, it subclasses the standard class and keeps its
methods; where ENO was disabled every call goes straight to it.  What
encryption cannot keep (file-descriptor hand-over, ancillary data) is refused
with an error that says so.
"""

import contextlib
import errno
import os
import select
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from pyeno import kernel, tep
from pyeno._values import Outcome
from pyeno.config import Config, as_config
from pyeno.constants import Reason, State
from pyeno.errors import EncryptionRequiredError, KernelError, LocalProtocolError
from pyeno.sockets import caching
from pyeno.sockets.acks import HeldAck
from pyeno.sockets.caching import Caching
from pyeno.sockets.flags import recv_flagged
from pyeno.sockets.info import Info
from pyeno.sockets.link import Link
from pyeno.sockets.raw import BaseSocket, deadline_after, ready, reset, wait


class Socket(socket.socket):
    """A stream socket under a :class:`pyeno.Config`.

    ``connect`` completes the key exchange; accepted sockets do so on first
    I/O or ``do_handshake()``, so that a slow peer never blocks ``accept``.
    """

    __slots__ = (
        "_ack", "_config", "_configured", "_info", "_link", "_listening", "_refused",
        "_settled", "_settling", "_state",
    )  # fmt: skip

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
        self._info = Info(kernel.NOT_CONFIGURED, None)
        self._link: Link | None = None
        self._ack = HeldAck()
        self._listening = False
        self._configured = False
        self._refused: EncryptionRequiredError | KernelError | None = None
        self._settled = False
        self._state = State.OFF
        self._settling = threading.Lock()
        super().__init__(family, type, proto, fileno)
        if fileno is None:
            self._configure()

    def _configure(self) -> None:
        if self.type == socket.SOCK_STREAM and self.family in (socket.AF_INET, socket.AF_INET6):
            self._configured = caching.configure(self, self._config)

    # -- what ENO made of it -------------------------------------------------

    @property
    def eno(self) -> Info:
        """What TCP-ENO made of this connection; see :class:`pyeno.Info`."""
        self._look()
        return self._info

    def _look(self) -> None:
        """Settle if there is a connection to settle."""
        if not self._settled and not self._closed and not self._listening:  # type: ignore[attr-defined]
            self._settle()

    def _settle(self, *, connected: bool = False) -> bool:
        """Read the kernel's verdict; False while there is none yet.

        One thread at a time, or two would make keys.  Connected or not is asked
        first: a connection that opens between the two questions would pass for a
        plain one.  Nor is OFFERED ever a verdict: so reads a simultaneous open
        whose last segment is still to come (RFC 8547 section 4.6).
        """
        with self._settling:
            if self._settled:
                return True
            connected = connected or self._connected()
            result = kernel.result(self)
            self._state = result.state
            if result.state is State.ENCRYPTED:
                self._adopt(result)
            else:
                self._info = Info(result, None)
                if not connected or result.state is State.OFFERED:
                    return False
                self._ack.release(self)
                if self._configured and result.reason is Reason.UNAVAILABLE:
                    self._refuse_unknown()
                elif self._config.require:
                    self._refuse(result.reason)
            self._settled = True
            return True

    def _adopt(self, result: kernel.Result) -> None:
        outcome = Outcome(
            Reason.NEGOTIATED,
            result.role,
            result.peer_aware,
            result.tep_byte,
            result.resumed,
            result.transcript,
        )
        # TCP's unauthenticated URG flag must not take a byte out of the stream of frames
        # (RFC 8548 section 3.7)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        connection = tep.create_connection(outcome, self._config)
        self._link = Link(
            self,
            connection,
            self._config.handshake_timeout,
            Caching(outcome, result, self._config),
            self._ack,
        )
        self._info = Info(result, connection)

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

    def _refuse_unknown(self) -> None:
        reset(self)
        self._refused = KernelError(
            errno.ENOPROTOOPT,
            "the BPF programs were detached while this connection opened: whether it is "
            "encrypted cannot be told any more; connection reset, connect again",
        )

    def _encrypted(self) -> Link | None:
        """The link, or None where the plain socket is to be used.

        While a SYN with ENO may be sent or is unanswered neither is right: a byte
        written now could leave as plaintext on a connection whose ENO then succeeds.
        """
        if not self._settled and not self._listening and not self._settle():
            self._await_connected()
        if self._refused is not None:
            raise self._refused
        return self._link

    def _await_connected(self) -> None:
        if self._state is State.OFF and not self._config.require:
            return
        if self._state is State.OFFERED:
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
            link.handshake()

    # -- opening -------------------------------------------------------------

    def connect(self, address: Any) -> None:
        """As socket.connect(), then the key exchange.

        Raises EncryptionRequiredError where ``Config.require`` forbids the
        plain connection it got.
        """
        with self._opening():
            super().connect(address)
            self._opened()

    def connect_ex(self, address: Any) -> int:
        """As socket.connect_ex(); protocol errors are still raised."""
        with self._opening():
            code = super().connect_ex(address)
            if code == 0:
                self._opened()
        return code

    @contextlib.contextmanager
    def _opening(self) -> Iterator[None]:
        """Hold the handshake's last ACK back for the first bytes, unless nobody would
        be there to release it: who does not block comes back whenever it likes."""
        self._reopen()
        if self._configured and self.gettimeout() != 0:
            self._ack.hold(self)
        try:
            yield
        finally:
            if self._link is None:
                self._ack.release(self)

    def _reopen(self) -> None:
        """A connection that ended with an error may be followed by another."""
        self._listening = False
        ended = self._refused is not None or (self._link is not None and self._link.error)
        if ended and not self._connected():
            self._settled, self._link, self._refused = False, None, None

    def fileno(self) -> int:
        """As socket.fileno().  Who asks may wait with it (select, poll), so a peer
        must not be kept waiting for this host's first bytes."""
        self._ack.release(self)
        return super().fileno()

    def flush_session(self) -> None:
        """Forget the cached session that came of this connection, if any
        (RFC 8548 section 3.5); one that is made later is not cached."""
        self._look()
        if self._link is not None:
            self._link.caching.flush(self)

    def _opened(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.do_handshake()

    def listen(self, *backlog: int) -> None:
        super().listen(*backlog)
        self._listening = True

    def accept(self) -> tuple["Socket", Any]:
        """As socket.accept(); the key exchange comes with the first I/O.

        A connection that ``Config.require`` forbids is reset at once and its
        socket raises EncryptionRequiredError on every use.
        """
        descriptor, address = self._accept()  # type: ignore[attr-defined]
        accepted = Socket(
            self.family, self.type, self.proto, fileno=descriptor, config=self._config
        )
        if socket.getdefaulttimeout() is None and self.gettimeout():
            accepted.setblocking(True)
        accepted._settle(connected=True)
        return accepted, address

    # -- receiving -----------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        link = self._encrypted()
        if link is None:
            return super().recv(bufsize, flags)
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if not flags:
            return link.recv(bufsize) if bufsize else b""
        return recv_flagged(link, bufsize, flags)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        link = self._encrypted()
        if link is None:
            return super().recv_into(buffer, nbytes, flags)
        view = memoryview(buffer).cast("B")
        if nbytes < 0 or nbytes > len(view):
            raise ValueError(f"recv_into: {nbytes} bytes into a buffer of {len(view)}")
        view = view[:nbytes] if nbytes else view
        if not flags:
            return link.recv_into(view) if len(view) else 0
        data = recv_flagged(link, len(view), flags)
        view[: len(data)] = data
        return len(data)

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        if self._encrypted() is None:
            return super().recvfrom(bufsize, flags)
        return self.recv(bufsize, flags), None

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        if self._encrypted() is None:
            return super().recvfrom_into(buffer, nbytes, flags)
        return self.recv_into(buffer, nbytes, flags), None

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> Any:
        if self._encrypted() is None:
            return super().recvmsg(bufsize, ancbufsize, flags)
        return self.recv(bufsize, flags), [], 0, None

    def recvmsg_into(self, buffers: Iterable[Any], ancbufsize: int = 0, flags: int = 0) -> Any:
        if self._encrypted() is None:
            return super().recvmsg_into(buffers, ancbufsize, flags)
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        data = self.recv(sum(map(len, views)), flags)
        at = 0
        for view in views:
            part = data[at : at + len(view)]
            view[: len(part)] = part
            at += len(part)
        return len(data), [], 0, None

    def pending(self) -> int:
        """Application bytes that recv() gives without waiting for the network.

        As with ``ssl``: select() does not see them, so a program that waits
        with it asks this first, or reads until BlockingIOError.
        """
        link = self._encrypted()
        return 0 if link is None else link.pending()

    # -- sending -------------------------------------------------------------

    def _sending(self, flags: int) -> Link | None:
        link = self._encrypted()
        if link is not None and flags & ~socket.MSG_NOSIGNAL:
            raise LocalProtocolError(
                f"send: flags 0x{flags:x} on an encrypted connection; only MSG_NOSIGNAL "
                "can be kept"
            )
        return link

    def send(self, data: Any, flags: int = 0) -> int:
        link = self._sending(flags)
        return super().send(data, flags) if link is None else link.send(data)

    def sendall(self, data: Any, flags: int = 0) -> None:
        link = self._sending(flags)
        if link is None:
            return super().sendall(data, flags)
        return link.sendall(data)

    def sendto(self, data: Any, *rest: Any) -> int:
        if self._encrypted() is None:
            return super().sendto(data, *rest)
        raise LocalProtocolError("sendto: an encrypted connection has one peer; call send()")

    def sendmsg(
        self,
        buffers: Iterable[Any],
        ancdata: Iterable[Any] = (),
        flags: int = 0,
        address: Any = None,
    ) -> int:
        link = self._sending(flags)
        if link is None:
            return super().sendmsg(buffers, ancdata, flags, address)
        if list(ancdata) or address is not None:
            raise LocalProtocolError(
                "sendmsg: ancillary data and addresses cannot be encrypted"
            )
        return link.send(b"".join(buffers))

    def sendmsg_afalg(self, *args: Any, **named: Any) -> int:
        """Refused: TCP would take the message and send it as plaintext."""
        raise LocalProtocolError("sendmsg_afalg: not a socket of the kernel's crypto API")

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        if self._encrypted() is None:
            return super().sendfile(file, offset, count)
        # the kernel's sendfile() would send plaintext: read, seal, send
        return self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined,no-any-return]

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
        return Socket(
            self.family,
            self.type,
            self.proto,
            fileno=socket.dup(self.fileno()),
            config=self._config,
        )

    def _stay(self, refusal: str) -> None:
        """Refuse where the connection is, or may turn out to be, encrypted."""
        self._look()
        if self._link is not None or self._state is State.OFFERED:
            raise LocalProtocolError(refusal)

    def __getstate__(self) -> None:
        raise TypeError("a pyeno.Socket cannot be pickled")
