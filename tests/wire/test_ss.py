"""`pyeno ss` on real connections: what the API says of them, seen from outside."""

import json
from contextlib import ExitStack
from typing import Any

import pytest
from wire.netns import Namespace, Wire
from wire.pairs import MARKER, dialled, pair, plain_listener, served
from wire.programs import NOBODY, Command, Listen

import pyeno
from pyeno.addresses import peer_name

pytestmark = pytest.mark.wire

SAME = ("encrypted", "reason", "tep", "role", "session_id", "resumed")


def listed(namespace: Namespace, *words: object, before: list[str] | None = None) -> Any:
    with Command(namespace, "ss", "--json", *words, before=before or []) as command:
        assert command.ended() == 0, command
        return json.loads(command.output)


def by_local(namespace: Namespace, *words: object) -> dict[str, dict[str, Any]]:
    return {one["local"]: one for one in listed(namespace, *words)["connections"]}


def assert_as_told(shown: dict[str, Any], sock: pyeno.Socket) -> None:
    told = sock.eno.as_dict()
    assert {name: shown[name] for name in SAME} == {name: told[name] for name in SAME}
    assert shown["peer"] == peer_name(sock.getpeername())


def test_two_connections(wire: Wire) -> None:
    """TEP, role, session ID and resumption are those of the API, at both ends."""
    p256 = pyeno.Config(teps=("p256",))  # type: ignore[arg-type]
    with ExitStack() as stack:
        pairs = [stack.enter_context(pair(wire)), stack.enter_context(pair(wire, p256, p256))]
        for end, host in enumerate((wire.a, wire.b)):
            shown = by_local(host)
            for sockets in pairs:
                assert_as_told(shown[peer_name(sockets[end].getsockname())], sockets[end])
        mine = by_local(wire.a, pairs[1][0].getpeername()[1])
        assert [one["tep"] for one in mine.values()] == ["0x21"]
        one, two = by_local(wire.a).values()
        assert one["session_id"] != two["session_id"]


def test_a_resumed_connection(wire: Wire) -> None:
    with Listen(wire.b, 6792, "--echo"):
        for resumed in (False, True):
            with dialled(wire, (wire.b.ip4, 6792)) as opened:
                opened.sendall(MARKER)
                assert opened.recv(len(MARKER))
                assert opened.eno.resumed is resumed
                for host, role in (wire.a, "A"), (wire.b, "B"):
                    (shown,) = by_local(host).values()
                    assert (shown["resumed"], shown["role"]) == (resumed, role)
                    assert shown["session_id"] == opened.eno.session_id.hex()


def test_plain_with_its_reason(wire: Wire) -> None:
    """ENO was tried: listed.  The peer's end, for which nobody asked: with --all."""
    with plain_listener(wire) as listener:
        address = listener.getsockname()
        with dialled(wire, address) as opened, listener.accept()[0]:
            (shown,) = by_local(wire.a).values()
            assert_as_told(shown, opened)
            assert shown["reason"] == "syn-ack-without-eno"
            assert by_local(wire.b) == {}
            (other,) = by_local(wire.b, "--all").values()
            assert (other["local"], other["reason"]) == (peer_name(address), "not-configured")


def test_listeners(wire: Wire) -> None:
    """With the TEPs they answer, most preferred first."""
    config = pyeno.Config(teps=("curve448", "p521"))  # type: ignore[arg-type]
    with served(wire, config) as encrypting, plain_listener(wire) as plain:
        mine, other = (peer_name(sock.getsockname()) for sock in (encrypting, plain))
        assert by_local(wire.b) == {}
        shown = by_local(wire.b, "--listening")
        assert set(shown) == {mine} and shown[mine]["peer"] is None
        assert set(by_local(wire.b, "-al")) == {mine, other}
        with Command(wire.b, "ss", "-l") as command:
            assert command.ended() == 0
            assert b"curve448,p521" in command.output


def test_programs_and_other_namespaces(wire: Wire) -> None:
    with Listen(wire.b, 6790, "--echo") as listen, dialled(wire, (wire.b.ip4, 6790)) as opened:
        opened.sendall(MARKER)
        assert opened.recv(len(MARKER))
        for name in wire.b.name, listen.process.pid:
            (shown,) = by_local(wire.a, "--netns", name, 6790).values()
            assert shown["processes"][0]["pid"] == listen.process.pid
            assert shown["session_id"] == opened.eno.session_id.hex()
    with Command(wire.a, "ss", "--netns", "nowhere") as command:
        assert command.ended() == 1
        assert "no network namespace nowhere" in command.complaints[-1]


def test_unprivileged(wire: Wire) -> None:
    """One's own connections, and how many were not to be looked at."""
    with (
        Listen(wire.b, 6791, "--echo", before=NOBODY) as listen,
        dialled(wire, (wire.b.ip4, 6791)) as opened,
        plain_listener(wire),  # this process's
    ):
        opened.sendall(MARKER)
        assert opened.recv(len(MARKER))
        seen = listed(wire.b, "-al", before=NOBODY)
        owners = [one["processes"][0]["pid"] for one in seen["connections"]]
        assert (owners, seen["unseen"]) == ([listen.process.pid], 1)
        (shown,) = listed(wire.b, before=NOBODY)["connections"]
        assert shown["session_id"] == opened.eno.session_id.hex()
