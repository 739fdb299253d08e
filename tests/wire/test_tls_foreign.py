"""Other TLS stacks on the other side of an ENO connection: the standard library's ``ssl``,
and OpenSSL's ``s_client`` and ``s_server``.  Neither knows of ENO; each is told one ALPN name.
"""

import contextlib
import os
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.tls_ends import IDENTITY, pem
from wire import foreign_tls as foreign
from wire.netns import Wire
from wire.pairs import MARKER, TIMEOUT, served

import pyeno
from pyeno import Config, Role
from pyeno.errors import TruncationError
from pyeno.tls import keys
from pyeno.tls.errors import AlertError, DowngradeError, TranscriptError

pytestmark = pytest.mark.wire

TLS = Config(teps=["tls"], require=True)
BULK = os.urandom(3 << 20)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return pem(tmp_path / "pem")


class Meeting:
    """A raw ENO socket that plays host ``role``, and pyeno's socket opposite."""

    def __init__(self, raw: socket.socket, sock: pyeno.Socket) -> None:
        self.raw, self.sock = raw, sock
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._shake)
        self._thread.start()

    def _shake(self) -> None:
        try:
            self.sock.do_handshake()
        except Exception as error:
            self.error = error

    def shaken(self) -> Exception | None:
        """Once pyeno's handshake is over; what it raised."""
        self._thread.join()
        return self.error


@contextlib.contextmanager
def meeting(wire: Wire, role: Role) -> Iterator[Meeting]:
    """The foreign end has that role: it opens as host A, accepts as host B."""
    with contextlib.ExitStack() as stack:
        if role is Role.A:
            listener = stack.enter_context(served(wire, TLS))
            raw = foreign.opened(wire.a, listener.getsockname()[:2])
            sock = stack.enter_context(listener.accept()[0])
        else:
            gate = stack.enter_context(foreign.listener(wire.b))
            sock = wire.a.inside(lambda: pyeno.Socket(config=TLS))
            stack.enter_context(sock)
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(gate.getsockname())
            raw = gate.accept()[0]
        stack.callback(raw.close)
        raw.settimeout(foreign.PATIENCE)
        sock.settimeout(TIMEOUT)
        met = Meeting(raw, sock)
        stack.callback(met.shaken)
        yield met


def whole(sock: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size and (part := sock.recv(1 << 18)):
        parts += part
    return bytes(parts)


@pytest.mark.parametrize("role", list(Role))
def test_the_standard_library(wire: Wire, certificate: Path, role: Role) -> None:
    """Both roles: data both ways, close_notify both ways, and no plaintext."""
    with contextlib.ExitStack() as stack:
        seen = stack.enter_context(wire.capture())
        met = stack.enter_context(meeting(wire, role))
        tls = stack.enter_context(foreign.standard(met.raw, role, certificate))
        assert met.shaken() is None
        assert tls.version() == "TLSv1.3" and met.sock.eno.tep == 0x30
        assert met.sock.eno.role is role.opposite
        sender = threading.Thread(target=met.sock.sendall, args=(MARKER + BULK,))
        sender.start()
        assert whole(tls, len(MARKER + BULK)) == MARKER + BULK
        sender.join()
        sender = threading.Thread(target=tls.sendall, args=(BULK,))
        sender.start()
        assert whole(met.sock, len(BULK)) == BULK
        sender.join()
        met.sock.shutdown(socket.SHUT_WR)
        assert tls.recv(10) == b""
        tls.unwrap().close()
        assert met.sock.recv(10) == b""
    assert MARKER not in b"".join(s.payload for s in seen.segments)


@pytest.mark.parametrize("role", list(Role))
def test_the_standard_library_sees_truncation(
    wire: Wire, certificate: Path, role: Role
) -> None:
    """Without close_notify it is an error at either end."""
    with meeting(wire, role) as met:
        tls = foreign.standard(met.raw, role, certificate)
        assert met.shaken() is None
        tls.sendall(MARKER)
        tls.shutdown(socket.SHUT_WR)  # the kernel's: FIN, no alert
        assert met.sock.recv(100) == MARKER
        with pytest.raises(TruncationError):
            met.sock.recv(100)
        tls.close()


GROUPS = ["X25519", "P-256", "P-384", "X448"]
SUITES = [
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
]  # fmt: skip


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    "words", [["-groups", g] for g in GROUPS] + [["-ciphersuites", s] for s in SUITES]
)
def test_openssl_with_each_group_and_suite(
    wire: Wire, certificate: Path, role: Role, words: list[str]
) -> None:
    with meeting(wire, role) as met, foreign.program(met.raw, role, certificate, *words) as it:
        assert met.shaken() is None, (met.error, it.output)
        it.type(MARKER + b"\n")
        assert whole(met.sock, len(MARKER) + 1) == MARKER + b"\n"
        met.sock.sendall(b"back to you\n")
        it.wait(b"back to you")
        it.wait(
            b"ALPN protocol: tcpeno/" if role is Role.A else b"ALPN protocols selected: tcpeno"
        )
        if role is Role.B:
            assert met.sock.eno.peer_key == keys.public_key(lambda: IDENTITY.certificate)


@pytest.mark.parametrize("role", list(Role))
def test_openssl_updates_its_keys(wire: Wire, certificate: Path, role: Role) -> None:
    """KeyUpdate (RFC 8446 section 4.6.3), with and without a wish for the peer's."""
    with meeting(wire, role) as met, foreign.program(met.raw, role, certificate) as it:
        assert met.shaken() is None
        for command in b"", b"K\n", b"k\n", b"K\n":
            it.type(command)
            if command:  # nothing else waits to be read by now
                assert select.select([met.sock], [], [], TIMEOUT)[0]
            it.type(MARKER + b"\n")
            assert whole(met.sock, len(MARKER) + 1) == MARKER + b"\n"
            met.sock.sendall(b"under new keys\n")
            it.wait(b"under new keys")
            it.output.clear()


def test_openssl_ends_its_stream(wire: Wire, certificate: Path) -> None:
    """Q: close_notify, then FIN; killed: FIN alone."""
    for quits in True, False:
        with meeting(wire, Role.A) as met, foreign.program(met.raw, Role.A, certificate) as it:
            assert met.shaken() is None
            it.type(b"hello\n")
            assert met.sock.recv(100) == b"hello\n"
            if quits:
                it.type(b"Q\n")
                assert met.sock.recv(100) == b""
            else:
                it.process.kill()
                with pytest.raises(TruncationError):
                    met.sock.recv(100)


def test_openssl_resumes_nothing(wire: Wire, certificate: Path) -> None:
    """It keeps what the tickets say, proposes it, and is given fresh keys."""
    session = certificate.with_suffix(".session")
    for option in "-sess_out", "-sess_in":
        words = option, str(session)
        with (
            meeting(wire, Role.A) as met,
            foreign.program(met.raw, Role.A, certificate, *words) as it,
        ):
            assert met.shaken() is None
            it.wait(b"New, TLSv1.3")
            met.sock.sendall(b"behind the tickets\n")
            it.wait(b"behind the tickets")
            it.type(b"Q\n")
            assert met.sock.recv(1) == b""
        assert session.stat().st_size
    assert b"Reused" not in it.output


@pytest.mark.parametrize("role", list(Role))
def test_openssl_with_another_name(wire: Wire, certificate: Path, role: Role) -> None:
    """Of other ENO options than these: refused, with an alert that says so."""
    with meeting(wire, role) as met:
        name = "tcpeno/4504213045040130"
        with foreign.program(met.raw, role, certificate, name=name) as it:
            error = met.shaken()
            assert isinstance(error, TranscriptError), repr(error)
            if role is Role.A:
                it.wait(b"no application protocol")


def test_openssl_without_a_name(wire: Wire, certificate: Path) -> None:
    """It selects nothing where it was told nothing."""
    with (
        meeting(wire, Role.B) as met,
        foreign.program(met.raw, Role.B, certificate, name=None),
    ):
        assert isinstance(met.shaken(), TranscriptError)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("words", [["-groups", "ffdhe2048"], ["-tls1_2"]])
def test_openssl_below_the_profile(
    wire: Wire, certificate: Path, role: Role, words: list[str]
) -> None:
    with meeting(wire, role) as met, foreign.program(met.raw, role, certificate, *words):
        error = met.shaken()
        assert isinstance(error, (DowngradeError, AlertError)), repr(error)
        with pytest.raises(type(error)):
            met.sock.sendall(b"never plaintext")
