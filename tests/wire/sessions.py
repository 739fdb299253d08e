"""Sessions put into the kernel's cache by hand (RFC 8548 section 3.5), and who uses them.

with Keeper(wire, token) as keeper:           # a listener in b; both hosts keep sessions
    session = keeper.prime()                  # as after a fresh key exchange
    with keeper.met() as ends:                # a connects
        assert ends.active.resumed and take(ends.a) == session.ss
"""

import contextlib
import errno
import os
import secrets
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from oracle import keys
from wire import bpfmaps
from wire.connect import Ends, Setup, listen, refused
from wire.netns import Namespace, Wire

from pyeno import kernel
from pyeno.constants import Reason, State

TCP = socket.IPPROTO_TCP
# struct eno_session_entry of ext/wire/eno_abi.h, up to the secret
ENTRY = struct.Struct("=BBHI18s8s6x")
CONNECTION, SCOPE, USER = 0, 1, 2


def fresh(role: str = "A", tep: int = 0x23, tag: int = 7) -> keys.Session:
    """A session whose original role here was `role`."""
    return keys.Session(tep, tag, role, 1, secrets.token_bytes(32))


def opposite(session: keys.Session) -> keys.Session:
    """The same session as the other host has it."""
    role = "B" if session.original_role == "A" else "A"
    return keys.Session(session.tep, session.aead, role, session.i, session.ss)


def entry(session: keys.Session, lifetime: int = 600) -> bytes:
    original_b = session.original_role == "B"
    head = ENTRY.pack(
        session.tep, original_b, session.aead, lifetime, session.identifier, os.urandom(8)
    )
    return head + session.ss


def put(sock: socket.socket, session: keys.Session, lifetime: int = 600) -> None:
    sock.setsockopt(TCP, kernel.TCP_ENO_SESSION_PUT, entry(session, lifetime))


def take(sock: socket.socket) -> bytes:
    return sock.getsockopt(TCP, kernel.TCP_ENO_SESSION_TAKE, 32)


def flush(sock: socket.socket, what: int) -> None:
    sock.setsockopt(TCP, kernel.TCP_ENO_SESSION_FLUSH, what)


def cached(pin: Path) -> list[bytes]:
    """struct eno_session of every session in the cache."""
    return bpfmaps.values(pin / "maps" / "eno_sessions")


def child(work: Callable[[], bool], uid: int | None = None) -> bool:
    """Whether it is true in another process, as another user."""
    pid = os.fork()
    if not pid:
        status = 2
        with contextlib.suppress(BaseException):
            signal.alarm(10)
            if uid is not None:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            status = 0 if work() else 1
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, 1), status
    return status == 0


def keeps(token: bytes, teps: str = "23", nonce_len: int | None = 8, **more: Any) -> Setup:
    """TCP_ENO_CONFIG of version 2."""
    return lambda sock: kernel.configure(
        sock, teps=bytes.fromhex(teps), nonce_len=nonce_len, token=token, **more
    )


def proposal(session: keys.Session, nonce: bytes = b"", *, others: str = "") -> bytes:
    """The SYN's option of a host that has the session (figures 2 and 3)."""
    data = bytes([0x80 | session.tep]) + session.local_half + nonce
    contents = bytes.fromhex(others) + data
    return bytes([0x45, 2 + len(contents)]) + contents


def says(option: bytes) -> Setup:
    return lambda sock: kernel.set_raw_option(sock, option)


class Keeper:
    """`passive` in namespace b by default, with a listener that stays; a opens."""

    def __init__(
        self,
        wire: Wire,
        token: bytes,
        *,
        passive: Setup | None = None,
        active: Setup | None = None,
        swapped: bool = False,
    ) -> None:
        self.wire, self.token = wire, token
        self.host: Namespace = wire.a if swapped else wire.b
        self.opener: Namespace = wire.b if swapped else wire.a
        self.active = active or keeps(token)
        self.listener = listen(self.host, self.host.ip4, passive or keeps(token))
        self.address: tuple[str, int] = self.listener.getsockname()

    def listen_as(self, passive: Setup) -> None:
        """Another listener in the place of this one."""
        self.listener.close()
        self.listener = listen(self.host, self.host.ip4, passive, port=self.address[1])

    @contextlib.contextmanager
    def met(self, active: Setup | None = None, *, exchange: bool = True) -> Iterator[Ends]:
        """One connection to the listener."""
        with self.wire.capture() as seen, self.opener.socket() as a:
            (active or self.active)(a)
            a.connect(self.address)
            b, _ = self.listener.accept()
            with b:
                b.settimeout(8)
                if exchange:
                    a.sendall(b"a")
                    assert b.recv(1) == b"a"
                    b.sendall(b"b")
                    assert a.recv(1) == b"b"
                time.sleep(0.02)
                yield Ends(kernel.result(a), kernel.result(b), seen, a, b)

    def prime(
        self,
        session: keys.Session | None = None,
        *,
        active: bool = True,
        passive: bool = True,
        lifetime: int = 600,
    ) -> keys.Session:
        """A connection, after which the hosts have the session: the opener's view of it."""
        session = session or fresh()
        # of its TEP alone, and without ever resuming another
        with self.met(keeps(self.token, f"{session.tep:02x}", None)) as ends:
            if active:
                put(ends.a, session, lifetime)
            if passive:
                put(ends.b, opposite(session), lifetime)
        return session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()


def assert_resumed(ends: Ends, session: keys.Session) -> None:
    """Both hosts, with the secret, which each of them gives once."""
    for sock, result, mine in (
        (ends.a, ends.active, session),
        (ends.b, ends.passive, opposite(session)),
    ):
        assert result.state is State.ENCRYPTED and result.resumed, ends
        assert result.tep_byte == 0x80 | session.tep and result.tag == session.aead
        assert result.original_role.value == mine.original_role
        assert take(sock) == session.ss
        assert_nothing_to_take(sock)
    assert ends.active.transcript == ends.passive.transcript


def assert_fresh(ends: Ends, tep: int = 0x23) -> None:
    for sock, result in ((ends.a, ends.active), (ends.b, ends.passive)):
        assert result.state is State.ENCRYPTED and not result.resumed, ends
        assert result.tep_byte == tep
        assert_nothing_to_take(sock)


def assert_plain(ends: Ends, active: Reason, passive: Reason) -> None:
    assert (ends.active.state, ends.active.reason) == (State.DISABLED, active), ends
    assert (ends.passive.state, ends.passive.reason) == (State.DISABLED, passive), ends
    for sock in (ends.a, ends.b):
        assert_nothing_to_take(sock)


def assert_nothing_to_take(sock: socket.socket) -> None:
    assert refused(lambda: take(sock)) == errno.ENOTCONN


def halves(option: bytes, tep: int = 0x23) -> tuple[bytes, bytes]:
    """(identifier half, nonce) of the last suboption, which is a resumption suboption."""
    at = option.index(0x80 | tep)
    return option[at + 1 : at + 10], option[at + 10 :]
