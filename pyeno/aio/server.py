"""A listening server, and every connection it accepted until that has ended."""

import asyncio
import logging
from asyncio.trsock import TransportSocket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pyeno.aio.opening import Opening
from pyeno.aio.plain import hand_over
from pyeno.aio.transport import EnoTransport
from pyeno.errors import KernelError, PyenoError
from pyeno.sockets.sock import Socket

RETRY_SECONDS = 1.0
"""before accepting again, when this process has no descriptors or memory left, say"""

logger = logging.getLogger("pyeno.aio")


class EnoServer(asyncio.AbstractServer):
    """As ``asyncio.Server`` of Python 3.13.

    A connection whose key exchange fails, or whose encryption is required and
    disabled, is reset, and its protocol is never made.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: Callable[[], asyncio.BaseProtocol],
        listeners: Sequence[Socket],
        backlog: int,
    ) -> None:
        self._loop = loop
        self._factory = factory
        self._listeners = list(listeners)
        self._backlog = backlog
        self._serving = False
        self._closed = False
        self._openings: dict[Socket, Opening] = {}
        self._transports: set[Any] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._plain: dict[object, Any] = {}
        """the loop's own transports, None until made"""
        self._waiters: list[asyncio.Future[None]] = []
        self._forever: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<EnoServer sockets={self.sockets!r}>"

    # -- asyncio.Server's calls ----------------------------------------------

    @property
    def sockets(self) -> tuple[TransportSocket, ...]:
        return tuple(TransportSocket(listener) for listener in self._listeners)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._serving

    async def start_serving(self) -> None:
        self._start()
        await asyncio.sleep(0)

    async def serve_forever(self) -> None:
        """Until cancelled, or closed (which cancels it); then closes the server."""
        if self._forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        if self._closed:
            raise RuntimeError(f"server {self!r} is closed")
        self._start()
        self._forever = self._loop.create_future()
        try:
            await self._forever
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise
        finally:
            self._forever = None

    def close(self) -> None:
        """Listen no more; connections already accepted go on."""
        if self._closed:
            return
        self._closed, self._serving = True, False
        for listener in self._listeners:
            self._loop.remove_reader(listener.fileno())
            listener.close()
        self._listeners.clear()
        if self._forever is not None and not self._forever.done():
            self._forever.cancel()
        self._wake()

    def close_clients(self) -> None:
        """close() every connection's transport."""
        for transport in self._open_transports():
            transport.close()
        self._drop_openings()

    def abort_clients(self) -> None:
        """abort() every connection's transport."""
        for transport in self._open_transports():
            transport.abort()
        self._drop_openings()

    def _open_transports(self) -> list[Any]:
        return [*self._transports, *(made for made in self._plain.values() if made is not None)]

    async def wait_closed(self) -> None:
        """Until close() was called and every connection has ended."""
        while not self._closed or self._busy():
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter

    # -- accepting -----------------------------------------------------------

    def _start(self) -> None:
        if self._closed:
            raise RuntimeError(f"server {self!r} is closed")
        if self._serving:
            return
        self._serving = True
        for listener in self._listeners:
            listener.listen(self._backlog)
            self._watch(listener)

    def _watch(self, listener: Socket) -> None:
        if self._serving:
            self._loop.add_reader(listener.fileno(), self._accept, listener)

    def _accept(self, listener: Socket) -> None:
        for _ in range(self._backlog):
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._complain("accept() failed; waiting a second", error)
                self._loop.remove_reader(listener.fileno())
                self._loop.call_later(RETRY_SECONDS, self._watch, listener)
                return
            self._open(sock)

    def _open(self, sock: Socket) -> None:
        sock.setblocking(False)
        opening = Opening(self._loop, sock, partial(self._opened, sock))
        self._openings[sock] = opening
        opening.step()

    def _opened(self, sock: Socket, error: Exception | None) -> None:
        self._openings.pop(sock, None)
        if error is None:
            try:
                self._introduce(sock)
            except Exception as failure:  # the factory's
                sock.abort()
                self._complain("protocol_factory() failed; connection reset", failure)
        else:
            sock.abort()
            if isinstance(error, KernelError) or not isinstance(error, PyenoError | OSError):
                self._complain("a connection could not be opened; connection reset", error)
            elif self._loop.get_debug():
                logger.debug("connection reset: %s", error)
        self._wake()

    def _introduce(self, sock: Socket) -> None:
        link = sock.link()
        if link is None:
            key = object()
            self._plain[key] = None
            task = self._loop.create_task(self._hand_over(sock, key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        protocol = self._factory()
        transport = EnoTransport(self._loop, sock, link, self._lost)
        self._transports.add(transport)
        transport.start(protocol)

    async def _hand_over(self, sock: Socket, key: object) -> None:
        ended = partial(self._plain_ended, key)
        try:
            transport, _ = await hand_over(self._loop, self._factory, sock, ended)
            if key in self._plain:
                self._plain[key] = transport
        except OSError as error:
            logger.debug("plain connection: %s", error)
        except Exception as error:
            self._complain("a plain connection could not be opened", error)

    # -- ends ----------------------------------------------------------------

    def _plain_ended(self, key: object) -> None:
        self._plain.pop(key, None)
        self._wake()

    def _lost(self, transport: Any) -> None:
        self._transports.discard(transport)
        self._wake()

    def _drop_openings(self) -> None:
        openings, self._openings = self._openings, {}
        for sock, opening in openings.items():
            opening.cancel()
            sock.abort()
        self._wake()

    def _busy(self) -> bool:
        return bool(self._openings or self._transports or self._plain)

    def _wake(self) -> None:
        if self._closed and not self._busy():
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters.clear()

    def _complain(self, message: str, error: Exception) -> None:
        self._loop.call_exception_handler(
            {"message": message, "exception": error, "server": self}
        )
