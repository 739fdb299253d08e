"""The sending calls of a socket: the link's, or the standard ones."""

import socket
from collections.abc import Iterable
from typing import Any

from pyeno.errors import LocalProtocolError
from pyeno.sockets.link import Link
from pyeno.sockets.settling import Settling


class Sending(Settling):
    """send() and its kin."""

    __slots__ = ()

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
