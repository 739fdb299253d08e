"""docs/authentication.md: its examples run, its tables and figures are the code's."""

import inspect
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import scramp
import scramp.core
from unit.looped import Drive
from unit.played import listening, listening_port, pair
from unit.proving import IDENTITIES, PSK, SESSION_ID, both_known
from unit.test_auth_keys import openssh, saved
from unit.test_docs import quoted, rows, text

import pyeno
from pyeno import Role, auth
from pyeno.auth import KnownHosts, errors
from pyeno.auth.exchange import LABEL
from pyeno.auth.messages import MESSAGE_MAX, VERSION, Method, Type

DOCUMENT = "docs/authentication.md"
WORDS = "correct horse"


def defined() -> dict[str, Any]:
    """The document's functions, by name."""
    found: dict[str, Any] = {}
    for example in re.findall(r"```python\n(.*?)```", text(DOCUMENT), re.S):
        exec(compile(example, DOCUMENT, "exec"), found)  # noqa: S102
    return found


@pytest.fixture(name="examples", scope="module")
def _examples() -> dict[str, Any]:
    return defined()


@contextmanager
def meanwhile(call: Callable[..., Any], *arguments: Any) -> Iterator[list[Any]]:
    """What the call gave or raised, known once the block is left."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(call(*arguments))
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield results
    finally:
        thread.join()


@pytest.mark.usefixtures("negotiated")
def test_a_pre_shared_key(examples: dict[str, Any]) -> None:
    with listening() as listener, meanwhile(examples["receive"], listener, PSK) as got:
        examples["send"](listener.getsockname(), PSK, b"hello")
    assert got == [b"hello"]


@pytest.mark.usefixtures("negotiated")
def test_identities(examples: dict[str, Any], tmp_path: Path) -> None:
    paths = {
        role: saved(tmp_path / role.value, openssh(key)) for role, key in IDENTITIES.items()
    }
    authorized = both_known(tmp_path / "authorized")
    with listening() as listener:
        host, port = listener.getsockname()
        for first_use in True, False:
            call = examples["answer"], listener, paths[Role.B], authorized
            with meanwhile(*call) as answered:
                sock, peer = examples["call"](host, port, paths[Role.A], tmp_path / "pins")
            assert peer.first_use is first_use and peer.name == f"[{host}]:{port}"
            other, name = answered[0]
            assert name == "a.example"
            with sock, other:
                sock.sendall(b"hello")
                assert other.recv(10) == b"hello"


@pytest.mark.usefixtures("negotiated")
def test_asyncio(examples: dict[str, Any], drive: Drive) -> None:
    async def main() -> None:
        received: list[bytes] = []
        server = await pyeno.start_server(
            lambda *streams: examples["serve"](*streams, PSK, received), "127.0.0.1", 0
        )
        address = server.sockets[0].getsockname()
        listening_port[0] = address[1]
        await examples["send_async"](address, PSK, b"hello")
        server.close()
        await server.wait_closed()
        assert received == [b"hello"]

    drive(main)


@pytest.mark.usefixtures("negotiated")
def test_if_aware(examples: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    with pair() as (a, _):
        done = examples["authenticate_if_possible"](a, PSK)
    assert not done and done.why is auth.WhyNot.SELF_NOT_AWARE
    assert capsys.readouterr().out.startswith("not authenticated: this host did not set")


def lookup(user: str) -> Any:
    assert user == "joe"
    return scramp.ScramMechanism("SCRAM-SHA-256").make_auth_info(WORDS, iteration_count=4096)


@pytest.mark.usefixtures("negotiated")
def test_scram(examples: dict[str, Any]) -> None:
    """And the file goes on to carry what the application says."""
    with pair() as (a, b), a.makefile("rw") as near, b.makefile("rw") as far:
        with meanwhile(examples["check_log_in"], b, far, lookup) as done:
            examples["log_in"](a, near, "joe", WORDS)
        assert done == [None]
        print("hello", file=near, flush=True)
        assert far.readline() == "hello\n"


def without_binding(sock: pyeno.Socket, file: Any, user: str, password: str) -> None:
    """A client of SCRAM that knows nothing of bindings."""
    client = scramp.ScramClient(["SCRAM-SHA-256"], user, password)
    print(client.get_client_first(), file=file, flush=True)
    client.set_server_first(file.readline().rstrip())
    print(client.get_client_final(), file=file, flush=True)
    client.set_server_final(file.readline().rstrip())


@pytest.mark.usefixtures("negotiated")
@pytest.mark.parametrize("case", ["password", "role", "no binding"])
def test_scram_refuses(
    examples: dict[str, Any], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """A wrong password, the binding of the other role, none at all: reset."""
    log_in = without_binding if case == "no binding" else examples["log_in"]
    if case == "role":
        swapped = property(lambda self: self.of(self.role.opposite))
        monkeypatch.setattr(auth.ChannelBinding, "local", swapped)
    with pair() as (a, b), a.makefile("rw") as near, b.makefile("rw") as far:
        with meanwhile(examples["check_log_in"], b, far, lookup) as done:
            with pytest.raises((ConnectionError, scramp.ScramException)):
                log_in(a, near, "joe", "wrong" if case == "password" else WORDS)
            a.abort()
        assert isinstance(done[0], scramp.ScramException)
        with pytest.raises(OSError, match="Bad file descriptor"):
            b.send(b"more")


def test_by_hand(examples: dict[str, Any], tmp_path: Path) -> None:
    """Over any transport, with a binding of its own."""
    known = both_known(tmp_path / "known_hosts")
    near, far = socket.socketpair()

    def call(role: Role, sock: socket.socket, name: str | None) -> Any:
        binding = auth.ChannelBinding(role, SESSION_ID)
        pins = auth.Pins(known, name)
        return examples["authenticate_by_hand"](
            binding, IDENTITIES[role], pins, sock.sendall, sock.recv
        )

    with near, far, meanwhile(call, Role.B, far, "a.example") as done:
        assert call(Role.A, near, None).name == "b.example"
    assert done[0].name == "a.example"


def test_every_error_is_explained() -> None:
    defined = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__
        and issubclass(kind, errors.PeerNotAuthenticatedError)
        and kind is not errors.PeerNotAuthenticatedError
    }
    assert {quoted(row[0]).pop() for row in rows(DOCUMENT, "Errors")} == defined
    for name in ("KnownHostsError", "KeyFileError", "auth.PeerNotAuthenticatedError"):
        assert f"`{name}`" in text(DOCUMENT)


def test_the_example_file(tmp_path: Path) -> None:
    section = text(DOCUMENT).partition("### The file")[2]
    path = tmp_path / "known_hosts"
    path.write_text(section.split("```")[1].lstrip("\n"))
    path.chmod(0o600)
    assert [entry.name for entry in KnownHosts(path).entries()] == [
        "host.example",
        "10.69.0.2",
        "[host.example]:7000",
    ]


def test_the_messages() -> None:
    said = text(DOCUMENT).partition("## The messages")[2]
    table = {row[0]: int(row[1]) for row in rows(DOCUMENT, "The messages")}
    assert table == {kind.name: kind.value for kind in Type}
    assert f"longer than {MESSAGE_MAX} bytes" in said
    assert f"The version is {VERSION};" in said
    assert f'"{LABEL[:-1].decode()}" | 0x00' in said
    assert f"{Method.PSK.value} pre-shared key, {Method.ED25519.value} Ed25519" in said


def test_the_binding() -> None:
    shown = '"tcp-eno" | "A" or "B" | session ID'
    assert shown in text(DOCUMENT)
    assert auth.ChannelBinding(Role.B, b"ID").local == b"tcp-eno" + b"B" + b"ID"
