"""MSG_OOB both ways over loopback TCP, beside what the kernel's own TCP does
(RFC 8548 section 3.7; played negotiation)."""

import contextlib
import errno
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from unit.played import TIMEOUT, hand_made, pair, raw_peer

from pyeno import Config

pytestmark = pytest.mark.usefixtures("negotiated")

INLINE = socket.SOL_SOCKET, socket.SO_OOBINLINE
OOB = socket.MSG_OOB


@contextlib.contextmanager
def plain_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """What the standard library and Linux make of the same calls."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        a = socket.create_connection(listener.getsockname(), TIMEOUT)
        a.settimeout(None)  # with a timeout Python waits for POLLIN, also for MSG_OOB
        b, _ = listener.accept()
        with a, b:
            yield a, b


def fails_with(code: int, call: Callable[[], Any]) -> None:
    with pytest.raises(OSError) as error:
        call()
    assert error.value.errno == code


def at_mark(sock: socket.socket) -> bool:
    from pyeno.sockets.raw import at_mark as kernel_says

    return sock.sockatmark() if hasattr(sock, "sockatmark") else kernel_says(sock)


@pytest.fixture(params=["pyeno", "linux"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Every test that takes it holds for the kernel's TCP too."""
    with pair() if request.param == "pyeno" else plain_pair() as both:
        yield both


Ends = tuple[socket.socket, socket.socket]


def settle() -> None:
    time.sleep(0.05)  # the segment's urgent pointer, not only its bytes


def test_out_of_band(ends: Ends) -> None:
    a, b = ends
    fails_with(errno.EINVAL, lambda: b.recv(1, OOB))
    a.sendall(b"abc")
    assert a.send(b"de!", OOB) == 3
    a.sendall(b"fgh")
    settle()
    assert b.recv(1, OOB | socket.MSG_PEEK) == b"!"
    assert b.recv(9, OOB) == b"!"
    fails_with(errno.EINVAL, lambda: b.recv(1, OOB))
    assert not at_mark(b)
    assert b.recv(99) == b"abcde" and at_mark(b)
    assert b.recv(99) == b"fgh" and not at_mark(b)


def test_the_byte_that_nobody_asked_for_is_left_out(ends: Ends) -> None:
    a, b = ends
    a.sendall(b"ab!", OOB)
    a.sendall(b"c")
    settle()
    assert b.recv(9) == b"ab" and at_mark(b)
    assert b.recv(9) == b"c"
    fails_with(errno.EINVAL, lambda: b.recv(1, OOB))


def test_inline(ends: Ends) -> None:
    a, b = ends
    b.setsockopt(*INLINE, 1)
    assert b.getsockopt(*INLINE) == 1
    a.sendall(b"ab!", OOB)
    a.sendall(b"c")
    settle()
    fails_with(errno.EINVAL, lambda: b.recv(1, OOB))
    assert b.recv(9) == b"ab" and at_mark(b)
    assert b.recv(9) == b"!c" and not at_mark(b)


@pytest.mark.parametrize("inline", [0, 1])
def test_every_read_ends_at_the_mark(ends: Ends, inline: int) -> None:
    a, b = ends
    b.setsockopt(*INLINE, inline)
    a.sendall(b"abc")
    a.sendall(b"de!", OOB)
    a.sendall(b"fg")
    settle()
    rest = b"!fg" if inline else b"fg"
    buffer = bytearray(99)
    assert b.recv(99, socket.MSG_PEEK) == b"abcde"
    assert b.recv(2) == b"ab"
    assert b.recv_into(buffer) == 3 and buffer[:3] == b"cde" and at_mark(b)
    assert b.recv(99, socket.MSG_PEEK) == rest
    assert b.recv(len(rest), socket.MSG_WAITALL) == rest


def test_waiting_for_all_ends_at_the_mark(ends: Ends) -> None:
    a, b = ends
    a.sendall(b"abc")
    threading.Timer(0.1, a.sendall, [b"de!", OOB]).start()
    threading.Timer(0.2, a.sendall, [b"fgh"]).start()
    assert b.recv(99, socket.MSG_WAITALL) == b"abcde"
    assert b.recv(3, socket.MSG_WAITALL) == b"fgh"


def test_a_mark_at_the_very_beginning(ends: Ends) -> None:
    a, b = ends
    a.sendall(b"!", OOB)
    settle()
    assert at_mark(b)
    assert b.recv(1, OOB) == b"!" and at_mark(b)
    a.sendall(b"then")
    assert b.recv(9) == b"then"


def test_a_newer_mark_takes_the_older_ones_place(ends: Ends) -> None:
    a, b = ends
    a.sendall(b"ab!", OOB)
    settle()
    a.sendall(b"cd?", OOB)
    settle()
    assert b.recv(1, OOB) == b"?"
    assert b.recv(99) == b"ab!cd"


def test_one_after_the_other(ends: Ends) -> None:
    a, b = ends
    for byte in b"!", b"?", b".":
        a.sendall(b"ab" + byte, OOB)
        settle()
        assert b.recv(99) == b"ab"
        assert b.recv(1, OOB) == byte


def test_the_message_flag(ends: Ends) -> None:
    a, b = ends
    a.sendmsg([b"a", b"b!"], [], OOB)
    settle()
    data, _, flags, _ = b.recvmsg(9, 0, OOB)
    assert (data, flags & OOB) == (b"!", OOB)
    data, _, flags, _ = b.recvmsg(9)
    assert (data, flags & OOB) == (b"ab", 0)


def test_nothing_is_never_urgent(ends: Ends) -> None:
    a, b = ends
    assert a.send(b"", OOB) == 0
    settle()
    fails_with(errno.EINVAL, lambda: b.recv(1, OOB))


def test_end_of_stream_behind_the_urgent_byte(ends: Ends) -> None:
    a, b = ends
    a.sendall(b"ab!", OOB)
    a.shutdown(socket.SHUT_WR)
    settle()
    assert b.recv(9) == b"ab"
    assert b.recv(1, OOB) == b"!" and b.recv(9) == b""


def test_the_option_as_bytes(ends: Ends) -> None:
    _, b = ends
    b.setsockopt(*INLINE, (1).to_bytes(4, "little"))
    assert b.getsockopt(*INLINE, 4) == (1).to_bytes(4, "little")
    b.setsockopt(*INLINE, 0)
    assert b.getsockopt(*INLINE) == 0
    for bad in (b"", b"x"):
        fails_with(errno.EINVAL, lambda: b.setsockopt(*INLINE, bad))  # noqa: B023


def test_poll_and_signal(ends: Ends) -> None:
    """The kernel is told as well: SIGURG and POLLPRI work at the other host."""
    a, b = ends
    got: list[int] = []
    before = signal.signal(signal.SIGURG, lambda number, _: got.append(number))
    try:
        import fcntl
        import os

        fcntl.fcntl(b.fileno(), fcntl.F_SETOWN, os.getpid())
        poller = select.poll()
        poller.register(b.fileno(), select.POLLPRI)
        a.sendall(b"plain")
        assert not poller.poll(50) and not got
        a.sendall(b"ab!", OOB)
        assert poller.poll(1000 * TIMEOUT) and got == [signal.SIGURG]
        assert b.recv(1, OOB) == b"!" and not poller.poll(0)
    finally:
        signal.signal(signal.SIGURG, before)


@pytest.mark.parametrize("size", [1, 1000, 65516, 65517, 65518, 65519, 300_000])
@pytest.mark.parametrize("method", ["send", "sendall", "sendmsg", "non-blocking"])
def test_the_last_byte_of_many_frames(size: int, method: str) -> None:
    data = (bytes(range(251)) * (size // 251 + 1))[: size - 1] + b"!"
    with pair() as (a, b):

        def write() -> None:
            if method == "non-blocking":
                a.setblocking(False)
                view = memoryview(data)
                while view:
                    with contextlib.suppress(BlockingIOError):
                        view = view[a.send(view, OOB) :]
                    select.select([], [a], [], TIMEOUT)
                a.setblocking(True)
            elif method == "sendmsg":
                assert a.sendmsg([data[:7], data[7:]], [], OOB) == size
            else:
                getattr(a, method)(data, OOB)
            a.sendall(b"after")

        thread = threading.Thread(target=write)
        thread.start()
        got = bytearray()
        while len(got) < size - 1:
            got += b.recv(1 << 20)
        thread.join()
        assert got == data[:-1] and b.sockatmark()
        assert b.recv(1, OOB) == b"!" and b.recv(9) == b"after"


@pytest.mark.parametrize("inline", [False, True])
def test_across_rekeys_and_odd_reads(inline: bool) -> None:
    with pair(Config(rekey_bytes=50, frame_size=11)) as (a, b):
        b.setsockopt(*INLINE, inline)
        expected = bytearray()
        for number in range(40):
            a.sendall(b"%07d" % number * 5)
            a.sendall(b"urgent!", OOB)
            expected += b"%07d" % number * 5 + b"urgent" + b"!" * inline
            while len(got := b.recv(3)) and not b.sockatmark():
                expected = expected.removeprefix(got)
            expected = expected.removeprefix(got)
            assert expected == b"!" * inline
            if not inline:
                assert b.recv(1, OOB) == b"!"
        assert b.eno.remote_generation > 10


def test_tcps_own_flag_delivers_nothing() -> None:
    """Section 3.7: only what URGp says is authenticated; the byte stays in the stream."""
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)
        frame = a.send(b"an ordinary frame")
        peer.send(frame[:9], OOB)
        settle()
        fails_with(errno.EAGAIN, lambda: b.recv(1, OOB))
        peer.send(frame[9:], OOB)
        settle()
        fails_with(errno.EINVAL, lambda: b.recv(1, OOB))
        assert not b.sockatmark() and b.recv(99) == b"an ordinary frame"
        fails_with(errno.EINVAL, lambda: b.recv(1, OOB))


def test_announced_but_not_come() -> None:
    """The mark is told when the frame around it is authenticated, not before."""
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)
        frame = a.send(b"ab!", urgent=True)
        peer.send(frame[:-1], OOB)
        settle()
        fails_with(errno.EAGAIN, lambda: b.recv(1, OOB))
        assert not b.sockatmark()
        peer.sendall(frame[-1:])
        settle()
        assert b.recv(1, OOB) == b"!" and b.recv(9) == b"ab"


def test_urgp_without_tcps_flag() -> None:
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)
        peer.sendall(a.send(b"ab!", urgent=True))
        settle()
        assert b.recv(1, OOB) == b"!" and b.pending() == 2
        assert b.recv(9) == b"ab" and b.pending() == 0


def test_a_search_for_urgent_data_is_bounded() -> None:
    """What precedes it is received ahead of the application, but not without end."""
    with raw_peer() as (peer, b):
        a = hand_made(peer, b)

        def flood() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer.sendall(a.send(bytes(60_000)))

        thread = threading.Thread(target=flood)
        thread.start()
        time.sleep(0.3)
        with contextlib.suppress(OSError):
            b.recv(1, OOB)
        assert 0 < b.pending() < 600_000
        b.abort()
        thread.join()


def test_a_blocked_urgent_send_is_taken_up_as_such() -> None:
    from pyeno.errors import LocalProtocolError

    with pair(timeout=0) as (a, b):
        blocked = b"x" * 60_000
        with pytest.raises(BlockingIOError):
            while True:
                a.send(blocked)
        with pytest.raises(LocalProtocolError, match="the same flags"):
            a.send(blocked, OOB)
        got, sent, mark = 0, False, False
        b.settimeout(TIMEOUT)
        while not mark:
            got += len(b.recv(1 << 20))
            mark = b.sockatmark()
            with contextlib.suppress(BlockingIOError):
                if not sent and a.send(blocked) == len(blocked):
                    sent = a.send(b"!", OOB) == 1
        assert b.recv(1, OOB) == b"!" and got % 60_000 == 0


def test_the_option_is_kept_through_the_handshake() -> None:
    """Set on the listener, as one does to have it on what is accepted."""
    from unit.played import listening

    import pyeno

    with listening() as listener:
        listener.setsockopt(*INLINE, 1)
        a = pyeno.Socket(socket.AF_INET, socket.SOCK_STREAM)
        accepted: list[pyeno.Socket] = []

        def accept() -> None:
            accepted.append(listener.accept()[0])
            accepted[0].do_handshake()

        thread = threading.Thread(target=accept)
        thread.start()
        a.connect(listener.getsockname())
        thread.join()
        with a, accepted[0] as b:
            assert (a.getsockopt(*INLINE), b.getsockopt(*INLINE)) == (0, 1)
            for sock in a, b:  # the kernel's own stays on
                assert socket.socket.getsockopt(sock, *INLINE) == 1
