"""Nobody waits for a delayed acknowledgment: not for one that this host holds back, nor
for one that Nagle's algorithm of the peer waits for because Init messages went before."""

import select
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from wire.netns import Wire
from wire.pairs import TIMEOUT, dialled, served

import pyeno

pytestmark = pytest.mark.wire

TRIES = 5
PROMPT = 0.03
"""seconds; the kernel delays acknowledgments by 40 ms at least"""

Part = Callable[[pyeno.Socket], None]


def greeted(sock: pyeno.Socket) -> None:
    sock.sendall(b"2")
    assert sock.recv(1) == b"!"


def greeting(sock: pyeno.Socket) -> None:
    assert sock.recv(1) == b"2"
    sock.sendall(b"!")


def asked(sock: pyeno.Socket) -> None:
    sock.sendall(b"a")
    sock.sendall(b"b")
    assert sock.recv(1) == b"!"


def answering(sock: pyeno.Socket) -> None:
    got = sock.recv(2)
    assert got == b"ab" or got + sock.recv(1) == b"ab"
    sock.sendall(b"!")


def prompt(wire: Wire, passive: Part, active: Callable[[Any], bool], *, resumed: bool) -> None:
    """Some connection that resumed its session, or did not, took no longer."""
    took = []
    with served(wire) as listener:

        def serve() -> None:
            for _ in range(TRIES):
                with listener.accept()[0] as sock:
                    passive(sock)

        thread = threading.Thread(target=serve)
        thread.start()
        for _ in range(TRIES):
            begun = time.monotonic()
            if active(listener.getsockname()[:2]) is resumed:
                took.append(time.monotonic() - begun)
        thread.join()
    assert took and min(took) < PROMPT, took


@pytest.mark.parametrize("resume", [False, True], ids=["fresh", "resumed"])
@pytest.mark.parametrize(
    ("active", "passive"), [(greeting, greeted), (asked, answering)],
    ids=["the passive opener speaks first", "a question in two parts"],
)  # fmt: skip
def test_the_first_exchange(wire: Wire, active: Part, passive: Part, resume: bool) -> None:
    def connected(address: Any) -> bool:
        with dialled(wire, address, pyeno.Config(resume=resume)) as sock:
            assert sock.eno.encrypted
            active(sock)
            return sock.eno.resumed

    prompt(wire, passive, connected, resumed=resume)


def test_an_epoll_that_knew_the_socket_before(wire: Wire) -> None:
    def connected(address: Any) -> bool:
        with wire.a.inside(pyeno.Socket) as sock, select.epoll() as events:
            events.register(sock, select.EPOLLIN)
            sock.connect(address)
            while not sock.pending() and not any(
                event & select.EPOLLIN for _, event in events.poll(TIMEOUT)
            ):
                pass
            greeting(sock)
            return sock.eno.resumed

    prompt(wire, greeted, connected, resumed=True)
