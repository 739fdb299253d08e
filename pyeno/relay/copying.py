"""Moving data in Python: for TEPs, and for installations, that have no compiled engine.

Works through the public calls of :class:`pyeno.Socket` alone, so with any TEP.
Bounded: at most one piece of :data:`PIECE` bytes waits in each direction, and no
more is read from a side while the other one does not take it.
"""

import contextlib
import errno
import os
import select
import socket
import threading
import time
from collections import deque
from functools import partial
from typing import Self

from pyeno.errors import ABORTING, PeerDeadError, PyenoError, ending
from pyeno.relay.engine import Carried, End
from pyeno.relay.loop import Loop
from pyeno.sockets import Socket
from pyeno.sockets.raw import ENDS, RESETS, TCP_CLOSE, acknowledged, descriptor, tcp_state

PIECE = 1 << 16
TURNS = 8
"""pieces in each direction before other connections have their turn"""
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
PATIENCE_NEAR, PATIENCE_FAR = 60.0, 5.0
"""seconds for a program, and for a peer, to take what came before the other side was lost"""
LOOK_SECONDS = 0.02
_NO_ROOM = (errno.ENOMEM, errno.ENOBUFS, errno.EMFILE, errno.ENFILE)


class Copier:
    """One thread of its own; the calls are for one other thread."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.copies: dict[int, Copy] = {}
        self.lingering: set[Copy] = set()
        self._ended: deque[End] = deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="pyeno copier", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.loop.run(self._tick)

    def _tick(self) -> float | None:
        for copy in list(self.lingering):
            copy.linger()
        return LOOK_SECONDS if self.lingering else None

    def add(self, near: socket.socket, far: socket.socket, token: int) -> None:
        """Take over both, which are as good as closed for the caller."""
        for sock in (near, far):
            _prepare(sock)
        self.copies[token] = copy = Copy(self, near, far, token)
        self.loop.soon(copy.begin)

    def fileno(self) -> int:
        """Readable when :meth:`ended` has something."""
        return self._event

    def ended(self) -> list[End]:
        """What ended since this was asked last, also once this is closed."""
        if self._event >= 0:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._event)
        return [self._ended.popleft() for _ in range(len(self._ended))]

    def connections(self) -> list[Carried]:
        """Those that have not ended."""
        copies = list(self.copies.items())
        return [Carried(token, copy.bytes_out, copy.bytes_in) for token, copy in copies]

    def tell(self, end: End) -> None:
        """Of a connection's end."""
        if self.copies.pop(end.token, None) is not None:
            self._ended.append(end)
            os.eventfd_write(self._event, 1)

    def close(self) -> None:
        """Reset what is left; may be called twice."""
        if self._event < 0:
            return
        self.loop.stop()
        self._thread.join()
        for copy in list(self.copies.values()):
            copy.reset()
            self.tell(copy.ending(*copy.why))
        self.loop.close()
        os.close(self._event)
        self._event = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Copy:
    """One connection: two directions that end one by one."""

    def __init__(
        self, copier: Copier, near: socket.socket, far: socket.socket, token: int
    ) -> None:
        self.bytes_out = self.bytes_in = 0
        self._copier, self._token = copier, token
        self._near, self._far = near, far
        self._outgoing = self._incoming = memoryview(b"")
        self._near_ended = self._far_ended = False
        self._near_finished = self._far_finished = False
        """its side was told that the other one has ended"""
        self._used = near
        """by the call that was made last"""
        self._lost: socket.socket | None = None
        self._deadline = 0.0
        self.why = "closed", 0
        """the end to be told, and its errno"""
        self._masks: dict[socket.socket, int | None] = {near: None, far: None}

    def begin(self) -> None:
        """In the copier's thread."""
        self._step(0)

    def _step(self, _: int) -> None:
        """Errors come from the calls themselves, behind what was received before them."""
        try:
            more = self._forward() | self._backward()
        except (OSError, PyenoError) as error:
            self._lose(error)
            return
        if self._near_finished and self._far_finished:
            self._finish()
            return
        self._watch()
        if more:
            self._copier.loop.soon(partial(self._again))

    def _again(self) -> None:
        if self._token in self._copier.copies and self._lost is None:
            self._step(0)

    # -- near to far ---------------------------------------------------------

    def _forward(self) -> bool:
        """Whether it stopped although it could go on."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(TURNS):
                if not self._outgoing and not self._near_ended:
                    self._used = self._near
                    self._outgoing = memoryview(self._near.recv(PIECE))
                    self._near_ended = not self._outgoing
                if not self._outgoing:
                    self._tell_far()
                    return False
                self._used = self._far
                sent = self._far.send(self._outgoing)
                self._outgoing = self._outgoing[sent:]
                self.bytes_out += sent
            return True
        return False

    def _tell_far(self) -> None:
        if not self._far_finished and self._lost is None:
            self._used = self._far
            self._far.shutdown(socket.SHUT_WR)
            self._far_finished = True

    # -- far to near ---------------------------------------------------------

    def _backward(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            for _ in range(TURNS):
                if not self._incoming and not self._far_ended:
                    self._used = self._far
                    self._incoming = memoryview(self._far.recv(PIECE))
                    self._far_ended = not self._incoming
                if not self._incoming:
                    self._tell_near()
                    return False
                self._used = self._near
                sent = self._near.send(self._incoming)
                self._incoming = self._incoming[sent:]
                self.bytes_in += sent
            return True
        return False

    def _tell_near(self) -> None:
        if not self._near_finished and self._lost is None:
            self._used = self._near
            self._near.shutdown(socket.SHUT_WR)
            self._near_finished = True

    # -- readiness and ends ----------------------------------------------------

    def _watch(self) -> None:
        near_in = not self._near_ended and not self._outgoing
        far_in = not self._far_ended and not self._incoming
        far_out = self._outgoing or (self._near_ended and not self._far_finished)
        self._want(self._near, _IN * near_in | (_OUT if self._incoming else 0))
        self._want(self._far, _IN * far_in | (_OUT if far_out else 0))

    def _want(self, sock: socket.socket, mask: int) -> None:
        """Nothing wanted: not watched, or its hang-up would be told for ever."""
        before = self._masks[sock]
        number = descriptor(sock)
        if not mask and before is not None:
            self._copier.loop.forget(number)
        elif mask and before is None:
            self._copier.loop.watch(number, mask, self._step)
        elif mask and mask != before:
            self._copier.loop.change(number, mask)
        self._masks[sock] = mask or None

    # -- one side is gone: the other is given what came from it, and then a RST ---

    def _lose(self, error: Exception) -> None:
        self._lost = self._used
        self.why = self._told(error), getattr(error, "errno", None) or 0
        patience = PATIENCE_NEAR if self._lost is self._far else PATIENCE_FAR
        self._deadline = time.monotonic() + patience
        self._forget()
        self._masks = dict.fromkeys(self._masks)
        self._copier.lingering.add(self)
        self.linger()

    def linger(self) -> None:
        """Is it over?"""
        left, move = self._near, self._backward
        if self._lost is self._near:
            left, move = self._far, self._forward
        with contextlib.suppress(OSError, PyenoError):  # nothing more comes, or goes
            if move():
                return
        waits = bool(self._incoming if left is self._near else self._outgoing)
        with contextlib.suppress(OSError):
            waits = acknowledged(left)[1] > 0 or waits
        if not waits or tcp_state(left) == TCP_CLOSE or time.monotonic() >= self._deadline:
            self._copier.lingering.discard(self)
            self.reset()
            self._copier.tell(self.ending(*self.why))

    def _told(self, error: Exception) -> str:
        """As the engine has it."""
        if isinstance(error, PeerDeadError):
            return "peer-dead"
        if getattr(error, "errno", None) in _NO_ROOM:
            return "failed"
        if self._lost is self._near:
            return "near-reset"
        told = ending(error)
        return "protocol-error" if told == "reset" and isinstance(error, ABORTING) else told

    def ending(self, end: str, code: int = 0) -> End:
        """To be told."""
        return End(self._token, self.bytes_out, self.bytes_in, end, code)

    def _finish(self) -> None:
        """Both streams ended: what the kernel still has goes out before FIN."""
        self._forget()
        for sock in (self._near, self._far):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ENDS)
            sock.close()
        self._copier.tell(self.ending("fin"))

    def reset(self) -> None:
        """Neither side may take what it has for the whole."""
        self._forget()
        for sock in (self._near, self._far):
            abort(sock)

    def _forget(self) -> None:
        for sock, mask in self._masks.items():
            if mask is not None:
                self._copier.loop.forget(descriptor(sock))


def abort(sock: socket.socket) -> None:
    """RST, whichever kind of socket it is."""
    if isinstance(sock, Socket):
        sock.abort()
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
    sock.close()


def _prepare(sock: socket.socket) -> None:
    """As the engine does it: no delay added, urgent bytes are data like others, and a
    process that is killed leaves resets behind."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
