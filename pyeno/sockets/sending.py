"""The sending calls of a socket: the link's, or the standard ones."""

import socket
from collections.abc import Iterable
from typing import Any, TypeVar

from pyeno.errors import LocalProtocolError, NotEncryptedError
from pyeno.sockets.link import Link
from pyeno.sockets.settling import Settling

Result = TypeVar("Result")
FLAGS = int(socket.MSG_NOSIGNAL | socket.MSG_OOB)


class Sending(Settling):
    """send() and its kin."""

    __slots__ = ()

    def _sending(self, flags: int) -> Link | None:
        link = self._encrypted()
        if link is not None and flags & ~FLAGS:
            raise LocalProtocolError(
                f"send: flags 0x{flags:x} on an encrypted connection; only MSG_NOSIGNAL "
                "and MSG_OOB can be kept"
            )
        if link is not None and flags & socket.MSG_OOB and not link.tep.urgent:  # [8547:5-17]
            raise LocalProtocolError(
                f"send: {link.tep.name} disables urgent data (RFC 8547 section 5); leave out "
                "MSG_OOB"
            )
        return link

    def _plain(self, result: Result) -> Result:
        """After a standard call."""
        self._ack.sent_plain(self)
        return result

    def send(self, data: Any, flags: int = 0) -> int:
        pump = self._pump
        if pump is not None and not flags:
            return pump.send(self._link, data)  # type: ignore[arg-type]
        link = self._sending(flags)
        if link is None:
            return self._plain(super().send(data, flags))
        if not flags and (pump := self._prime(link)) is not None:
            return pump.send(link, data)
        return link.send(data, bool(flags & socket.MSG_OOB))

    def count_as_sent(self) -> None:
        """After a send() that raised BlockingIOError or was given up: the next one need
        not repeat its bytes."""
        if self._link is not None:
            self._link.count_as_sent()

    def sendall(self, data: Any, flags: int = 0) -> None:
        pump = self._pump
        if pump is not None and not flags:
            return pump.sendall(self._link, data)  # type: ignore[arg-type]
        link = self._sending(flags)
        if link is None:
            return self._plain(super().sendall(data, flags))
        if not flags and (pump := self._prime(link)) is not None:
            return pump.sendall(link, data)
        return link.sendall(data, bool(flags & socket.MSG_OOB))

    def sendto(self, data: Any, *rest: Any) -> int:
        if self._encrypted() is None:
            return self._plain(super().sendto(data, *rest))
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
            return self._plain(super().sendmsg(buffers, ancdata, flags, address))
        if list(ancdata) or address is not None:
            raise LocalProtocolError(
                "sendmsg: ancillary data and addresses cannot be encrypted"
            )
        return link.send(b"".join(buffers), bool(flags & socket.MSG_OOB))

    def rekey(self) -> None:
        """Initiate rekeying (RFC 8548 section 3.8): go on under new keys.

        An empty frame announces them at once, unless an earlier rekeying is
        still unanswered: then the next data sent do.  Never waits for the
        peer's answer; raises as send() does, LocalProtocolError where the
        connection is not encrypted.
        """
        link = self._encrypted()
        if link is None:
            raise NotEncryptedError(f"rekey: {self.eno!r} has no keys")
        link.rekey()

    def sendmsg_afalg(self, *args: Any, **named: Any) -> int:
        """Refused: TCP would take the message and send it as plaintext."""
        raise LocalProtocolError("sendmsg_afalg: not a socket of the kernel's crypto API")

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        if self._encrypted() is None:
            return self._plain(super().sendfile(file, offset, count))
        # the kernel's sendfile() would send plaintext: read, seal, send
        return self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined,no-any-return]
