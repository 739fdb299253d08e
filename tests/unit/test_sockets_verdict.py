"""No byte passes as plaintext before the kernel's verdict on a connection is read.

Loopback TCP; the verdict, and the moments between which it changes, are played.
"""

import contextlib
import errno
import select
import socket
import threading
import time
from collections.abc import Callable

import pytest
from unit.played import TIMEOUT, listening, pair, verdict

import pyeno
from pyeno import Config, Role, kernel
from pyeno.constants import State
from pyeno.errors import KernelError, LocalProtocolError
from pyeno.sockets.raw import BaseSocket

pytestmark = pytest.mark.usefixtures("negotiated")

OFFERED = kernel.NOT_CONFIGURED._replace(state=State.OFFERED)
READY = kernel.NOT_CONFIGURED._replace(state=State.READY)


def test_a_connection_that_opens_while_asked_about_is_not_plain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The SYN-ACK comes between the two questions of a non-blocking connect."""
    real = kernel.result
    with listening() as listener, pyeno.Socket(socket.AF_INET, socket.SOCK_STREAM) as a:
        here, opened = threading.get_ident(), threading.Event()

        def getpeername(sock: pyeno.Socket) -> object:
            if not opened.is_set():
                raise OSError(errno.ENOTCONN, "played")
            return BaseSocket.getpeername(sock)

        def result(sock: socket.socket) -> kernel.Result:
            if sock is a and not opened.is_set() and threading.get_ident() == here:
                opened.set()
                return OFFERED
            return real(sock)

        a.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            BaseSocket.connect(a, listener.getsockname())
        select.select([], [a], [], TIMEOUT)
        monkeypatch.setattr(pyeno.Socket, "getpeername", getpeername, raising=False)
        monkeypatch.setattr(kernel, "result", result)
        with contextlib.suppress(BlockingIOError):
            a.send(b"plaintext")
        assert a.eno.encrypted


def test_an_offer_is_not_a_verdict_although_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """SYN_RECEIVED of a simultaneous open: getpeername() answers already."""
    with listening() as listener, pyeno.Socket(socket.AF_INET, socket.SOCK_STREAM) as a:
        BaseSocket.connect(a, listener.getsockname())
        peer, _ = BaseSocket._accept(listener)  # type: ignore[attr-defined]
        with socket.socket(fileno=peer) as plain:
            plain.setblocking(False)
            monkeypatch.setattr(kernel, "result", lambda sock: OFFERED)
            with pytest.raises(OSError, match="not connected"):
                a.send(b"plaintext")
            with pytest.raises(BlockingIOError):
                plain.recv(100)


@pytest.mark.parametrize(
    "use",
    [
        lambda s, to: s.sendto(b"x", socket.MSG_FASTOPEN, to),
        lambda s, to: s.sendmsg([b"x"], [], socket.MSG_FASTOPEN, to),
        lambda s, to: s.send(b"x"),
        lambda s, to: s.recv(1),
    ],
    ids=["sendto", "sendmsg", "send", "recv"],
)
@pytest.mark.parametrize(
    ("state", "config"),
    [(READY, Config()), (kernel.UNAVAILABLE, Config(require=True))],
    ids=["ENO configured", "required, unavailable"],
)
def test_no_byte_before_connect(
    use: Callable[..., object],
    state: kernel.Result,
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """MSG_FASTOPEN would connect and send plaintext in one call (RFC 8547 section 4.7)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(kernel, "result", lambda sock: state)
        a = pyeno.Socket(socket.AF_INET, socket.SOCK_STREAM, config=config)
        with a, pytest.raises(OSError, match="not connected"):
            use(a, listener.getsockname())
        listener.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_threads_that_ask_at_once_share_one_link(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(sock: socket.socket) -> kernel.Result:
        time.sleep(0.05)
        return verdict(Role.A)

    with listening() as listener, pyeno.Socket(socket.AF_INET, socket.SOCK_STREAM) as a:
        BaseSocket.connect(a, listener.getsockname())
        monkeypatch.setattr(kernel, "result", slow)
        links: list[object] = []
        threads = [threading.Thread(target=lambda: links.append(a._encrypted())) for _ in "123"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(map(id, links))) == 1


def test_a_refused_connection_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr(kernel, "result", lambda sock: OFFERED)
        with pyeno.Socket(socket.AF_INET, socket.SOCK_STREAM) as a:
            a.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                BaseSocket.connect(a, unused.getsockname())
            select.select([], [a], [], TIMEOUT)
            for _ in range(2):
                with pytest.raises(OSError, match=r"refused|not connected"):
                    a.recv(1)


@pytest.mark.parametrize("leave", [lambda s: s.detach(), lambda s: s.dup()])
@pytest.mark.parametrize("state", [OFFERED, verdict(Role.A)], ids=["offered", "unread"])
def test_the_descriptor_stays_until_the_verdict(
    leave: Callable[[pyeno.Socket], object],
    state: kernel.Result,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A plain socket on it would write plaintext into an encrypted connection."""
    with listening() as listener, pyeno.Socket(socket.AF_INET, socket.SOCK_STREAM) as a:
        BaseSocket.connect(a, listener.getsockname())
        monkeypatch.setattr(kernel, "result", lambda sock: state)
        with pytest.raises(LocalProtocolError):
            leave(a)


def test_no_way_to_send_is_left_out() -> None:
    with pair() as (a, b):
        with pytest.raises(LocalProtocolError):
            a.sendmsg_afalg([b"plaintext"], op=1)
        b.settimeout(0.05)
        with pytest.raises(TimeoutError):
            b.recv(1)


def test_no_answer_where_eno_was_asked_for_is_not_plain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``pyeno detach`` between SYN and verdict: nobody can tell any more."""
    monkeypatch.setattr(kernel, "result", lambda sock: kernel.UNAVAILABLE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pyeno.Socket(socket.AF_INET, socket.SOCK_STREAM) as a:
            with pytest.raises(KernelError, match="detached"):
                a.connect(listener.getsockname())
            with pytest.raises(KernelError):
                a.send(b"plaintext")
        peer, _ = listener.accept()
        with peer, pytest.raises(ConnectionResetError):
            peer.recv(100)
        monkeypatch.setattr(kernel, "configure", lambda *a, **k: False)
        with pyeno.create_connection(listener.getsockname()) as b:
            assert b.eno.reason is pyeno.Reason.UNAVAILABLE


def test_connecting_again_in_vain_changes_nothing() -> None:
    """A child that must leave its parent's connection alone, say."""
    with pair() as (a, b):
        link = a._encrypted()
        assert link is not None
        link.error, link.pump, a._pump = LocalProtocolError("played"), None, None
        try:
            with contextlib.suppress(OSError, LocalProtocolError):
                a.connect(b.getsockname())
            with pytest.raises(LocalProtocolError, match="played"):
                a.send(b"x")
            assert a._encrypted() is link
        finally:
            link.error = None
