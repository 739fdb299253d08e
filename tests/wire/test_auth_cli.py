"""`pyeno listen` and `pyeno connect` that demand a proof."""

import itertools
from pathlib import Path

import pytest
from unit.proving import IDENTITIES, PSK, PUBLIC, STRANGER, both_known
from unit.test_auth_keys import openssh, saved
from wire.netns import Wire
from wire.pairs import MARKER
from wire.programs import Command, Listen

from pyeno import Role
from pyeno.auth import fingerprint

pytestmark = pytest.mark.wire

_ports = itertools.count(7600)


@pytest.fixture
def port() -> int:
    return next(_ports)


def connect(wire: Wire, port: int, *words: object) -> Command:
    return Command(wire.a, "connect", "--json", *words, f"{wire.b.ip4}:{port}")


@pytest.fixture
def psk(tmp_path: Path) -> Path:
    return saved(tmp_path / "psk", PSK.hex().encode())


def test_a_pre_shared_key(wire: Wire, port: int, psk: Path, tmp_path: Path) -> None:
    """The same at both ends; another one is refused, and nothing of the data passes."""
    other = saved(tmp_path / "other", b"0" * 32)
    with Listen(wire.b, port, "--echo", "--psk-file", psk) as listen:
        with connect(wire, port, "--psk-file", psk) as command:
            command.type(MARKER, end=True)
            assert command.ended() == 0 and command.output == MARKER, command
            for report in command.next_report(), listen.next_report():
                assert report["encrypted"] and report["end"] == "fin"
                assert report["authenticated"] == {
                    "method": "psk", "name": None, "fingerprint": None, "first_use": False
                }  # fmt: skip
        with connect(wire, port, "--psk-file", other) as command:
            command.type(MARKER, end=True)
            assert command.ended() == 1 and not command.output
            assert command.reports[0]["end"] == "auth-failed"
            assert command.reports[0]["authenticated"] is None
        report = listen.wait(lambda: listen.reports[1:], "second report")[0]
        assert (report["end"], report["bytes_in"]) == ("auth-failed", 0)
        assert PSK.hex() not in report["error"]


def test_who_does_not_prove_anything(wire: Wire, port: int, psk: Path) -> None:
    with (
        Listen(wire.b, port, "--sink", "--once", "--psk-file", psk) as listen,
        connect(wire, port) as command,
    ):
        command.type(MARKER, end=True)
        assert command.ended() == listen.ended() == 1
        assert listen.reports[0]["end"] == "auth-failed"
        assert "does not authenticate here" in listen.reports[0]["error"]
        assert listen.reports[0]["bytes_in"] == 0


def test_a_proof_implies_encryption(wire: Wire, port: int, psk: Path) -> None:
    """A peer without ENO is refused before a byte is sent."""
    plain = wire.b.socket()
    with plain:
        plain.bind((wire.b.ip4, port))
        plain.listen()
        with connect(wire, port, "--psk-file", psk) as command:
            assert command.ended() == 1
            assert not command.reports[0]["encrypted"]
            assert "encryption is required" in command.reports[0]["error"]


def test_identities(wire: Wire, port: int, tmp_path: Path) -> None:
    """Pinned on first use, told by name; afterwards another key is refused."""
    paths = {
        role: saved(tmp_path / role.value, openssh(key)) for role, key in IDENTITIES.items()
    }
    authorized, known = both_known(tmp_path / "authorized"), tmp_path / "known_hosts"
    mine = ["--identity", paths[Role.A], "--known-hosts", known]
    place = f"[{wire.b.ip4}]:{port}"
    serving = ["--echo", "--once", "--known-hosts", authorized, "--identity"]
    for first_use in True, False:
        with Listen(wire.b, port, *serving, paths[Role.B]) as listen:
            words = ["--trust-on-first-use"] if first_use else []
            with connect(wire, port, *mine, *words) as command:
                command.type(MARKER, end=True)
                assert command.ended() == listen.ended() == 0, command
                assert command.output == MARKER
            told, heard = command.reports[0], listen.reports[0]
            assert told["authenticated"] == {
                "method": "ed25519", "name": place, "first_use": first_use,
                "fingerprint": fingerprint(PUBLIC[Role.B]),
            }  # fmt: skip
            assert heard["authenticated"]["name"] == "a.example"
    stranger = saved(tmp_path / "stranger", openssh(STRANGER))
    with (
        Listen(wire.b, port, *serving, stranger) as listen,
        connect(wire, port, *mine, "--trust-on-first-use") as command,
    ):
        command.type(MARKER, end=True)
        assert command.ended() == listen.ended() == 1 and not command.output
        assert command.reports[0]["end"] == listen.reports[0]["end"] == "auth-failed"
        assert f"{known}, line 1: the key pinned for {place}" in command.reports[0]["error"]
