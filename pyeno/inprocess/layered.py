"""TLS over an encrypted connection, as STARTTLS and proxies ask for it.

``ssl`` gives OpenSSL the descriptor, which would go round the frames.  Here
OpenSSL reads and writes memory, and its records go through the socket beneath.
A connection that is not encrypted is given to ``ssl`` as ever.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from pyeno.inprocess.sock import InProcessSocket
from pyeno.sockets.raw import BaseSocket, descriptor, kind_of

_HEADER = 5
"""bytes of a TLS record before its fragment, whose length is in the last two"""


def install(module: ModuleType) -> None:
    """Amend SSLContext.wrap_socket()."""
    module.SSLContext.wrap_socket = _wrapping(module.SSLContext.wrap_socket)


def _wrapping(original: Any) -> Any:
    @wraps(original)
    def wrap_socket(context: ssl.SSLContext, sock: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(sock, InProcessSocket) and _encrypted(sock):
            return LayeredSocket.over(context, sock, *arguments, **named)
        return original(context, sock, *arguments, **named)

    return wrap_socket


def _encrypted(sock: InProcessSocket) -> bool:
    """False before connect(), too: then ENO is never negotiated.  True after the
    connection's end as well."""
    return sock.fileno() >= 0 and (sock.eno.encrypted or sock.connected_encrypted())


class LayeredSocket(ssl.SSLSocket):
    """An SSLSocket whose records are the application bytes of another socket."""

    _carrier: InProcessSocket
    _sslobj: Any

    @classmethod
    def over(
        cls,
        context: ssl.SSLContext,
        sock: InProcessSocket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> "LayeredSocket":
        """As SSLContext.wrap_socket(): ``sock`` is detached."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        made: Any = cls.__new__(cls)
        # before anything changes: it says which arguments do not go together
        checked: Any = context.wrap_bio(
            incoming, outgoing, server_side, server_hostname, session
        )
        inner = checked._sslobj
        inner.owner = made
        kind, timeout = kind_of(sock), sock.gettimeout()
        carrier = sock.moved()
        socket.socket.__init__(made, *kind, fileno=descriptor(carrier))
        made.settimeout(timeout)
        made._carrier, made._context, made._session = carrier, context, session
        made._closed, made._connected, made.server_side = False, True, server_side
        made.server_hostname = checked.server_hostname
        made.do_handshake_on_connect = do_handshake_on_connect
        made.suppress_ragged_eofs = suppress_ragged_eofs
        made._sslobj = Records(made, carrier, inner, incoming, outgoing)
        if do_handshake_on_connect:
            made._open()
        return made  # type: ignore[no-any-return]

    def _open(self) -> None:
        try:
            if self.gettimeout() == 0:
                raise ValueError(
                    "do_handshake_on_connect should not be specified for non-blocking sockets"
                )
            self.do_handshake()
        except BaseException:
            self.close()
            raise

    # after unwrap() or shutdown() the bytes are the carrier's

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        return (
            super().recv(buflen, flags) if self._sslobj else self._beneath().recv(buflen, flags)
        )

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        if self._sslobj:
            return super().recv_into(buffer, nbytes, flags)
        return self._beneath().recv_into(buffer, nbytes or 0, flags)

    def send(self, data: Any, flags: int = 0) -> int:
        return super().send(data, flags) if self._sslobj else self._beneath().send(data, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        if self._sslobj:
            super().sendall(data, flags)
        else:
            self._beneath().sendall(data, flags)

    def _beneath(self) -> InProcessSocket:
        self._carrier.settimeout(self.gettimeout())
        return self._carrier

    # -- ends ----------------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        self._sslobj = None
        self._beneath().shutdown(how)

    def _real_close(self) -> None:
        self._sslobj = None
        carrier = self._beneath()
        BaseSocket.detach(self)  # type: ignore[attr-defined]
        carrier.close()

    def __del__(self) -> None:
        # the descriptor is the carrier's to close
        BaseSocket.detach(self)  # type: ignore[attr-defined]


class Records:
    """In the place of OpenSSL's own object over a descriptor."""

    def __init__(
        self,
        outer: LayeredSocket,
        carrier: InProcessSocket,
        inner: Any,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
    ) -> None:
        self._inner = inner
        self._timeout = outer.gettimeout
        self._carrier = carrier
        self._incoming, self._outgoing = incoming, outgoing
        self._header = b""
        self._left = 0
        """bytes of the record that are still to come"""
        self._unsent = b""
        self._written = 0
        """of a write() whose records could not be sent at once"""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        target = self if name.startswith("_") else self._inner
        object.__setattr__(target, name, value)

    def do_handshake(self) -> None:
        self._run(self._inner.do_handshake)

    def read(self, *arguments: Any) -> Any:
        return self._run(self._inner.read, *arguments)

    def write(self, data: Any) -> int:
        if not self._written:
            self._written = self._run(self._inner.write, data)
        self._flush()
        written, self._written = self._written, 0
        return written

    def shutdown(self) -> Any:
        self._run(self._inner.shutdown)
        return self._inner.owner

    def _run(self, call: Callable[..., Any], *arguments: Any) -> Any:
        self._carrier.settimeout(self._timeout())
        while True:
            try:
                result = call(*arguments)
            except ssl.SSLWantReadError:
                self._flush()
                self._fetch()
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    self._flush()  # an alert that says why
                raise
            else:
                if call != self._inner.write:
                    self._flush()
                return result

    def _flush(self) -> None:
        """Raises SSLWantWriteError."""
        while True:
            self._unsent = self._unsent or self._outgoing.read()
            if not self._unsent:
                return
            try:
                sent = self._carrier.send(self._unsent)
            except BlockingIOError:
                if not self._carrier.agreed():  # it is the peer who is to send
                    raise _want_read() from None
                raise ssl.SSLWantWriteError(
                    ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)"
                ) from None
            self._unsent = self._unsent[sent:]

    def _fetch(self) -> None:
        """Some bytes of one record, and none of the next: what was not asked for yet stays
        where select() sees it.  Raises SSLWantReadError."""
        try:
            data = self._carrier.recv(self._left or _HEADER - len(self._header))
        except BlockingIOError:
            raise _want_read() from None
        if not data:
            self._incoming.write_eof()
            return
        if self._left:
            self._left -= len(data)
        else:
            self._header += data
            if len(self._header) == _HEADER:
                self._left = int.from_bytes(self._header[3:], "big")
                self._header = b""
        self._incoming.write(data)


def _want_read() -> ssl.SSLWantReadError:
    return ssl.SSLWantReadError(
        ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)"
    )
