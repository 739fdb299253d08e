"""One connection of ``listen`` or ``connect``: count bytes, tell how it ended."""

import json
import os
import select
import socket
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyeno.cli.authentication import Authenticate
from pyeno.errors import PyenoError, ending
from pyeno.sockets import Socket

if TYPE_CHECKING:
    from pyeno.auth import Authenticated

CHUNK = 1 << 18
IDLE_SECONDS, POLL_SECONDS = 2.0, 0.25

_printing = threading.Lock()


def peer_name(peer: Any) -> str:
    """``HOST:PORT``, or ``[HOST]:PORT`` for IPv6."""
    host, port = peer[:2]
    host = host.removeprefix("::ffff:") if "." in host else host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Session:
    """Counts what passes and keeps the reason for the end."""

    def __init__(
        self, sock: Socket, peer: Any, authenticate: Authenticate | None = None
    ) -> None:
        self.sock = sock
        self.authenticated: Authenticated | None = None
        self._authenticate = authenticate
        self.peer = peer_name(peer)
        self.bytes_in = 0
        self.bytes_out = 0
        self.end = "fin"
        self.error = ""

    def recv(self) -> bytes:
        """The next application bytes; empty at the end of stream."""
        data = self.sock.recv(CHUNK)
        self.bytes_in += len(data)
        return data

    def send(self, data: bytes) -> None:
        """All of ``data``."""
        self.sock.sendall(data)
        self.bytes_out += len(data)

    def run(self, serve: Callable[["Session"], None]) -> bool:
        """Serve, keep the end, close; whether it ended well."""
        if not self.error:
            try:
                self.sock.do_handshake()
                if self._authenticate is not None:
                    self.authenticated = self._authenticate(self.sock)
                serve(self)
            except (OSError, PyenoError) as error:
                self.failed(error)
        self.info = self.sock.eno
        self.sock.close()
        return self.end == "fin"

    def failed(self, error: Exception) -> None:
        """Keep the first error."""
        if not self.error:
            self.end, self.error = ending(error), str(error)

    def report(self, as_json: bool) -> None:
        """One JSON object, or one line where something went wrong."""
        if as_json:
            line = json.dumps(self.as_dict())
        elif self.error:
            line = f"pyeno: {self.peer}: {self.error}"
        else:
            return
        with _printing:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    def as_dict(self) -> dict[str, Any]:
        """The contract's fields, and ``error`` where there was one."""
        fields = {
            "peer": self.peer,
            **self.info.as_dict(),
            "authenticated": self.authenticated and self.authenticated.as_dict(),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "end": self.end,
        }
        return fields | {"error": self.error} if self.error else fields


def echo(session: Session) -> None:
    """Send back everything, then end the stream."""
    while data := session.recv():
        session.send(data)
    session.sock.shutdown(socket.SHUT_WR)


def sink(session: Session) -> None:
    """Read everything and drop it."""
    while session.recv():
        pass
    session.sock.shutdown(socket.SHUT_WR)


def stdio(session: Session) -> None:
    """Standard input out, what comes in to standard output, until both end.

    Once the peer has ended its stream, standard input is waited for no longer
    than IDLE_SECONDS at a time.
    """
    peer_ended = threading.Event()
    sender = threading.Thread(target=_send_stdin, args=(session, peer_ended), daemon=True)
    sender.start()
    while data := session.recv():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    peer_ended.set()
    sender.join()


def _send_stdin(session: Session, peer_ended: threading.Event) -> None:
    try:
        while data := _read_stdin(peer_ended):
            session.send(data)
        session.sock.shutdown(socket.SHUT_WR)
    except (OSError, PyenoError) as error:
        session.failed(error)


def _read_stdin(peer_ended: threading.Event) -> bytes:
    """The next input; empty at its end, or when nobody waits for it any more."""
    stdin = sys.stdin.fileno()
    idle = 0.0
    while not select.select([stdin], [], [], POLL_SECONDS)[0]:
        idle = idle + POLL_SECONDS if peer_ended.is_set() else 0.0
        if idle >= IDLE_SECONDS:
            return b""
    return os.read(stdin, CHUNK)
