"""Moving data in Python: for TEPs, and for installations, that have no compiled engine.

Works through the public calls of :class:`pyeno.Socket` alone, so with any TEP.
Bounded: at most one piece of :data:`PIECE` bytes waits in each direction, and no
more is read from a side while the other one does not take it.
"""

import contextlib
import os
import select
import socket
import struct
import threading
from collections import deque
from functools import partial
from typing import Self

from pyeno.errors import PyenoError, ending
from pyeno.relay.engine import Carried, End
from pyeno.relay.loop import Loop
from pyeno.sockets import Socket
from pyeno.sockets.raw import descriptor

PIECE = 1 << 16
TURNS = 8
"""pieces in each direction before other connections have their turn"""
RESETS, ENDS = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)
"""SO_LINGER of 0 s: closing, also the kernel's when this process is killed, resets"""
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_FAILED = select.EPOLLERR


class Copier:
    """One thread of its own; the calls are for one other thread."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.copies: dict[int, Copy] = {}
        self._ended: deque[End] = deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self.loop.run, name="pyeno copier", daemon=True)
        self._thread.start()

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
            self.tell(copy.ending("closed"))
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
        self._masks: dict[socket.socket, int | None] = {near: None, far: None}

    def begin(self) -> None:
        """In the copier's thread."""
        self._step(0)

    def _step(self, events: int) -> None:
        try:
            if events & _FAILED:
                self._raise_failure()
            more = self._forward() | self._backward()
        except (OSError, PyenoError) as error:
            self.reset()
            code = getattr(error, "errno", None) or 0
            self._copier.tell(self.ending(ending(error), code))
            return
        if self._near_finished and self._far_finished:
            self._finish()
            return
        self._watch()
        if more:
            self._copier.loop.soon(partial(self._again))

    def _again(self) -> None:
        if self._token in self._copier.copies:
            self._step(0)

    def _raise_failure(self) -> None:
        for sock in (self._near, self._far):
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))

    # -- near to far ---------------------------------------------------------

    def _forward(self) -> bool:
        """Whether it stopped although it could go on."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(TURNS):
                if not self._outgoing and not self._near_ended:
                    self._outgoing = memoryview(self._near.recv(PIECE))
                    self._near_ended = not self._outgoing
                if not self._outgoing:
                    self._tell_far()
                    return False
                sent = self._far.send(self._outgoing)
                self._outgoing = self._outgoing[sent:]
                self.bytes_out += sent
            return True
        return False

    def _tell_far(self) -> None:
        if not self._far_finished:
            self._far.shutdown(socket.SHUT_WR)
            self._far_finished = True

    # -- far to near ---------------------------------------------------------

    def _backward(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            for _ in range(TURNS):
                if not self._incoming and not self._far_ended:
                    self._incoming = memoryview(self._far.recv(PIECE))
                    self._far_ended = not self._incoming
                if not self._incoming:
                    self._tell_near()
                    return False
                sent = self._near.send(self._incoming)
                self._incoming = self._incoming[sent:]
                self.bytes_in += sent
            return True
        return False

    def _tell_near(self) -> None:
        if not self._near_finished:
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
