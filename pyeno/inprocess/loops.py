"""asyncio: connections and servers of a loop are pyeno's, if TLS is not asked for.

What names a host and a port, or gives a socket of this package, goes to
:mod:`pyeno.aio`; everything else to the loop's own methods, under which no
socket is made for ENO: TLS over it would only encrypt twice.
"""

import socket
from collections.abc import Iterable
from contextvars import ContextVar
from functools import wraps
from types import ModuleType
from typing import Any

from pyeno.inprocess import sock as sockets
from pyeno.inprocess.sock import InProcessSocket

plain: ContextVar[bool] = ContextVar("plain", default=False)
"""What is created now is the standard library's."""
_CONNECTION = {
    "family", "proto", "flags", "local_addr", "happy_eyeballs_delay", "interleave",
    "all_errors",
}  # fmt: skip
_SERVER = {
    "family", "flags", "backlog", "reuse_address", "reuse_port", "start_serving",
}  # fmt: skip


def amend(loop: type) -> None:
    """Give a class of event loops pyeno's connections and servers."""
    kind: Any = loop
    kind.create_connection = _connecting(kind.create_connection)
    kind.create_server = _serving(kind.create_server)
    kind.connect_accepted_socket = _accepted(kind.connect_accepted_socket)


def amend_asyncio(module: ModuleType) -> None:
    amend(module.BaseEventLoop)


def amend_uvloop(module: ModuleType) -> None:
    amend(module.Loop)


def amend_transport(module: ModuleType) -> None:
    """loop.start_tls() and loop.sendfile() over an encrypted transport."""
    module.EnoTransport._start_tls_compatible = True


async def _unchanged(original: Any, *arguments: Any, **named: Any) -> Any:
    token = plain.set(True)
    try:
        return await original(*arguments, **named)
    finally:
        plain.reset(token)


def _connecting(original: Any) -> Any:
    @wraps(original)
    async def create_connection(
        loop: Any, factory: Any, host: Any = None, port: Any = None, **named: Any
    ) -> Any:
        from pyeno.aio.connect import create_eno_connection

        sock = named.get("sock")
        if named.get("ssl") or not await _ours(loop, host, port, sock, named):
            return await _unchanged(original, loop, factory, host, port, **named)
        if sock is not None:
            return await create_eno_connection(loop, factory, sock=sock)
        return await create_eno_connection(
            loop, factory, host, port, config=sockets.current.config,
            **_known(named, _CONNECTION),
        )  # fmt: skip

    return create_connection


def _serving(original: Any) -> Any:
    @wraps(original)
    async def create_server(
        loop: Any, factory: Any, host: Any = None, port: Any = None, **named: Any
    ) -> Any:
        from pyeno.aio.serve import create_eno_server

        sock = named.get("sock")
        if named.get("ssl") or not await _ours(loop, host, port, sock, named):
            return await _unchanged(original, loop, factory, host, port, **named)
        wishes = _known(named, _SERVER)
        if sock is not None:
            return await create_eno_server(loop, factory, sock=sock, **wishes)
        return await create_eno_server(
            loop, factory, host, port, config=sockets.current.config, **wishes
        )

    return create_server


def _accepted(original: Any) -> Any:
    @wraps(original)
    async def connect_accepted_socket(loop: Any, factory: Any, sock: Any, **named: Any) -> Any:
        from pyeno.aio.connect import create_eno_connection

        if named.get("ssl") or not isinstance(sock, InProcessSocket):
            return await _unchanged(original, loop, factory, sock, **named)
        return await create_eno_connection(loop, factory, sock=sock)

    return connect_accepted_socket


def _known(named: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Without those that only TLS has, or that mean: as usual."""
    return {name: value for name, value in named.items() if name in names and value is not None}


async def _ours(loop: Any, host: Any, port: Any, sock: Any, named: dict[str, Any]) -> bool:
    """Whether it may be encrypted, by what it is connected or bound to."""
    rules = sockets.current.rules
    if sock is not None:
        return isinstance(sock, InProcessSocket) and sock.may_be_encrypted()
    if port is None or (str(port).isdigit() and int(port) in rules.skip_ports):
        return False
    hosts = [host] if host is None or isinstance(host, str) else list(host)
    return not all([await _stays(loop, each, port) for each in hosts])


async def _stays(loop: Any, host: str | None, port: Any) -> bool:
    """Whether every address of it is one to be left alone."""
    if not host:
        return False
    found: Iterable[Any] = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return all(sockets.current.rules.skips(each[4]) for each in found)
