"""What a transport is beside its two directions: its protocol, and its end.

An end without an error is FINp and FIN; every other end is a RST, so that the
peer never takes what was cut short for the whole (RFC 8548 section 3.7).
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

from pyeno.errors import ABORTING, KernelError, LocalProtocolError
from pyeno.sockets.link import Link
from pyeno.sockets.raw import BaseSocket
from pyeno.sockets.sock import Socket
from pyeno.tep import TepConnection

_shutdown = BaseSocket.shutdown  # type: ignore[attr-defined]


class Ending(asyncio.Transport):
    """The connection under a transport and how both come to an end."""

    __slots__ = (
        "__weakref__", "_closing", "_connection", "_fd", "_link", "_loop", "_lost",
        "_on_lost", "_protocol", "_sock",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: Socket,
        link: Link,
        extra: dict[str, Any],
        on_lost: Callable[[Any], None] | None = None,
    ) -> None:
        super().__init__(extra)
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._link = link
        self._connection: TepConnection = link.connection
        self._protocol: Any = None
        self._closing = False
        """no more reading, no new writes: closed, or lost"""
        self._lost = False
        self._on_lost = on_lost

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        return self._closing

    def abort(self) -> None:
        """Destroy the connection with a RST; what was not sent is lost."""
        if not (self._lost or self._left_to_parent()):
            self._link.abort()
            self._end(None)

    def _left_to_parent(self) -> bool:
        """After fork() the descriptor is ours, the connection and the loop are not."""
        if not self._link.closed:
            return False
        self._closing = self._lost = True
        self._protocol = None
        self._sock.close()
        return True

    def _call(self, callback: Callable[..., Any], *arguments: Any) -> Any:
        """One of the protocol's methods; an exception of its own ends the connection."""
        try:
            return callback(*arguments)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            name = getattr(callback, "__name__", repr(callback))
            self._complain(f"protocol.{name}() failed; connection aborted", error)
            if not self._lost:
                self._link.abort()
                self._end(error)
            return None

    def _complain(self, message: str, error: BaseException) -> None:
        self._loop.call_exception_handler(
            {
                "message": message,
                "exception": error,
                "transport": self,
                "protocol": self._protocol,
            }
        )

    def _fatal(self, error: Exception) -> None:
        """The connection cannot go on; connection_lost() tells why."""
        if self._lost:
            return
        if isinstance(error, LocalProtocolError) and self._link.error is not None:
            raise self._link.error from None  # after fork(): this process has no part in it
        if isinstance(error, (*ABORTING, KernelError)):
            self._link.fail(error)
        else:
            self._link.abort()
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        self._closing = self._lost = True
        self._release()
        self._loop.call_soon(self._call_connection_lost, error)

    def _stop_reading(self) -> None:
        """Watch for data no longer."""

    def _release(self) -> None:
        """Stop watching the socket, drop what waits."""

    def _call_connection_lost(self, error: BaseException | None) -> None:
        protocol, self._protocol = self._protocol, None
        try:
            protocol.connection_lost(error)
        finally:
            self._link.part()
            self._sock.close()
            if self._on_lost is not None:
                self._on_lost(self)

    def _shut_sending(self) -> None:
        with contextlib.suppress(OSError):  # the peer's RST: the reader will say so
            _shutdown(self._sock, socket.SHUT_WR)
