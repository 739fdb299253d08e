"""Trust on first use over the wire: host B's long-lived TLS key, and who has another."""

import itertools
import threading
from pathlib import Path

import pytest
from unit.tls_ends import IDENTITY, pem
from wire.looping import Driver
from wire.mallory import Mallory
from wire.netns import Wire
from wire.pairs import MARKER, pair
from wire.programs import Command, Listen

import pyeno
from pyeno import Config, Role, auth
from pyeno.auth import ChangedKeyError, UnknownKeyError, aio
from pyeno.tls import keys

pytestmark = pytest.mark.wire

TLS = Config(teps=["tls"], require=True)
FINGERPRINT = keys.fingerprint(keys.public_key(lambda: IDENTITY.certificate))
_ports = itertools.count(7900)


@pytest.fixture
def lasting(tmp_path: Path) -> Config:
    """Host B's."""
    return TLS.but(tls_key=pem(tmp_path / "key"))


def test_first_use_then_again(wire: Wire, lasting: Config, tmp_path: Path) -> None:
    for turn in range(3):
        with pair(wire, TLS, lasting) as (a, b):
            found = auth.authenticate_tls_key(
                a, known_hosts=tmp_path / "known", name="b", trust_on_first_use=turn == 0
            )
            assert found.as_dict() == {
                "method": "tls-key", "name": "b", "fingerprint": FINGERPRINT,
                "first_use": turn == 0,
            }  # fmt: skip
            a.sendall(MARKER)
            assert b.recv(100) == MARKER and b.eno.role is Role.B


def test_another_key_is_refused(wire: Wire, lasting: Config, tmp_path: Path) -> None:
    """The connection is reset, and nothing can be sent or read afterwards."""
    known = tmp_path / "known"
    with pair(wire, TLS, TLS) as (a, b):
        with pytest.raises(UnknownKeyError):
            auth.authenticate_tls_key(a, known_hosts=known, name="b")
        with pytest.raises(UnknownKeyError):
            a.sendall(b"never")
        with pytest.raises(ConnectionResetError):
            b.recv(1)
    with pair(wire, TLS, lasting) as (a, _):
        auth.authenticate_tls_key(a, known_hosts=known, name="b", trust_on_first_use=True)
    with pair(wire, TLS, TLS) as (a, b):
        with pytest.raises(ChangedKeyError):
            auth.authenticate_tls_key(a, known_hosts=known, name="b", trust_on_first_use=True)
        with pytest.raises(ConnectionResetError):
            b.recv(1)


def test_a_man_in_the_middle_is_found_out(lasting: Config, tmp_path: Path) -> None:
    """He terminates both sides; nothing fails, but he cannot sign as host B."""
    known = tmp_path / "known"
    with Mallory() as mallory:
        mallory.config = TLS
        with mallory.server(lasting) as listener:
            accepted: list[pyeno.Socket] = []
            serving = threading.Thread(target=lambda: accepted.append(listener.accept()[0]))
            serving.start()
            shaking = threading.Thread(
                target=lambda: (serving.join(), accepted[0].do_handshake())
            )
            shaking.start()
            with mallory.dialled(listener, TLS) as a:
                shaking.join()
                assert a.eno.session_id != accepted[0].eno.session_id
                known.write_text(f"b {auth.keys.encode_public(point())}\n")
                known.chmod(0o600)
                with pytest.raises(ChangedKeyError, match="somebody may be in the middle"):
                    auth.authenticate_tls_key(a, known_hosts=known, name="b")
            accepted[0].close()
        assert not mallory.read["a"]


def point() -> bytes:
    return auth.keys.raw_point(keys.public_key(lambda: IDENTITY.certificate))


def test_streams(drive: Driver, lasting: Config, tmp_path: Path) -> None:
    known = tmp_path / "known"

    async def handler(reader: object, writer: object) -> None:
        writer.close()  # type: ignore[attr-defined]

    async def main(config: Config) -> auth.Authenticated:
        async with drive.streams(handler, config) as (_, address):
            streams = await pyeno.open_connection(*address, config=TLS)
            try:
                return aio.authenticate_tls_key(
                    streams, known_hosts=known, name="b", trust_on_first_use=True
                )
            except ChangedKeyError:
                with pytest.raises(ChangedKeyError):
                    await streams[0].read()
                raise
            finally:
                streams[1].close()

    assert drive(lambda: main(lasting)).first_use
    assert not drive(lambda: main(lasting)).first_use
    with pytest.raises(ChangedKeyError):
        drive(lambda: main(TLS))


def test_the_command_line(wire: Wire, tmp_path: Path) -> None:
    port, key, known = next(_ports), pem(tmp_path / "key"), tmp_path / "known"
    target = f"{wire.b.ip4}:{port}"
    words = ("connect", "--json", "--tep", "tls", "--known-hosts", known)
    with Listen(wire.b, port, "--echo", "--tep", "tls", "--tls-key", key):
        for trusting in True, False:
            more = ["--trust-on-first-use"] if trusting else []
            with Command(wire.a, *words, *more, target) as command:
                command.type(MARKER, end=True)
                assert command.ended() == 0 and command.output == MARKER, command
                told = command.reports[0]["authenticated"]
                assert told["first_use"] is trusting
                assert told["fingerprint"] == command.reports[0]["peer_key"] == FINGERPRINT
    with (
        Listen(wire.b, port, "--echo", "--tep", "tls"),
        Command(wire.a, *words, "--trust-on-first-use", target) as command,
    ):
        command.type(MARKER, end=True)
        assert command.ended() == 1 and not command.output
        assert command.reports[0]["end"] == "auth-failed"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--known-hosts", "F"], "--identity: missing"),
        (["--tep", "tls,curve25519", "--known-hosts", "F"], "--identity: missing"),
        (["--tep", "tls", "--trust-on-first-use"], "--known-hosts: missing"),
        (["--tep", "tls", "--identity", "F"], "--known-hosts: missing"),
        (["--tep", "tls", "--known-hosts", "F", "--psk-file", "F"], "--psk-file"),
    ],
)
def test_options_that_do_not_fit(
    wire: Wire, tmp_path: Path, words: list[str], says: str
) -> None:
    with Command(wire.a, "connect", *words, "192.0.2.1:7") as command:
        assert command.ended() == 2 and says in command.complaints[-1], command


def test_host_b_has_no_key_of_host_a(wire: Wire, lasting: Config, tmp_path: Path) -> None:
    with pair(wire, TLS, lasting) as (a, b):
        with pytest.raises(pyeno.LocalProtocolError, match="only host A"):
            auth.authenticate_tls_key(b, known_hosts=tmp_path / "known", name="a")
        a.sendall(MARKER)
        assert b.recv(100) == MARKER
