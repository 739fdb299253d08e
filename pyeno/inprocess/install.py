"""Makes this process's TCP sockets encrypt where the peer can.

``socket.socket`` stays the class it is, so that whoever has imported it
already, derives from it or asks isinstance() notices nothing: only what calling
it gives is another one.  Modules that go round it are mended as they are imported.
"""

import errno
import os
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from pyeno.constants import Reason
from pyeno.errors import ConfigError, EncryptionRequiredError
from pyeno.inprocess import loops, sock, waiting
from pyeno.inprocess.rules import numeric
from pyeno.inprocess.settings import Settings, from_environment
from pyeno.inprocess.sock import InProcessSocket, kind_at
from pyeno.sockets.raw import BaseSocket
from pyeno.sockets.settling import Settling

_INTERNET = (socket.AF_INET, socket.AF_INET6)
_TCP = (-1, 0, socket.IPPROTO_TCP)
_STANDARD = socket.socket
"""whatever a program puts in its place later"""
_create: Any = BaseSocket.__new__
_FLAGS = int(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


def install(settings: Settings) -> None:
    """Once for a process; its children by fork() have it as well."""
    sock.use(settings)
    _STANDARD.__new__ = _make  # type: ignore[method-assign]
    if settings.config.require:
        _STANDARD.connect = _refuse_foreign  # type: ignore[method-assign]
    os.sendfile = _sendfile


def amend(name: str, module: ModuleType) -> None:
    """A module of ``hooks.MODULES`` has been imported."""
    action = _AMENDMENTS.get(name)
    if action is not None:
        action(module)


def install_from_environment() -> None:
    """What the launcher wants, if anything; SystemExit where that cannot be meant."""
    try:
        settings = from_environment(os.environ)
    except ConfigError as error:
        raise SystemExit(f"pyeno run --in-process: {error}") from None
    if settings is not None:
        install(settings)


def _make(cls: Any, *arguments: Any, **named: Any) -> Any:
    """``socket.socket.__new__``."""
    if cls is _STANDARD and not loops.plain.get() and _is_tcp(*arguments, **named):
        cls = InProcessSocket
    return _create(cls)


def _is_tcp(
    family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
) -> bool:
    if fileno is not None and -1 in (family, type):
        kind = kind_at(fileno)
        if kind is None:
            return False
        family, type, proto = kind
    family = socket.AF_INET if family == -1 else family
    type = socket.SOCK_STREAM if type == -1 else type & ~_FLAGS
    return family in _INTERNET and type == socket.SOCK_STREAM and proto in _TCP


def _refuse_foreign(self: Any, address: Any) -> None:
    """``socket.socket.connect`` where encryption is required: for classes that derive
    from it, and so are not ours."""
    outside = not isinstance(self, Settling) and not _is_tls(self)
    if (
        outside
        and _is_tcp(self.family, self.type, self.proto)
        and not sock.current.rules.skips(numeric(self.family, address))
    ):
        raise EncryptionRequiredError(
            f"encryption is required, and {type(self).__qualname__}, which is a socket class "
            "of its own, cannot be encrypted in-process; use `pyeno run` without --in-process",
            Reason.NOT_CONFIGURED,
        )
    BaseSocket.connect(self, address)  # type: ignore[attr-defined]


_os_sendfile = os.sendfile


def _sendfile(out_fd: Any, in_fd: Any, *arguments: Any, **named: Any) -> int:
    """``os.sendfile``: where the kernel would send plaintext it says that it cannot, and
    the program sends by itself."""
    if sock.encrypted_at(out_fd if isinstance(out_fd, int) else out_fd.fileno()):
        raise OSError(errno.EINVAL, "os.sendfile: the connection is encrypted; read and send()")
    return _os_sendfile(out_fd, in_fd, *arguments, **named)


def _is_tls(sock: Any) -> bool:
    ssl = sys.modules.get("ssl")
    return ssl is not None and isinstance(sock, ssl.SSLSocket)


def _amend_ssl(ssl: ModuleType) -> None:
    import_module("pyeno.inprocess.layered").install(ssl)


def _amend_reduction(reduction: ModuleType) -> None:
    """Sockets go to other processes as the standard ones do, unless encrypted."""

    def reduce(one: InProcessSocket) -> Any:
        one._stay("the keys of an encrypted connection cannot go to another process")
        return reduction._reduce_socket(one)

    reduction.register(InProcessSocket, reduce)


_AMENDMENTS: dict[str, Callable[[ModuleType], None]] = {
    "select": waiting.amend_select,
    "selectors": waiting.amend_selectors,
    "ssl": _amend_ssl,
    "multiprocessing.reduction": _amend_reduction,
    "asyncio.base_events": loops.amend_asyncio,
    "uvloop": loops.amend_uvloop,
    "pyeno.aio.transport": loops.amend_transport,
}
