"""EnoStream: a connection for AnyIO, hence for Trio too.  Needs ``anyio``."""

import contextlib
import errno
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio.abc import ByteStream, SocketAttribute, TaskGroup
from anyio.abc import Listener as AnyListener
from anyio.lowlevel import (
    cancel_shielded_checkpoint,
    checkpoint,
    checkpoint_if_cancelled,
)

from pyeno.config import Config, as_config
from pyeno.errors import PyenoError
from pyeno.sockets.create import create_server
from pyeno.sockets.info import Info
from pyeno.sockets.sock import Socket

T = TypeVar("T")


class EnoAttribute(anyio.TypedAttributeSet):
    """What an EnoStream tells beside anyio's SocketAttribute."""

    info: Info = anyio.typed_attribute()


class EnoStream(ByteStream):
    """A connection whose verdict is known and whose keys, if any, are agreed.

    Errors are anyio's: BrokenResourceError with the OSError or PyenoError as its
    cause (a truncated stream is one of these, never EndOfStream),
    ClosedResourceError, BusyResourceError.
    """

    def __init__(self, sock: Socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._receiving = anyio.ResourceGuard("reading from")
        self._sending = anyio.ResourceGuard("writing to")

    @property
    def eno(self) -> Info:
        """What TCP-ENO made of the connection."""
        return self._sock.eno

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        sock = self._sock
        return {
            EnoAttribute.info: lambda: sock.eno,
            SocketAttribute.family: lambda: sock.family,
            SocketAttribute.local_address: sock.getsockname,
            SocketAttribute.local_port: lambda: sock.getsockname()[1],
            SocketAttribute.remote_address: sock.getpeername,
            SocketAttribute.remote_port: lambda: sock.getpeername()[1],
            SocketAttribute.raw_socket: lambda: sock,
        }

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Some bytes; EndOfStream only after an authenticated FINp."""
        if max_bytes < 1:
            raise ValueError(f"max_bytes={max_bytes}: 1 or more")
        with self._receiving:
            data = await self._try(lambda: self._sock.recv(max_bytes), anyio.wait_readable)
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        """All of it.  If cancelled, a part may have been sent; the stream stays usable."""
        with self._sending:
            view = memoryview(item)
            try:
                while view:
                    call = partial(self._sock.send, view)
                    view = view[await self._try(call, anyio.wait_writable) :]
            finally:
                self._sock.count_as_sent()

    async def send_eof(self) -> None:
        """End this side of the stream (FINp, then FIN)."""
        with self._sending:
            await self._try(lambda: self._sock.shutdown(socket.SHUT_WR), anyio.wait_writable)

    async def aclose(self) -> None:
        """FINp and FIN; a RST if cancelled before the kernel had room for them."""
        if self._sock.fileno() < 0:
            return
        try:
            if self.eno.encrypted:
                with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                    await self._try(
                        lambda: self._sock.shutdown(socket.SHUT_WR), anyio.wait_writable
                    )
        except BaseException:
            self._sock.abort()
            raise
        anyio.notify_closing(self._sock)
        self._sock.close()
        await checkpoint()

    def abort(self) -> None:
        """Destroy the connection with a RST."""
        if self._sock.fileno() >= 0:
            anyio.notify_closing(self._sock)
            self._sock.abort()

    async def _try(self, call: Callable[[], T], wait: Callable[[Any], Awaitable[None]]) -> T:
        await checkpoint_if_cancelled()
        while True:
            if self._sock.fileno() < 0:
                raise anyio.ClosedResourceError
            try:
                done = call()
            except BlockingIOError:
                await wait(self._sock)
            except (OSError, PyenoError) as error:
                raise anyio.BrokenResourceError from error
            else:
                await cancel_shielded_checkpoint()  # what was received is not lost
                return done


async def agree(sock: Socket) -> EnoStream:
    """The stream of a connected or accepted socket, which belongs to it.

    Raises EncryptionRequiredError, RemoteProtocolError, OSError.
    """
    try:
        sock.setblocking(False)
        deadline = time.monotonic() + sock.config.handshake_timeout
        while True:
            try:
                sock.do_handshake()
            except BlockingIOError:
                wait = anyio.wait_writable if sock.wants_room() else anyio.wait_readable
                with anyio.move_on_after(max(deadline - time.monotonic(), 0) + 0.01):
                    await wait(sock)
            else:
                return EnoStream(sock)
    except BaseException:
        sock.abort()
        raise


async def connect_eno(host: str, port: int, *, config: Config | None = None) -> EnoStream:
    """Connect to the first address of ``host`` that answers, and agree on keys.

    Raises OSError of the last try, and as :func:`agree`.
    """
    config = as_config(config)
    failure: OSError | None = None
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, proto, _, address in found:
        sock = Socket(family, kind, proto, config=config)
        try:
            await _connect(sock, address)
        except OSError as error:
            sock.abort()
            failure = error
        except BaseException:
            sock.abort()
            raise
        else:
            return await agree(sock)
    try:
        raise failure if failure is not None else OSError(f"{host}: no address found")
    finally:
        failure = None  # break the reference cycle with the traceback


async def _connect(sock: Socket, address: Any) -> None:
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        await anyio.wait_writable(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


class EnoListener(AnyListener[EnoStream]):
    """Accepts; each connection's keys are agreed in a task of its own."""

    def __init__(self, sock: Socket) -> None:
        sock.setblocking(False)
        self._sock = sock

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {
            SocketAttribute.family: lambda: self._sock.family,
            SocketAttribute.local_address: self._sock.getsockname,
            SocketAttribute.local_port: lambda: self._sock.getsockname()[1],
            SocketAttribute.raw_socket: lambda: self._sock,
        }

    async def serve(
        self, handler: Callable[[EnoStream], Any], task_group: TaskGroup | None = None
    ) -> None:
        """Call ``handler(stream)`` for every connection, until cancelled or closed."""
        if task_group is None:
            async with anyio.create_task_group() as task_group:
                await self.serve(handler, task_group)
        while True:
            task_group.start_soon(self._handle, await self._accept(), handler)

    async def _accept(self) -> Socket:
        while True:
            if self._sock.fileno() < 0:
                raise anyio.ClosedResourceError
            try:
                return self._sock.accept()[0]
            except (BlockingIOError, ConnectionAbortedError):
                await anyio.wait_readable(self._sock)

    async def _handle(self, sock: Socket, handler: Callable[[EnoStream], Any]) -> None:
        try:
            stream = await agree(sock)
        except (OSError, PyenoError):
            return  # reset: refused, or the peer's fault
        await handler(stream)

    async def aclose(self) -> None:
        if self._sock.fileno() >= 0:
            anyio.notify_closing(self._sock)
            self._sock.close()
        await checkpoint()


def create_eno_listener(
    host: str, port: int, *, config: Config | None = None, **options: Any
) -> EnoListener:
    """Listen on ``(host, port)``; options as :func:`pyeno.create_server`."""
    return EnoListener(create_server((host, port), config=config, **options))
