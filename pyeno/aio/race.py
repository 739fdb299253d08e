"""Connecting to whichever of a host's addresses answers first (RFC 8305)."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from pyeno.aio.addresses import Address, connect_one, interleaved, resolved
from pyeno.config import Config
from pyeno.sockets.sock import Socket

Try = Callable[[], Coroutine[Any, Any, Socket]]


async def connect_any(
    loop: asyncio.AbstractEventLoop,
    host: str | None,
    port: int | str | None,
    config: Config,
    *,
    family: int,
    proto: int,
    flags: int,
    local_addr: tuple[str, int] | None,
    delay: float | None,
    interleave: int | None,
    all_errors: bool,
) -> Socket:
    """A connected socket; OSError of all tries, or an ExceptionGroup (``all_errors``)."""
    if host is None and port is None:
        raise ValueError("host and port was not specified and no sock specified")
    resolve = partial(resolved, loop, family=family, proto=proto, flags=flags)
    addresses = await resolve(host, port)
    local = None if local_addr is None else await resolve(*local_addr)
    if interleave is None and delay is not None:
        interleave = 1
    if interleave:
        addresses = interleaved(addresses, interleave)
    errors: list[OSError] = []
    sock = await _first(loop, addresses, config, local, delay, errors)
    if sock is not None:
        return sock
    try:
        if all_errors:
            raise ExceptionGroup("create_eno_connection failed", errors)
        if len({str(error) for error in errors}) == 1:
            raise errors[0]
        raise OSError(f"Multiple exceptions: {', '.join(map(str, errors))}")
    finally:
        errors.clear()  # break the reference cycle with the traceback


async def _first(
    loop: asyncio.AbstractEventLoop,
    addresses: Sequence[Address],
    config: Config,
    local: Sequence[Address] | None,
    delay: float | None,
    errors: list[OSError],
) -> Socket | None:
    if delay is not None:
        return await _race(
            [partial(connect_one, loop, address, config, local) for address in addresses],
            delay,
            errors,
        )
    for address in addresses:
        try:
            return await connect_one(loop, address, config, local)
        except OSError as error:
            errors.append(error)
    return None


async def _race(tries: Sequence[Try], delay: float, errors: list[OSError]) -> Socket | None:
    """Each begins when the one before has failed, or has taken ``delay`` seconds."""
    queue = deque(tries)
    running: set[asyncio.Task[Socket]] = set()
    try:
        while queue or running:
            if queue:
                running.add(asyncio.ensure_future(queue.popleft()()))
            done, _ = await asyncio.wait(
                running,
                timeout=delay if queue else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                try:
                    sock = task.result()
                except OSError as error:
                    errors.append(error)
                else:
                    running.discard(task)  # another that connected is dropped below
                    return sock
                running.discard(task)
        return None
    finally:
        for task in running:  # those that lost, or all if the caller was cancelled
            task.cancel()
            task.add_done_callback(_abandon)


def _abandon(task: asyncio.Task[Socket]) -> None:
    """It may have connected all the same."""
    if not task.cancelled() and task.exception() is None:
        task.result().abort()
