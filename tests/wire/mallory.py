"""A man in the middle who terminates both sides.

    with Mallory() as mallory, mallory.server() as listener:
        a = mallory.dialled(listener)     # believes that it talks to b
        ...
        mallory.read                      # every application byte, in plaintext

Host a's cable leads to him, and he holds b's address on it; another cable leads from
him to the real b.  So each of them has an ENO connection with him, encrypted and
flawless, and he passes on every application byte.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

from wire.netns import Wire
from wire.pairs import TIMEOUT, dialled, served

import pyeno
from pyeno import Config, PyenoError


class Mallory:
    """`config` is what his own sockets have."""

    def __init__(self) -> None:
        self.config: Config | None = None
        self.read: dict[str, bytearray] = {"a": bytearray(), "b": bytearray()}
        self.meet: Callable[[pyeno.Socket, pyeno.Socket], None] | None = None
        """what he does with (a's, b's) connection before he relays"""
        self._stack = contextlib.ExitStack()
        self.near = self._stack.enter_context(Wire())
        self.far = self._stack.enter_context(Wire())
        self._threads: list[threading.Thread] = []

    @contextlib.contextmanager
    def server(self, config: Config | None = None) -> Iterator[pyeno.Socket]:
        """The real b's listener, and his own at the same address and port of a's cable."""
        with served(self.far, config) as listener:
            port = listener.getsockname()[1]
            with served(self.near, self.config, port) as own:
                self._start(self._accept, own, listener.getsockname()[:2])
                yield listener

    def dialled(self, listener: pyeno.Socket, config: Config | None = None) -> pyeno.Socket:
        """A connection of host a's to b's address."""
        return dialled(self.near, listener.getsockname()[:2], config)

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments))
        self._threads[-1].start()

    def _accept(self, own: pyeno.Socket, address: Any) -> None:
        with contextlib.suppress(OSError, PyenoError), contextlib.ExitStack() as stack:
            a = stack.enter_context(own.accept()[0])
            b = stack.enter_context(dialled(self.far, address, self.config))
            for sock in a, b:
                sock.settimeout(TIMEOUT)
                sock.do_handshake()
            if self.meet is not None:
                self.meet(a, b)
            back = threading.Thread(target=self._relay, args=(b, a, "b"))
            back.start()
            self._relay(a, b, "a")
            back.join()

    def _relay(self, source: pyeno.Socket, sink: pyeno.Socket, sender: str) -> None:
        """Data, ends and resets, one for one."""
        try:
            while data := source.recv(1 << 16):
                self.read[sender] += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except (OSError, PyenoError):
            for sock in source, sink:
                with contextlib.suppress(OSError, PyenoError):
                    sock.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()
        self._stack.close()
