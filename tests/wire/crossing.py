"""Two pyeno sockets with a middlebox between them, and what one can do to the other.

with crossing(box, hooks.strip_eno("syn")) as cross:
    assert cross.a.wait().eno.reason is Reason.SYN_ACK_WITHOUT_ENO
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

from wire.middlebox import Hook, Middlebox, unchanged
from wire.rfcpeer_packet import RST, Segment, decode

import pyeno

TIMEOUT = 8.0
MARKER = b"plaintext-marker-" * 3


class Side:
    """One application: a thread reads to the end, another sends `say` and ends its stream.

    `error` and `sending_error` are what they raised.
    """

    def __init__(
        self, opener: Callable[[], pyeno.Socket], say: bytes, ends: bool, echo: bool
    ) -> None:
        self.socket: pyeno.Socket | None = None
        self.data = bytearray()
        self.error: Exception | None = None
        self.sending_error: Exception | None = None
        self._opener, self._say, self._ends, self._echo = opener, say, ends, echo
        self._thread = threading.Thread(target=self._body)
        self._thread.start()

    def _body(self) -> None:
        try:
            self.socket = self._opener()
            self.socket.settimeout(TIMEOUT)
            talk = threading.Thread(target=self._talk)
            talk.start()
            while data := self.socket.recv(1 << 16):
                self.data += data
                if self._echo:
                    self.socket.sendall(data)
            talk.join()
        except Exception as error:
            self.error = error

    def _talk(self) -> None:
        assert self.socket is not None
        try:
            self.socket.sendall(self._say)
            if self._ends:
                self.socket.shutdown(socket.SHUT_WR)
        except Exception as error:
            self.sending_error = error

    def __repr__(self) -> str:
        return (
            f"<{self.socket} {bytes(self.data[:40])!r} {self.error!r} {self.sending_error!r}>"
        )

    def wait(self) -> "Side":
        """Once it is through; nothing may hang."""
        self._thread.join(2 * TIMEOUT)
        assert not self._thread.is_alive(), "hangs"
        return self

    @property
    def eno(self) -> pyeno.Info:
        assert self.socket is not None, repr(self.error)
        return self.socket.eno

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self._thread.join(2 * TIMEOUT)


class Crossing:
    """`a` opened actively on the left, `b` passively on the right, of `box`."""

    def __init__(self, box: Middlebox, port: int, a: Side, b: Side) -> None:
        self.box, self.port, self.a, self.b = box, port, a, b

    def both(self) -> tuple["Side", "Side"]:
        return self.a.wait(), self.b.wait()

    def wait_rst(self) -> None:
        """Until an RST has crossed."""
        until = time.monotonic() + TIMEOUT
        while not any(s.flags & RST for s in self.segments()):
            assert time.monotonic() < until, "no RST"
            time.sleep(0.005)

    def segments(self, direction: str | None = None) -> list[Segment]:
        """This connection's, as they came into the middlebox."""
        return [s for s in self.box.segments(direction) if self.port in (s.sport, s.dport)]

    def payload(self, direction: str) -> bytes:
        """Every byte of TCP payload that went that way, retransmissions included."""
        return b"".join(s.payload for s in self.segments(direction))


def only(port: int, hook: Hook) -> Hook:
    """The hook for the connections of one port: others' last words pass, uncounted."""

    def chosen(packet: bytes, direction: str) -> list[bytes]:
        segment = decode(packet)
        mine = segment is not None and port in (segment.sport, segment.dport)
        return hook(packet, direction) if mine else [packet]

    return chosen


@contextlib.contextmanager
def crossing(
    box: Middlebox,
    hook: Hook = unchanged,
    *,
    config: pyeno.Config | None = None,
    a_config: pyeno.Config | None = None,
    say: tuple[bytes, bytes] = (MARKER, MARKER[::-1]),
    ends: bool = True,
    echo: bool = False,
    family: str = "4",
) -> Iterator[Crossing]:
    """`say` is what a and b send; then they end their streams if `ends`, else they only read.

    With `echo` b sends back all it gets.
    """
    box.packets.clear()
    host = box.right4 if family == "4" else box.right6
    kind = socket.AF_INET if family == "4" else socket.AF_INET6
    listener = box.right.call(
        lambda: pyeno.create_server((host, 0), family=kind, config=config)
    )
    with listener, contextlib.ExitStack() as stack:
        listener.settimeout(TIMEOUT)
        target = listener.getsockname()[:2]
        box.hook = only(target[1], hook)

        def connect() -> pyeno.Socket:
            return box.left.call(
                lambda: pyeno.create_connection(target, TIMEOUT, config=a_config)
            )

        b = Side(lambda: listener.accept()[0], say[1], ends, echo)
        stack.callback(b.close)
        a = Side(connect, say[0], ends, False)
        stack.callback(a.close)
        yield Crossing(box, target[1], a, b)
    box.hook = unchanged
    assert box.error is None, repr(box.error)
