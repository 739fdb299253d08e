"""One connection between the two namespaces, set up and judged."""

import contextlib
import ctypes
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from wire.capture import Capture, Segment
from wire.netns import Namespace, Wire

from pyeno import kernel
from pyeno.constants import Reason, Role, State

OFFER = bytes.fromhex("450323")
ANSWER = bytes.fromhex("45040123")
NON_SYN = bytes.fromhex("4502")
Setup = Callable[[socket.socket], object]


def tcpcrypt(sock: socket.socket) -> None:
    assert kernel.configure(sock, teps=b"\x23")


def unconfigured(_: socket.socket) -> None:
    pass


def raw(option: str) -> Setup:
    return lambda sock: kernel.set_raw_option(sock, bytes.fromhex(option))


def teps(value: str, **more: Any) -> Setup:
    return lambda sock: kernel.configure(sock, teps=bytes.fromhex(value), **more)


class Ends(NamedTuple):
    """Both ends of one connection, and what crossed the wire meanwhile."""

    active: kernel.Result
    passive: kernel.Result
    seen: Capture
    a: socket.socket
    b: socket.socket


def listen(
    host: Namespace, address: str, setup: Setup = tcpcrypt, late: bool = False, port: int = 0
) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = host.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if address == "::":
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind((address, port))
    if not late:
        setup(sock)
    sock.listen()
    if late:
        setup(sock)
    return sock


@contextlib.contextmanager
def connection(
    wire: Wire,
    active: Setup = tcpcrypt,
    passive: Setup = tcpcrypt,
    *,
    to: str | None = None,
    bind: str | None = None,
    late: bool = False,
    exchange: bool = True,
) -> Iterator[Ends]:
    """One connection from a to b; both ends exchange a byte, then it is judged."""
    target = to or wire.b.ip4
    with contextlib.ExitStack() as stack:
        seen = stack.enter_context(wire.capture())
        listener = stack.enter_context(listen(wire.b, bind or target, passive, late))
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        a = stack.enter_context(wire.a.socket(family))
        active(a)
        a.connect((target, listener.getsockname()[1]))
        b = stack.enter_context(listener.accept()[0])
        b.settimeout(8)
        if exchange:
            a.sendall(b"a")
            assert b.recv(1) == b"a"
            b.sendall(b"b")
            assert a.recv(1) == b"b"
        time.sleep(0.03)
        yield Ends(kernel.result(a), kernel.result(b), seen, a, b)


def assert_encrypted(ends: Ends, offer: bytes = OFFER, answer: bytes = ANSWER) -> None:
    for result, role in ((ends.active, Role.A), (ends.passive, Role.B)):
        assert result.state is State.ENCRYPTED, (ends.active, ends.passive)
        assert result.reason is Reason.NEGOTIATED
        assert result.role is role
        assert result.transcript == offer + answer
        assert result.tep_byte == answer[3]


def assert_plain(ends: Ends, active: Reason, passive: Reason) -> None:
    assert (ends.active.state, ends.active.reason) == (State.DISABLED, active)
    assert (ends.passive.state, ends.passive.reason) == (State.DISABLED, passive)
    assert not ends.active.transcript and not ends.passive.transcript


def no_eno(segments: list[Segment]) -> bool:
    return not any(s.eno for s in segments)


def disconnect(sock: socket.socket) -> None:
    """connect() to AF_UNSPEC, after which the socket may connect elsewhere."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.connect(sock.fileno(), bytes(16), 16) == 0, ctypes.get_errno()


def refused(call: Callable[[], object]) -> int | None:
    """The errno of a system call, if it fails."""
    try:
        call()
    except OSError as error:
        return error.errno
    return None
