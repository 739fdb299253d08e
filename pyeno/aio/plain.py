"""Connections without encryption: the loop's own transport, and nothing in its way."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from pyeno.sockets.info import Info
from pyeno.sockets.sock import Socket

_PASSED_ON = (
    "abort", "can_write_eof", "close", "get_protocol", "get_write_buffer_limits",
    "get_write_buffer_size", "is_closing", "is_reading", "pause_reading", "resume_reading",
    "set_protocol", "set_write_buffer_limits", "write", "write_eof", "writelines",
)  # fmt: skip


class PlainTransport(asyncio.Transport):
    """A loop's transport that also answers ``get_extra_info("eno")``; for loops
    whose own cannot be told (uvloop)."""

    def __init__(self, transport: asyncio.Transport, info: Info) -> None:
        super().__init__({"eno": info})
        self._transport = transport
        for name in _PASSED_ON:  # no call of its own between
            setattr(self, name, getattr(transport, name))

    def __repr__(self) -> str:
        return f"<PlainTransport over {self._transport!r}>"

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "eno":
            return super().get_extra_info(name)
        return self._transport.get_extra_info(name, default)


class _Introduction(asyncio.Protocol):
    """Stands in for a protocol until its transport exists, then steps aside."""

    def __init__(self, protocol: asyncio.BaseProtocol, info: Info) -> None:
        self.protocol = protocol
        self.transport: asyncio.Transport | None = None
        self._info = info

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = informed(transport, self._info)
        self.transport.set_protocol(self.protocol)
        self.protocol.connection_made(self.transport)


def informed(transport: Any, info: Info) -> asyncio.Transport:
    """The transport, answering for ``eno`` too."""
    extra = getattr(transport, "_extra", None)
    if isinstance(transport, asyncio.Transport) and isinstance(extra, dict):
        extra["eno"] = info
        return transport
    return PlainTransport(transport, info)


class Watched(socket.socket):
    """A socket that tells when a loop's transport is done with it."""

    on_end: Callable[[], None] | None = None

    def _ended(self) -> None:
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end()

    def close(self) -> None:
        super().close()
        self._ended()

    def detach(self) -> int:
        try:
            return super().detach()
        finally:
            self._ended()


async def hand_over(
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], asyncio.BaseProtocol],
    sock: Socket,
    on_end: Callable[[], None] | None = None,
) -> tuple[asyncio.Transport, Any]:
    """Give a plain connection to the loop; (transport, protocol)."""
    info = sock.eno
    plain = Watched(sock.family, sock.type, sock.proto, fileno=sock.detach())
    plain.on_end = on_end
    plain.setblocking(False)
    try:
        introduction = _Introduction(factory(), info)
        await loop.connect_accepted_socket(lambda: introduction, plain)
    except BaseException:
        plain.close()
        raise
    assert introduction.transport is not None
    return introduction.transport, introduction.protocol
