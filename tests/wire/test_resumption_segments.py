"""The round trip a resumed session saves, segment by segment, and that nothing waits for it
(RFC 8548 section 3.5)."""

import contextlib
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from wire.capture import Capture, Segment
from wire.netns import Wire
from wire.pairs import TIMEOUT, dialled, plain_listener, served
from wire.resuming import MARKER, Server, call

import pyeno

pytestmark = pytest.mark.wire

NON_SYN = bytes.fromhex("4502")
INIT1 = bytes.fromhex("15101a0e")
AT_ONCE = 0.19  # seconds; unless released, the kernel holds an acknowledgment back for 0.2
HELD = 0.6


def third(seen: Capture) -> Segment:
    """The first segment after SYN and SYN-ACK, not one of an earlier connection."""

    def later() -> list[Segment]:
        ends = {seen.syns()[0].source, seen.syns()[0].target}
        return [s for s in seen.after() if {s.source, s.target} == ends]

    seen.wait(lambda _: bool(seen.syns() and later()))
    return later()[0]


def delay(seen: Capture) -> float:
    return third(seen).at - seen.syn_acks()[0].at


@pytest.mark.rfc("8548:3.2-6")
@pytest.mark.parametrize("family", "46")
@pytest.mark.parametrize("timeout", [None, TIMEOUT])
@pytest.mark.parametrize("send", ["send", "sendall", "sendmsg", "makefile"])
def test_first_application_bytes_ride_with_the_third_segment(
    wire: Wire, family: str, timeout: float | None, send: str
) -> None:
    with Server(wire.b, family=family) as server:
        call(wire.a, server)
        with wire.capture() as seen:
            sock = wire.a.inside(lambda: pyeno.create_connection(server.address, timeout))
            with sock:
                if send == "makefile":
                    with sock.makefile("wb") as file:
                        file.write(MARKER)
                else:
                    getattr(sock, send)([MARKER] if send == "sendmsg" else MARKER)
                assert sock.recv(100) and sock.eno.resumed
        first = third(seen)
        assert first.target == seen.syns()[0].target, "from the active opener"
        assert first.eno == (NON_SYN,)
        # control, clen, then flags, data and tag under the session's key
        assert first.payload[:3] == b"\0" + (1 + len(MARKER) + 16).to_bytes(2, "big")
        assert len(first.payload) == 3 + 1 + len(MARKER) + 16
        assert MARKER not in first.payload and delay(seen) < AT_ONCE


def test_init1_rides_with_the_third_segment(wire: Wire) -> None:
    with Server(wire.b) as server, wire.capture() as seen:
        assert not call(wire.a, server).resumed
    assert third(seen).payload.startswith(INIT1) and third(seen).eno == (NON_SYN,)


class Ready(NamedTuple):
    """A pair of hosts with a session, and what is on their wire."""

    wire: Wire
    listener: pyeno.Socket
    seen: Capture

    def dial(self) -> pyeno.Socket:
        return dialled(self.wire, self.listener.getsockname())


@pytest.fixture
def ready(wire: Wire) -> Iterator[Ready]:
    """The listener's end speaks first: it accepts, says hello, and waits for the end."""
    with served(wire) as listener, contextlib.ExitStack() as stack:

        def greet() -> None:
            for _ in range(2):
                conn = stack.enter_context(listener.accept()[0])
                conn.settimeout(TIMEOUT)
                conn.sendall(b"hello")
                assert conn.recv(9) in (b"", b"x")

        thread = threading.Thread(target=greet)
        thread.start()
        with dialled(wire, listener.getsockname()) as sock:
            assert sock.recv(9) == b"hello"
        with wire.capture() as seen:
            yield Ready(wire, listener, seen)
            thread.join()


def by_recv(sock: pyeno.Socket) -> None:
    pass


def by_select(sock: pyeno.Socket) -> None:
    assert select.select([sock], [], [], TIMEOUT)[0]


def by_poll(sock: pyeno.Socket) -> None:
    poller = select.epoll()
    poller.register(sock, select.EPOLLIN)
    assert poller.poll(TIMEOUT)
    poller.close()


@pytest.mark.parametrize("await_it", [by_recv, by_select, by_poll])
def test_the_peer_speaks_first(ready: Ready, await_it: Callable[[pyeno.Socket], None]) -> None:
    """Whatever this host waits in lets the acknowledgment go, so that the peer can speak."""
    with ready.dial() as sock:
        assert sock.eno.resumed
        await_it(sock)
        assert sock.recv(9) == b"hello"
    assert delay(ready.seen) < AT_ONCE and not third(ready.seen).payload


def test_not_blocking(ready: Ready) -> None:
    """Nobody would release it, so it is not held back."""
    sock = ready.wire.a.inside(pyeno.Socket)
    with sock:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(ready.listener.getsockname())
        assert delay(ready.seen) < AT_ONCE and not third(ready.seen).payload
        sock.do_handshake()
        assert sock.eno.resumed
        assert select.select([sock], [], [], TIMEOUT)[0]
        assert sock.recv(9) == b"hello"
        with pytest.raises(BlockingIOError):
            sock.recv(9)
        sock.send(b"x")


def test_who_does_nothing_holds_it_for_a_moment_only(ready: Ready) -> None:
    """The kernel's own bound."""
    with ready.dial() as sock:
        assert sock.eno.resumed
        time.sleep(HELD)
        assert AT_ONCE < delay(ready.seen) < HELD
        assert sock.recv(9) == b"hello"


def test_neither_speaks(wire: Wire) -> None:
    with Server(wire.b) as server:
        call(wire.a, server)
        with wire.capture() as seen, dialled(wire, server.address) as sock:
            assert sock.eno.resumed
            sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            assert delay(seen) < AT_ONCE and not third(seen).payload
        server.info()


@pytest.mark.parametrize("require", [False, True])
def test_plain_connections_are_as_ever(wire: Wire, require: bool) -> None:
    """The peer knows no ENO: its acknowledgment comes at once, also if the opener idles."""
    config = pyeno.Config(require=require)
    with plain_listener(wire) as listener, wire.capture() as seen:
        if require:
            with pytest.raises(pyeno.EncryptionRequiredError):
                dialled(wire, listener.getsockname(), config)
        else:
            with dialled(wire, listener.getsockname(), config):
                assert delay(seen) < AT_ONCE
        assert not third(seen).payload and delay(seen) < AT_ONCE
