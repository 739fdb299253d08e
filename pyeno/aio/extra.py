"""What ``get_extra_info()`` gives."""

import contextlib
from asyncio.trsock import TransportSocket
from typing import Any

from pyeno.errors import LocalProtocolError
from pyeno.sockets.sock import Socket


class EnoTransportSocket(TransportSocket):
    """The socket beneath an encrypted transport: to look at, and to set options of."""

    __slots__ = ()

    def shutdown(self, how: int) -> None:
        """Refused: it would end the stream before what the transport still holds."""
        raise LocalProtocolError(
            "shutdown: call write_eof(), close() or abort() of the transport instead"
        )


def extras(sock: Socket) -> dict[str, Any]:
    """eno, socket, sockname, peername."""
    return {
        "eno": sock.eno,
        "socket": EnoTransportSocket(sock),
        "sockname": _name(sock.getsockname),
        "peername": _name(sock.getpeername),
    }


def _name(ask: Any) -> Any:
    with contextlib.suppress(OSError):
        return ask()
    return None
