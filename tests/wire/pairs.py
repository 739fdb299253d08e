"""Two pyeno sockets over the cable between two namespaces.

with pair(wire, Config(app_aware=True)) as (a, b):  # a opened, b was accepted
    a.sendall(b"hello")                             # the key exchange is complete
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from wire.netns import Wire

import pyeno

TIMEOUT = 6.0
MARKER = b"plaintext-marker-" * 3


def plain_listener(wire: Wire) -> socket.socket:
    """One that knows nothing of ENO, in namespace b."""
    listener = wire.b.socket()
    listener.bind((wire.b.ip4, 0))
    listener.listen(64)
    return listener


def served(wire: Wire, config: pyeno.Config | None = None, port: int = 0) -> pyeno.Socket:
    """A pyeno listener in namespace b."""
    address = wire.b.ip4, port
    listener: pyeno.Socket = wire.b.inside(lambda: pyeno.create_server(address, config=config))
    listener.settimeout(TIMEOUT)
    return listener


def dialled(wire: Wire, address: Any, config: pyeno.Config | None = None) -> pyeno.Socket:
    """A pyeno connection from namespace a."""
    return wire.a.inside(lambda: pyeno.create_connection(address, TIMEOUT, config=config))


@contextlib.contextmanager
def pair(
    wire: Wire, active: pyeno.Config | None = None, passive: pyeno.Config | None = None
) -> Iterator[tuple[pyeno.Socket, pyeno.Socket]]:
    """(opened, accepted), keys agreed where ENO worked."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(served(wire, passive))
        accepted: list[pyeno.Socket] = []

        def accept() -> None:
            accepted.append(stack.enter_context(listener.accept()[0]))
            accepted[0].settimeout(TIMEOUT)
            accepted[0].do_handshake()

        thread = threading.Thread(target=accept)
        thread.start()
        opened = stack.enter_context(dialled(wire, listener.getsockname()[:2], active))
        thread.join()
        yield opened, accepted[0]
