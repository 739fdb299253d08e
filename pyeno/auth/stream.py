"""An EnoStream beneath an authentication.  Needs ``anyio``."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio

from pyeno.aio.stream import EnoStream


class StreamChannel:
    """See :class:`pyeno.auth.aio.Channel`."""

    def __init__(self, stream: EnoStream) -> None:
        self._stream = stream

    async def receive(self, size: int) -> bytes:
        with _unwrapped():
            try:
                return await self._stream.receive(size)
            except anyio.EndOfStream:
                return b""

    async def send(self, data: bytes) -> None:
        with _unwrapped():
            await self._stream.send(data)

    def limit(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        return _limit(seconds)

    def fail(self, error: BaseException) -> None:
        self._stream.abort()


@contextlib.asynccontextmanager
async def _limit(seconds: float | None) -> AsyncIterator[None]:
    with anyio.fail_after(seconds):
        yield


@contextlib.contextmanager
def _unwrapped() -> Any:
    """What broke the connection, in place of anyio's word that it is broken."""
    try:
        yield
    except anyio.BrokenResourceError as error:
        raise error.__cause__ or error from None
