"""The transport of an encrypted connection.

It owns the kernel's socket and asks the loop for nothing but ``add_reader`` and
``add_writer``.  Why not a protocol between the loop's own transport and the
application's, as asyncio's TLS: RST, FINp together with FIN, and sealing no
sooner than the kernel has room all need the socket itself; bytes go one layer
less; both loops behave alike.
"""

import asyncio
import contextlib
import socket
import warnings
from collections.abc import Callable
from typing import Any

from pyeno.aio.extra import extras
from pyeno.aio.living import Living
from pyeno.sockets.link import Link
from pyeno.sockets.raw import BaseSocket, reset
from pyeno.sockets.sock import Socket


class EnoTransport(Living):
    """``asyncio.Transport`` over an encrypted connection whose keys are agreed."""

    __slots__ = ()

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: Socket,
        link: Link,
        on_lost: Callable[[Any], None] | None = None,
    ) -> None:
        super().__init__(loop, sock, link, extras(sock), on_lost)
        with contextlib.suppress(OSError):  # as asyncio's own
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __repr__(self) -> str:
        state = "closed" if self._lost else "closing" if self._closing else "open"
        return f"<EnoTransport fd={self._fd} {state} {self.get_extra_info('eno')!r}>"

    def start(self, protocol: asyncio.BaseProtocol, *, made: bool = True) -> None:
        """Begin; ``made``: with the protocol's connection_made()."""
        self.set_protocol(protocol)
        if made:
            self._call(protocol.connection_made, self)
        if not self._closing:
            self._start_living()
            self._watch()
            self._flush()  # the key exchange's last bytes, if the kernel had no room
            self._pump()  # what came with them

    def __del__(self) -> None:
        if getattr(self, "_protocol", None) is not None and not self._left_to_parent():
            warnings.warn(
                f"unclosed transport {self!r}", ResourceWarning, stacklevel=2, source=self
            )
            reset(self._sock)
            with contextlib.suppress(OSError):  # a collector has cut its weak reference
                self._link.abort()
            BaseSocket.close(self._sock)  # type: ignore[attr-defined]
