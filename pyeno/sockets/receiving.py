"""The receiving calls of a socket: the link's, or the standard ones."""

import socket
from collections.abc import Iterable
from typing import Any

from pyeno.sockets import raw
from pyeno.sockets.flags import recv_flagged
from pyeno.sockets.settling import Settling


class Receiving(Settling):
    """recv() and its kin."""

    __slots__ = ()

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        pump = self._pump
        if pump is not None and not flags and bufsize > 0:
            return pump.recv(self._link, bufsize)  # type: ignore[arg-type]
        link = self._encrypted()
        if link is None:
            return super().recv(bufsize, flags)
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if not flags and bufsize:
            pump = self._prime(link)
            return link.recv(bufsize) if pump is None else pump.recv(link, bufsize)
        if not flags:
            return b""
        return recv_flagged(link, bufsize, flags)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        pump = self._pump
        if pump is not None and not flags and not nbytes and len(buffer):
            return pump.recv_into(self._link, buffer)  # type: ignore[arg-type]
        link = self._encrypted()
        if link is None:
            return super().recv_into(buffer, nbytes, flags)
        view = memoryview(buffer).cast("B")
        if nbytes < 0 or nbytes > len(view):
            raise ValueError(f"recv_into: {nbytes} bytes into a buffer of {len(view)}")
        view = view[:nbytes] if nbytes else view
        if not flags and len(view):
            pump = self._prime(link)
            return link.recv_into(view) if pump is None else pump.recv_into(link, view)
        if not flags:
            return 0
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
        return self.recv(bufsize, flags), [], flags & socket.MSG_OOB, None

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
        return len(data), [], flags & socket.MSG_OOB, None

    def pending(self) -> int:
        """Application bytes that recv() gives without waiting for the network.

        As with ``ssl``: select() does not see them, so a program that waits
        with it asks this first, or reads until BlockingIOError.
        """
        link = self._encrypted()
        return 0 if link is None else link.pending()

    def sockatmark(self) -> bool:
        """As sockatmark(3): whether the next byte to be read is the last one of urgent
        data (RFC 8548 section 3.7)."""
        link = self._encrypted()
        return raw.at_mark(self) if link is None else link.at_mark()
