"""Half-open connections that were pushed out of the kernel's memory (docs/kernel.md)."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from wire import bpfmaps
from wire.conftest import Attached
from wire.connect import listen, tcpcrypt
from wire.netns import Wire
from wire.pairs import MARKER, TIMEOUT, served

import pyeno
from pyeno import kernel
from pyeno.constants import Reason, State
from pyeno.errors import KernelError

pytestmark = pytest.mark.wire


@contextlib.contextmanager
def forgetting(wire: Wire, attached: Attached) -> Iterator[None]:
    """Connections to b stay half-open meanwhile; then what b knew of them is gone."""
    with wire.b.rules("tcp flags & (syn|ack) == ack drop"):
        yield
        assert bpfmaps.entries(attached.pin / "maps" / "eno_requests")
        for name in ("eno_requests", "eno_flows"):
            bpfmaps.clear(attached.pin / "maps" / name)


def test_an_ack_with_eno_has_its_own_reason(wire: Wire, attached: Attached) -> None:
    """The peer encrypts: neither a SYN cookie nor plain TCP (RFC 8547 section 4.6)."""
    with listen(wire.b, wire.b.ip4) as listener, wire.a.socket() as a:
        tcpcrypt(a)
        with forgetting(wire, attached):
            a.connect(listener.getsockname())
        a.sendall(b"x")
        b, _ = listener.accept()
        with b:
            result = kernel.result(b)
            assert (result.state, result.reason) == (State.DISABLED, Reason.FORGOTTEN)
        assert kernel.result(a).state is State.ENCRYPTED


def test_an_ack_without_eno_is_a_plain_connection(wire: Wire, attached: Attached) -> None:
    """As after a SYN cookie, whose SYN-ACK carried no ENO."""
    with listen(wire.b, wire.b.ip4) as listener, wire.a.socket() as a:
        tcpcrypt(a)
        with forgetting(wire, attached):
            a.connect(listener.getsockname())
        with wire.b.rules("tcp flags & (syn|ack) == ack reset tcp option 69"):
            a.sendall(b"x")
            with listener.accept()[0] as b:
                assert kernel.result(b).reason is Reason.SYN_COOKIE


def test_the_application_gets_an_error_not_frames(wire: Wire, attached: Attached) -> None:
    """Init1 must not be read as plaintext, nor plaintext be sent: reset."""
    with served(wire) as listener, wire.capture() as seen:
        a = wire.a.inside(lambda: pyeno.Socket(socket.AF_INET, socket.SOCK_STREAM))
        with a:
            a.settimeout(0.2)
            with forgetting(wire, attached), pytest.raises(TimeoutError):
                a.connect(listener.getsockname())
            a.settimeout(TIMEOUT)
            accepted, _ = listener.accept()
            with accepted:
                for use in (lambda: accepted.recv(1), lambda: accepted.sendall(MARKER)):
                    with pytest.raises(KernelError, match="half-open connections"):
                        use()
                assert accepted.eno.reason is Reason.FORGOTTEN
            with pytest.raises(ConnectionResetError):
                a.recv(1)
    time.sleep(0.05)
    assert not any(MARKER in s.payload for s in seen.segments)
