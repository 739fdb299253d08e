"""What a plug-in does wrong at run time ends its own connection, with its name (played
negotiation)."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from unit.conftest import playing
from unit.played import raw_peer
from unit.plugged import Plugs

import pyeno
from pyeno import Config, Role, TepError, tep
from pyeno.tep.guard import REMEMBERED
from pyeno.tep.testing.ends import outcome_of

HEAD = """
from eno_tep_example import Example, ExampleConnection
import pyeno

class Connection(ExampleConnection):
"""
TAIL = """
class Faulty(Example):
    identifier, name = 0x41, "faulty"
    def create(self, outcome, config):
        return Connection(outcome, config)

FAULTY = Faulty()
"""
WHO = "plug-in 'mine' of faulty 1.0: "

# what it does -> (its source, what is told)
HANDSHAKE: dict[str, tuple[str, str]] = {
    "raises at once": ("def __init__(self, *a): 1 // 0", "create() raised ZeroDivisionError"),
    "makes nothing": ("def __new__(cls, *a): return None", "setattr() raised AttributeError"),
    "cannot begin": ("def begin(self): raise KeyError('secret')", "begin() raised KeyError"),
    "cannot take": ("def take(self, data): raise OSError(5, 'x')", "take() raised OSError"),
    "blames the program": (
        "def take(self, data): raise pyeno.LocalProtocolError('x')",
        "take() raised LocalProtocolError",
    ),
    "begins with text": ("def begin(self): return 'text'", "begin() gave str, not bytes"),
    "a short session ID": (
        "def establish(self, known): super().establish(known[:32])",
        "the session ID has 32 bytes; 33 at least (RFC 8547 section 5.1)",
    ),
    "no v": (
        "def establish(self, known): super().establish(bytes([known[0] & 0x7f]) + known[1:])",
        "the session ID begins 0x41; the negotiated TEP, v included, is 0xc1",
    ),
    "of another type": (
        "def establish(self, known): super().establish(known.hex())",
        "the session ID is str, not bytes",
    ),
    "a short one, told late": (
        "session_id = property(lambda self: bytes([0xc1]) * 20)",
        "the session ID has 20 bytes",
    ),
    "keys at once": (
        "established = True\n    session_id = property(lambda self: b'')",
        "the session ID has 0 bytes",
    ),
    "raises when asked": (
        "established = property(lambda self: 1 // 0)",
        "established() raised ZeroDivisionError",
    ),
    "delivers before keys": (
        "def take(self, data): self.deliver(b'x')",
        "deliver() before establish()",
    ),
    "ends before keys": ("def take(self, data): self.end()", "end() before establish()"),
    "has keys twice": (
        "def establish(self, known): super().establish(known); super().establish(known)",
        "establish() was called twice",
    ),
}  # fmt: skip
SENDING: dict[str, tuple[str, str]] = {
    "cannot seal": ("def seal(self, data, fin): return {}['x']", "seal() raised KeyError"),
    "seals nothing": ("def seal(self, data, fin): pass", "seal() gave NoneType, not bytes"),
    "seals too much": (
        "def seal(self, data, fin): return bytes(len(data) + 20)",
        "seal() made 25 bytes of 5; its overhead is 19 at most",
    ),
}
RECEIVING: dict[str, tuple[str, str]] = {
    "cannot open": (
        "def deliver(self, data): raise RuntimeError",
        "take() raised RuntimeError",
    ),
    "reads something else": (
        "def read(self, size): raise ValueError",
        "read() raised ValueError",
    ),
}


@contextlib.contextmanager
def faulty(
    plugs: Plugs, monkeypatch: pytest.MonkeyPatch, source: str
) -> Iterator[tuple[socket.socket, pyeno.Socket, Any]]:
    """A plain socket with a sound host A, and host B's socket with the faulty plug-in."""
    plugs.example()
    plugs.install("faulty", HEAD + "    " + source + TAIL, "mine = faulty:FAULTY")
    config = Config(teps="faulty")
    playing(config, monkeypatch)
    sound = tep.registry()[0x20]
    outcome = outcome_of(tep.registry()[0x41], config, Role.A)
    with raw_peer(config) as (peer, b):
        yield peer, b, sound.create(outcome._replace(tep_byte=0xC1), config)


def demand_error(uses: list[Callable[[], Any]], why: str) -> None:
    for use in uses:
        with pytest.raises(TepError) as caught:
            use()
        assert WHO in str(caught.value) and why in str(caught.value), caught.value
        assert "secret" not in str(caught.value)


def demand_reset(peer: socket.socket) -> None:
    with pytest.raises(ConnectionResetError):
        while peer.recv(4096):
            pass


@pytest.mark.usefixtures("negotiated")
@pytest.mark.parametrize(("source", "why"), HANDSHAKE.values(), ids=HANDSHAKE)
def test_in_the_key_exchange(
    plugs: Plugs, monkeypatch: pytest.MonkeyPatch, source: str, why: str
) -> None:
    with faulty(plugs, monkeypatch, source) as (peer, b, _):
        at_once = why.startswith(("create()", "setattr()"))  # accept() has reset it already
        with pytest.raises(ConnectionResetError) if at_once else contextlib.nullcontext():
            peer.sendall(bytes(range(32)))
        demand_error([b.do_handshake, lambda: b.recv(1), lambda: b.sendall(b"x")], why)
        if not at_once:
            demand_reset(peer)
        b.eno.as_dict()
        b.close()


def agreed(peer: socket.socket, b: pyeno.Socket, a: Any) -> None:
    peer.sendall(a.data_to_send())
    b.do_handshake()
    while not a.established:
        a.receive_data(peer.recv(4096))


@pytest.mark.usefixtures("negotiated")
@pytest.mark.parametrize("how", ["send", "sendall", "timed", "shutdown"])
@pytest.mark.parametrize(("source", "why"), SENDING.values(), ids=SENDING)
def test_when_sending(
    plugs: Plugs, monkeypatch: pytest.MonkeyPatch, source: str, why: str, how: str
) -> None:
    with faulty(plugs, monkeypatch, source) as (peer, b, a):
        agreed(peer, b, a)
        b.settimeout(5 if how == "timed" else None)
        if how == "shutdown":
            why = why.replace("25 bytes of 5", "20 bytes of 0")
        uses = {
            "send": lambda: b.send(b"hello"),
            "sendall": lambda: b.sendall(b"hello"),
            "timed": lambda: b.send(b"hello"),
            "shutdown": lambda: b.shutdown(socket.SHUT_WR),
        }
        demand_error([uses[how], lambda: b.recv(1), lambda: b.send(b"hello")], why)
        demand_reset(peer)


@pytest.mark.usefixtures("negotiated")
@pytest.mark.parametrize(("source", "why"), RECEIVING.values(), ids=RECEIVING)
def test_when_receiving(
    plugs: Plugs, monkeypatch: pytest.MonkeyPatch, source: str, why: str
) -> None:
    with faulty(plugs, monkeypatch, source) as (peer, b, a):
        agreed(peer, b, a)
        peer.sendall(a.send(b"hello"))
        demand_error([lambda: b.recv(9), lambda: b.send(b"x")], why)
        demand_reset(peer)


@pytest.mark.usefixtures("negotiated")
def test_when_closing(plugs: Plugs, monkeypatch: pytest.MonkeyPatch) -> None:
    """close() never raises: what cannot be ended is reset, what cannot be wiped dropped."""
    source = "def seal(self, data, fin): 1 // 0\n    def wipe(self): 1 // 0"
    with faulty(plugs, monkeypatch, source) as (peer, b, a):
        agreed(peer, b, a)
        b.close()
        demand_reset(peer)


@pytest.mark.usefixtures("negotiated")
def test_a_constant_session_id(plugs: Plugs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first connection has it; each later one of the same role fails, alone."""
    source = "def establish(self, known): super().establish(known[:1] + bytes(32))"
    with faulty(plugs, monkeypatch, source) as (peer, b, a):
        agreed(peer, b, a)
        with raw_peer(b.config) as (later, b2):
            later.sendall(bytes(range(32)))
            why = "its session ID is that of an earlier connection"
            demand_error([b2.do_handshake, lambda: b2.recv(1)], why)
            demand_reset(later)
        b.sendall(b"lives on")


def test_memory_of_session_ids_is_bounded(plugs: Plugs) -> None:
    """The oldest are forgotten; each role has its own, since one process may be both."""
    plugs.example()
    registered: Any = tep.registry()[0x20]
    outcomes = {role: outcome_of(registered, Config(), role) for role in Role}

    def note(number: int, role: Role = Role.A) -> None:
        registered.check(b"\xa0" + number.to_bytes(32, "big"), outcomes[role])

    for number in range(REMEMBERED + 1):
        note(number)
    note(0)
    note(2, Role.B)
    for number in (0, 2, REMEMBERED):
        with pytest.raises(TepError, match="earlier connection"):
            note(number)
    assert len(registered._seen[Role.A]) == REMEMBERED


@pytest.mark.usefixtures("negotiated")
def test_cause_is_kept(plugs: Plugs, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the author of the plug-in: the traceback has what was raised."""
    with faulty(plugs, monkeypatch, HANDSHAKE["cannot begin"][0]) as (_, b, _):
        with pytest.raises(TepError) as caught:
            b.do_handshake()
        assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.usefixtures("negotiated")
@pytest.mark.parametrize(
    ("source", "why"),
    [
        HANDSHAKE["raises at once"], HANDSHAKE["cannot take"], HANDSHAKE["no v"],
        SENDING["cannot seal"], RECEIVING["cannot open"],
    ],
)  # fmt: skip
def test_in_asyncio(
    plugs: Plugs, monkeypatch: pytest.MonkeyPatch, source: str, why: str
) -> None:
    """From whatever awaits, or by connection_lost()."""

    reset: list[ConnectionResetError] = []

    async def send(peer: socket.socket, data: bytes) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(peer, data)
        except ConnectionResetError as error:
            reset.append(error)

    async def use(b: pyeno.Socket, peer: socket.socket, a: Any) -> None:
        lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        class Protocol(asyncio.Protocol):
            def connection_lost(self, error: Exception | None) -> None:
                lost.set_result(error)

        loop = asyncio.get_running_loop()
        peer.setblocking(False)
        await send(peer, a.data_to_send())
        transport, _ = await pyeno.create_eno_connection(loop, Protocol, sock=b)
        while not a.established:
            a.receive_data(await loop.sock_recv(peer, 4096))
        transport.write(b"hello")
        await send(peer, a.send(b"hello"))
        raise await lost

    with faulty(plugs, monkeypatch, source) as (peer, b, a):
        demand_error([lambda: asyncio.run(asyncio.wait_for(use(b, peer, a), 10))], why)
        peer.settimeout(5)
        if not reset:
            demand_reset(peer)


def test_socket_of_a_plug_in_that_fails_later(
    plugs: Plugs, negotiated: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suboption data are asked for each socket: that socket is not made, others are."""
    source = HEAD + "    pass\n" + TAIL + "answers = []\n"
    source += "Faulty.suboption = lambda self, config, role: answers[0]\n"
    plugs.install(
        "faulty", source.replace("answers = []", "answers = [b'x']"), "mine = faulty:FAULTY"
    )
    config = Config(teps="faulty")
    import faulty as module  # type: ignore[import-not-found]

    module.answers[0] = bytes(99)
    with pytest.raises(TepError, match=r"plug-in 'mine' of faulty 1.0: suboption\(\) gave 99"):
        pyeno.Socket(config=config)
    pyeno.Socket(config=Config()).close()


def test_not_installed_any_more(negotiated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TEP was negotiated that nobody knows: never plain TCP."""
    before = pyeno.kernel.result
    monkeypatch.setattr(
        pyeno.kernel, "result", lambda sock: before(sock)._replace(tep_byte=0x55)
    )
    with raw_peer() as (peer, b):
        with pytest.raises(TepError, match="0x55 was negotiated and is not installed here"):
            b.sendall(b"x")
        demand_reset(peer)
