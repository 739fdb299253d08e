"""create_connection and create_server, as the standard library's but for
``config``."""

import socket
from typing import Any

from pyeno.config import Config, as_config
from pyeno.sockets.sock import Socket


def create_connection(
    address: tuple[str | None, int],
    timeout: float | None = None,
    source_address: tuple[str, int] | None = None,
    *,
    config: Config | None = None,
) -> Socket:
    """Connect to ``(host, port)``, trying each address in turn.

    ``timeout`` in seconds stays the socket's.  Raises OSError of the last try,
    EncryptionRequiredError where ``config.require`` forbids a plain
    connection, RemoteProtocolError where the peer breaks the key exchange.
    """
    config = as_config(config)
    host, port = _host_and_port(address)
    failure: OSError | None = None
    for family, kind, proto, _, target in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        sock = Socket(family, kind, proto, config=config)
        try:
            if timeout is not None:
                sock.settimeout(timeout)
            if source_address is not None:
                sock.bind(source_address)
            sock.connect(target)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    try:
        raise failure if failure is not None else OSError(f"{address}: no address found")
    finally:
        failure = None  # break the reference cycle with the traceback


def _host_and_port(address: object) -> tuple[str | None, int]:
    if not isinstance(address, tuple | list) or len(address) != 2:
        raise TypeError(f"address: expected (host, port), not {address!r}")
    host, port = address
    return host, port


def create_server(
    address: tuple[str, int],
    *,
    family: int = socket.AF_INET,
    backlog: int | None = None,
    reuse_port: bool = False,
    dualstack_ipv6: bool = False,
    config: Config | None = None,
) -> Socket:
    """Listen on ``(host, port)``; accepted sockets share ``config``.

    ``dualstack_ipv6`` with AF_INET6 serves IPv4 too.  Raises OSError,
    ValueError.
    """
    if dualstack_ipv6 and (family != socket.AF_INET6 or not socket.has_dualstack_ipv6()):
        raise ValueError("dualstack_ipv6: needs family=AF_INET6 and a kernel with IPv6")
    sock = Socket(family, socket.SOCK_STREAM, config=as_config(config))
    try:
        _prepare(sock, address, reuse_port, dualstack_ipv6)
        sock.listen(*([] if backlog is None else [backlog]))
    except BaseException:
        sock.close()
        raise
    return sock


def _prepare(sock: Socket, address: Any, reuse_port: bool, dualstack_ipv6: bool) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dualstack_ipv6 else 1)
    sock.bind(address)
