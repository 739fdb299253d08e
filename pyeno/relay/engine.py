"""The relay's engine: hands bytes on between pairs of connections, compiled.

One thread with one epoll(7) serves all pairs of an engine and needs no GIL (see
``ext/core/relay.h`` and docs/engine.md).  ``near`` is a program's own connection, ``far``
the one through the network: tcpcrypt, whose frames are sealed and opened here, or plain,
whose bytes go by splice(2)::

    engine = Engine()
    engine.add(near, far, token=7)      # both sockets are the engine's now
    ...
    for end in engine.ended():          # engine.fileno() was readable
        print(end.token, end.end, end.bytes_out, end.bytes_in)
"""

import os
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Final, NamedTuple

from pyeno._backend import backend
from pyeno.errors import LocalProtocolError
from pyeno.relay.resumed import Far
from pyeno.sockets.raw import BaseSocket, descriptor
from pyeno.sockets.sock import Socket
from pyeno.tcpcrypt.connection import Connection

if TYPE_CHECKING:
    from pyeno._native.relay import Loop
    from pyeno.sockets.link import Link

ENDS: Final = (
    "none", "fin", "truncated", "reset", "near-reset", "auth-failed", "protocol-error",
    "peer-dead", "failed", "closed",
)  # fmt: skip
"""How a pair may end, in the order of ``enum relay_end`` (relay.h)."""

_detach = BaseSocket.detach  # type: ignore[attr-defined]


class End(NamedTuple):
    """One pair that is no more."""

    token: int
    bytes_out: int
    """application bytes from near to far"""
    bytes_in: int
    end: str
    """``fin``: both directions ended as they should. Of far: ``reset``, ``truncated`` (FIN
    without FINp), ``auth-failed``, ``protocol-error``, ``peer-dead``. Of near:
    ``near-reset``. Of this host: ``failed``, ``closed`` with the engine."""
    errno: int
    """the kernel's word for it, or 0"""


class Carried(NamedTuple):
    """One pair there is."""

    token: int
    bytes_out: int
    bytes_in: int


class Counters(NamedTuple):
    """What an engine has done so far."""

    active: int
    """pairs there are"""
    total: int
    """and ever were"""
    bytes_out: int
    bytes_in: int
    ended: dict[str, int]
    """pairs by how they ended"""


def available() -> bool:
    """Whether this pyeno is compiled: the pure backend has no engine."""
    return backend == "native"


def carries(link: "Link | None") -> bool:
    """Whether an engine can: None is a plain connection."""
    return available() and (link is None or isinstance(link.connection, Connection))


class Engine:
    """Carries pairs of connections until they end.

    ``connections_max``: pairs at one time.  Raises ImportError unless ``available()``.

    Every method may be called from any thread.  The engine is one process's: in children
    of fork() its sockets are closed, without a word to their peers, and it raises.

    A process that is killed leaves RSTs to both sides, never a clean end of stream.
    """

    def __init__(self, *, connections_max: int = 10_000) -> None:
        if not available():
            raise ImportError("the engine is compiled; with PYENO_BACKEND=pure there is none")
        from pyeno._native.relay import Keys, Loop

        if connections_max < 1:
            raise ValueError(f"connections_max: {connections_max!r}; allowed: 1 or more")
        self._loop = Loop(connections_max)
        self._keys = Keys
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(
            target=self._loop.run, name="pyeno relay engine", daemon=True
        )
        self._thread.start()
        self._stop = weakref.finalize(self, _stop, self._loop, self._thread)
        _engines.add(self)

    def add(self, near: socket.socket, far: socket.socket, token: int) -> None:
        """Take over both sockets, which are as good as closed for the caller then; ``token``
        is the caller's name for the pair, 0 or more, below 2**64.

        ``far`` is established: a :class:`pyeno.Socket` with its key exchange complete and
        nothing shut down, or any stream socket.  What was received and not read goes to
        ``near`` first.  Raises LocalProtocolError where its TEP is not tcpcrypt or it is
        not as far, BlockingIOError where ``connections_max`` pairs are carried already,
        RemoteProtocolError where the peer has ended it; then both are still the caller's.
        """
        self._check()
        if isinstance(far, Far) and far.resumed is not None:
            keys, liveness = far.resumed.taken(), far.config.liveness
            self._loop.add(descriptor(near), descriptor(far), token, keys, b"", liveness)
        elif isinstance(far, Socket) and (link := far.link()) is not None:
            self._add_link(near, far, link, token)
        else:
            self._loop.add(descriptor(near), descriptor(far), token)
        for sock in (near, far):
            _detach(sock)
            sock.close()

    def _add_link(self, near: socket.socket, far: Socket, link: "Link", token: int) -> None:
        connection = link.connection
        if not isinstance(connection, Connection):
            raise LocalProtocolError(
                "add: the engine carries tcpcrypt and plain TCP; other TEPs go through "
                "their own connection"
            )
        with link.leaving() as unsent:
            traffic = connection.traffic()
            keys = self._keys(
                traffic.sealer, traffic.opener, traffic.sending, traffic.receiving,
                **traffic.rekeying(),
            )  # fmt: skip
            liveness = far.config.liveness
            self._loop.add(descriptor(near), descriptor(far), token, keys, unsent, liveness)

    def fileno(self) -> int:
        """A descriptor that is readable when ``ended`` has something."""
        self._check()
        return self._loop.fileno()

    def ended(self) -> list[End]:
        """Those that ended since it was asked last, also once the engine is closed."""
        return [
            End(token, out, into, ENDS[end], errno)
            for token, out, into, end, errno in reversed(self._loop.ended())
        ]

    def counters(self) -> Counters:
        """The engine's, those of pairs there are included."""
        active, total, out, into, ended = self._loop.counters()
        return Counters(active, total, out, into, dict(zip(ENDS[1:], ended[1:], strict=True)))

    def connections(self) -> list[Carried]:
        """The pairs there are, in no order."""
        return [Carried(*pair) for pair in self._loop.pairs()]

    def progress(self, token: int) -> tuple[int, int]:
        """(bytes out, bytes in) of one pair, (0, 0) if there is none of that name; of many
        ``connections`` tells more quickly."""
        for pair in self._loop.pairs():
            if pair[0] == token:
                return pair[1], pair[2]
        return 0, 0

    def close(self) -> None:
        """Reset the pairs there are, and end the thread."""
        with self._closing:
            self._closed = True
            self._stop()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self) -> None:
        if self._closed:
            raise ValueError("the engine is closed")

    def _disown(self) -> None:
        self._stop.detach()
        self._closed = True
        self._loop.disown()


def _stop(loop: "Loop", thread: threading.Thread) -> None:
    loop.stop()
    thread.join()


_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()


def _forked() -> None:
    for engine in list(_engines):
        engine._disown()
    _engines.clear()


os.register_at_fork(after_in_child=_forked)
