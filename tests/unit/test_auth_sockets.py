"""Authentication over pyeno.Socket (played negotiation): ends, errors, time."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.played import hand_made, listening, pair, raw_peer
from unit.proving import (
    IDENTITIES,
    METHODS,
    PSK,
    PUBLIC,
    STRANGER,
    both_known,
    end,
    owed_and,
    written,
)

import pyeno
from pyeno import ConfigError, LocalProtocolError, NotEncryptedError, Role, auth
from pyeno.auth import (
    AuthenticationTimeoutError,
    ChangedKeyError,
    EndedEarlyError,
    KnownHostsError,
    MessageError,
    PeerNotAuthenticatedError,
    ProofError,
    RefusedByPeerError,
    UnknownKeyError,
    authenticate_ed25519,
    authenticate_psk,
    channel_binding,
    fingerprint,
)
from pyeno.auth.keys import encode_public, raw_public
from pyeno.errors import AuthenticationError, TruncationError

pytestmark = pytest.mark.usefixtures("negotiated")

Call = Callable[[pyeno.Socket], Any]


def both(a: pyeno.Socket, b: pyeno.Socket, near: Call, far: Call) -> list[Any]:
    """[what `near(a)` gave or raised, what `far(b)` did], at the same time."""
    results: list[Any] = [None, None]

    def call(number: int, call: Call, sock: pyeno.Socket) -> None:
        try:
            results[number] = call(sock)
        except Exception as error:
            results[number] = error

    thread = threading.Thread(target=call, args=(1, far, b))
    thread.start()
    call(0, near, a)
    thread.join()
    return results


def with_psk(key: bytes = PSK, **options: Any) -> Call:
    return lambda sock: authenticate_psk(sock, key, **options)


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return both_known(tmp_path / "known_hosts")


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest, known: Path) -> Callable[..., Call]:
    """`method(role, …)` authenticates as that host."""

    def call(role: Role, **options: Any) -> Call:
        if request.param == "psk":
            return with_psk(**options)
        name = f"{role.opposite.value}.example"
        return lambda sock: authenticate_ed25519(
            sock, IDENTITIES[role], known_hosts=known, name=name, **options
        )

    return call


def test_both_ends_and_what_follows(method: Callable[..., Call]) -> None:
    """Whatever the application sends right behind is the application's."""

    def near(sock: pyeno.Socket) -> Any:
        done = method(Role.A)(sock)
        sock.sendall(b"first bytes")
        return done

    with pair() as (a, b):
        done = both(a, b, near, method(Role.B))
        assert b.recv(100) == b"first bytes"
        b.sendall(b"answer")
        assert a.recv(100) == b"answer"
        assert a.gettimeout() == b.gettimeout() == 10.0
    if done[0].method == "ed25519":
        assert [each.name for each in done] == ["b.example", "a.example"]
        assert done[0].fingerprint == fingerprint(PUBLIC[Role.B])


def test_what_follows_in_the_same_frame_is_left() -> None:
    """The peer's last message and its first data come in one piece."""

    def far(sock: pyeno.Socket) -> None:
        other = end("psk", Role.B, session_id=sock.eno.session_id)
        while not other.done:
            sock.sendall(owed_and(other, b"first bytes"))
            if not other.done:
                other.receive_data(sock.recv(100))

    with pair() as (a, b):
        done = both(a, b, with_psk(), far)
        assert done == [auth.Authenticated("psk"), None]
        assert a.recv(100) == b"first bytes"


def test_again_and_again(method: Callable[..., Call]) -> None:
    """On one connection; a proof of the first time is none the second time."""
    with pair() as (a, b):
        for _ in range(3):
            done = both(a, b, method(Role.A), method(Role.B))
            assert all(done), done


def test_an_accepted_socket_that_did_nothing_yet() -> None:
    """Its key exchange comes first."""
    with listening() as listener:
        accepted: list[Any] = []

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                accepted.append(authenticate_psk(sock, PSK))

        thread = threading.Thread(target=serve)
        thread.start()
        with pyeno.create_connection(listener.getsockname()) as sock:
            assert authenticate_psk(sock, PSK) == auth.Authenticated("psk")
        thread.join()
        assert accepted == [auth.Authenticated("psk")]


def test_who_connects_is_told_by_the_key(known: Path) -> None:
    """Without a name any pinned key will do."""
    with pair() as (a, b):
        done = both(
            a, b,
            lambda sock: authenticate_ed25519(
                sock, IDENTITIES[Role.A], known_hosts=known, name="b.example", port=7000
            ),
            lambda sock: authenticate_ed25519(sock, IDENTITIES[Role.B], known_hosts=known),
        )  # fmt: skip
        assert [each.name for each in done] == ["[b.example]:7000", "a.example"]


def test_trust_on_first_use(tmp_path: Path, known: Path) -> None:
    """Once; afterwards another key is refused, with file and line, and the peer is told."""
    mine = tmp_path / "mine"

    def near(sock: pyeno.Socket) -> Any:
        return authenticate_ed25519(
            sock, IDENTITIES[Role.A], known_hosts=mine, name="host", port=7,
            trust_on_first_use=True,
        )  # fmt: skip

    def far(key: Any) -> Call:
        return lambda sock: authenticate_ed25519(sock, key, known_hosts=known)

    for first in (True, False):
        with pair() as (a, b):
            done = both(a, b, near, far(IDENTITIES[Role.B]))
            assert done[0].first_use is first and done[0].name == "[host]:7"
    assert mine.read_text() == f"[host]:7 {encode_public(PUBLIC[Role.B])}\n"
    with pair() as (a, b):
        done = both(a, b, near, far(STRANGER))
        assert isinstance(done[0], ChangedKeyError) and isinstance(done[1], RefusedByPeerError)
        assert (done[0].path, done[0].line) == (str(mine), 1)
    assert mine.read_text() == f"[host]:7 {encode_public(PUBLIC[Role.B])}\n"


# -- failures ----------------------------------------------------------------------------


def dead(sock: pyeno.Socket, error: Exception) -> None:
    """Every later call raises the same error."""
    for call in (lambda: sock.recv(1), lambda: sock.send(b"x"), sock.pending):
        with pytest.raises(type(error)) as caught:
            call()
        assert caught.value is error


@pytest.mark.parametrize(
    "options", [{"key": bytes(32)}, {"context": b"another application"}], ids=["key", "context"]
)
def test_a_wrong_proof(options: dict[str, Any]) -> None:
    with pair() as (a, b):
        done = both(a, b, with_psk(), with_psk(**options))
        kinds = [type(each) for each in done]
        # whoever judges first resets; the other may read the proof still, or the reset
        assert ProofError in kinds and set(kinds) <= {ProofError, RefusedByPeerError}
        for sock, error in zip((a, b), done, strict=True):
            assert isinstance(error, AuthenticationError)
            if isinstance(error, ProofError):
                dead(sock, error)


def test_an_unknown_key(known: Path) -> None:
    with pair() as (a, b):
        done = both(
            a, b,
            lambda sock: authenticate_ed25519(sock, STRANGER, known_hosts=known),
            lambda sock: authenticate_ed25519(sock, IDENTITIES[Role.B], known_hosts=known),
        )  # fmt: skip
        assert isinstance(done[1], UnknownKeyError), done
        assert isinstance(done[0], RefusedByPeerError)
        assert done[1].fingerprint == fingerprint(raw_public(STRANGER.public_key()))
        dead(b, done[1])
        with pytest.raises(OSError):
            a.recv(1)


def test_a_peer_that_does_not_authenticate() -> None:
    """Its first byte gives it away; what it sent is not read as anything else."""
    with pair() as (a, b):
        b.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with pytest.raises(MessageError, match="does not authenticate here") as caught:
            authenticate_psk(a, PSK)
        dead(a, caught.value)
        with pytest.raises(ConnectionResetError):
            while b.recv(100):
                pass


@pytest.mark.parametrize("said", [0, 5, 42, 43, 89])
def test_end_of_stream_in_the_middle(said: int) -> None:
    """An authenticated FINp, but not where one belongs; the end is not told as b""."""

    def leaving(sock: pyeno.Socket) -> None:
        other = end("psk", Role.B, session_id=sock.eno.session_id)
        sock.sendall(other.data_to_send()[:said])
        if said > 42:
            other.receive_data(sock.recv(42))
            sock.sendall((other.data_to_send() + b"ENOa\x01\x03\0\0")[: said - 42])
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(100):
            pass

    with pair() as (a, b):
        near, far = both(a, b, with_psk(), leaving)
        assert isinstance(near, EndedEarlyError) and isinstance(far, ConnectionResetError)
        dead(a, near)


def test_truncation_in_the_middle() -> None:
    """A FIN without FINp is RFC 8548's error, not this protocol's."""
    with raw_peer() as (peer, b):
        hand_made(peer, b)
        peer.shutdown(socket.SHUT_WR)
        with pytest.raises(TruncationError):
            authenticate_psk(b, PSK)
        with pytest.raises(TruncationError):
            b.recv(1)


def test_reset_in_the_middle() -> None:
    with pair() as (a, b):
        b.abort()
        with pytest.raises(RefusedByPeerError, match="its own error says why"):
            authenticate_psk(a, PSK)
        with pytest.raises(ConnectionError):
            a.recv(1)


@pytest.mark.parametrize(
    ("own", "options"), [(10.0, {"timeout": 0.1}), (0.1, {}), (None, {"timeout": 0.1})]
)
def test_a_silent_peer(own: float | None, options: dict[str, float]) -> None:
    with pair() as (a, b):
        a.settimeout(own)
        with pytest.raises(AuthenticationTimeoutError, match="in time") as caught:
            authenticate_psk(a, PSK, **options)
        assert isinstance(caught.value, TimeoutError) and a.gettimeout() == own
        dead(a, caught.value)
        with pytest.raises(ConnectionResetError):
            while b.recv(100):
                pass


def test_a_peer_that_trickles() -> None:
    """Bytes one by one do not prolong the time for the whole."""
    stop = threading.Event()

    def trickle(sock: pyeno.Socket) -> None:
        other = end("psk", Role.B).data_to_send()
        for octet in other[:-1]:
            if stop.wait(0.05):
                return
            try:
                sock.sendall(bytes([octet]))
            except OSError:
                return

    with pair() as (a, b):
        thread = threading.Thread(target=trickle, args=(b,))
        thread.start()
        with pytest.raises(AuthenticationTimeoutError):
            authenticate_psk(a, PSK, timeout=0.4)
        stop.set()
        thread.join()


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection half authenticated is of no use to anybody."""
    with pair() as (a, b):
        monkeypatch.setattr(pyeno.Socket, "recv", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            authenticate_psk(a, PSK)
        monkeypatch.undo()
        assert a.fileno() == -1
        with pytest.raises(ConnectionResetError):
            while b.recv(100):
                pass


def _interrupt(*_: object) -> bytes:
    raise KeyboardInterrupt


def test_a_key_that_cannot_be_pinned(
    tmp_path: Path, known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer was found to be genuine, but next time nobody would know."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(auth.KnownHosts, "_replace", full)
    with pair() as (a, b):
        done = both(
            a, b,
            lambda sock: authenticate_ed25519(
                sock, IDENTITIES[Role.A], known_hosts=tmp_path / "new", name="host",
                trust_on_first_use=True,
            ),
            lambda sock: authenticate_ed25519(sock, IDENTITIES[Role.B], known_hosts=known),
        )  # fmt: skip
        assert done[0].errno == 28 and isinstance(done[1], RefusedByPeerError)


# -- wrong use: nothing changes --------------------------------------------------------------


def test_wrong_use_changes_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    written(bad, "nonsense\n")
    identity = IDENTITIES[Role.A]
    with pair() as (a, b):
        for call, error in (
            (lambda: authenticate_psk(a, b"short"), ConfigError),
            (lambda: authenticate_psk(a, "text" * 8), TypeError),
            (lambda: authenticate_psk(a, PSK, timeout=0), ConfigError),
            (lambda: authenticate_psk(a, PSK, timeout=-1), ConfigError),
            (lambda: authenticate_psk(a, PSK, timeout=float("inf")), ConfigError),
            (lambda: authenticate_psk(a, PSK, timeout=float("nan")), ConfigError),
            (lambda: authenticate_ed25519(a, b"", known_hosts=tmp_path / "x"), TypeError),
            (lambda: authenticate_ed25519(a, identity, known_hosts=bad), KnownHostsError),
            (lambda: authenticate_ed25519(a, identity, known_hosts=bad, name=" "), ConfigError),
        ):  # fmt: skip
            with pytest.raises(error):
                call()
        a.settimeout(0)
        with pytest.raises(LocalProtocolError, match="does not block: give it a timeout"):
            authenticate_psk(a, PSK)
        a.settimeout(10)
        assert b.pending() == 0
        assert all(both(a, b, with_psk(), with_psk()))


def test_a_connection_that_is_not_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, and left to the application: nothing was sent."""
    monkeypatch.setattr("pyeno.kernel.result", lambda _: pyeno.kernel.NOT_CONFIGURED)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pyeno.create_connection(listener.getsockname()) as a,
        listener.accept()[0] as peer,
    ):
        for call in (
            lambda: authenticate_psk(a, PSK),
            lambda: authenticate_ed25519(a, STRANGER, known_hosts="/nowhere"),
            lambda: channel_binding(a),
        ):
            with pytest.raises(NotEncryptedError, match=r"Config\(require=True\)"):
                call()
        a.sendall(b"plain")
        assert peer.recv(100) == b"plain"


def test_no_secret_in_errors() -> None:
    with pair() as (a, b):
        for each in both(a, b, with_psk(), with_psk(bytes(range(1, 33)))):
            assert isinstance(each, PeerNotAuthenticatedError)
            assert PSK.hex() not in str(each) and a.eno.session_id.hex() not in str(each)
