"""Python programs that know nothing of ENO, in-process, where another TEP than tcpcrypt was
negotiated: what they see is the same."""

from collections.abc import Iterator
from typing import Any

import pytest
from wire import unaware
from wire.netns import Wire
from wire.plugin import having, pip_install
from wire.test_inprocess import SHORT_CLIENT, WORKERS, address, readable, refused, told, watched
from wire.unaware import PORT, Program

from pyeno.bench.tls import certificate

pytestmark = [pytest.mark.wire, pytest.mark.usefixtures("plugged")]
families = pytest.mark.parametrize("family", ["IPv4", "IPv6"])


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    where = tmp_path_factory.mktemp("site")
    pip_install(where, tmp_path_factory.mktemp("build"))
    with having(where):
        yield


@pytest.fixture(params=["tls", "example"])
def required(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options of both programs."""
    return {"require": True, "tep": request.param}


@families
def test_http(wire: Wire, family: str, required: dict[str, Any]) -> None:
    with Program(wire.b, unaware.HTTP_SERVER, **required).ready(), watched(wire) as seen:
        said = told(wire.a, unaware.HTTP_CLIENT, address(wire, family), **required)
    assert said == "whole\n" and not readable(seen)


@pytest.mark.parametrize("kind", ["TCPServer", "ThreadingTCPServer", "ForkingTCPServer"])
def test_socketserver(wire: Wire, kind: str, required: dict[str, Any]) -> None:
    server = Program(wire.b, unaware.LINES_SERVER, kind, **required)
    with server.ready(), watched(wire) as seen:
        same = told(wire.a, unaware.LINES_CLIENT, wire.b.ip4, **required) == "alike\n"
    assert same == (kind != "ForkingTCPServer") and not readable(seen)


@families
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_asyncio(wire: Wire, loop: str, family: str, required: dict[str, Any]) -> None:
    where = address(wire, family)
    server = Program(wire.b, unaware.STREAMS_SERVER, loop, where, **required)
    with server.ready(), watched(wire) as seen:
        assert told(wire.a, unaware.STREAMS_CLIENT, loop, where, **required) == "whole\n"
    assert not readable(seen)


def test_select_is_told_the_truth(wire: Wire, required: dict[str, Any]) -> None:
    """select(), poll(), epoll and selectors, with data that were opened and not asked for
    yet, and a connection on which nothing is said."""
    with Program(wire.b, unaware.SELECT_SERVER, **required).ready() as server:
        assert told(wire.a, unaware.SELECT_CLIENT, wire.b.ip4, **required) == "whole\n"
        server.ready()
        server.ready()


def test_multiprocessing(wire: Wire, required: dict[str, Any]) -> None:
    with Program(wire.b, WORKERS, "fork", **required).ready() as server, watched(wire) as seen:
        assert told(wire.a, SHORT_CLIENT, wire.b.ip4, **required) == "whole\n"
        server.said()
    assert not readable(seen)


def test_tls_on_top(wire: Wire, tmp_path: Any, required: dict[str, Any]) -> None:
    """STARTTLS: records inside records."""
    pem = tmp_path / "certificate.pem"
    pem.write_bytes(certificate())
    with Program(wire.b, unaware.TLS_SERVER, pem, **required).ready() as server:
        assert told(wire.a, unaware.TLS_CLIENT, wire.b.ip4, pem, **required) == "layered\n"
        assert server.said() == ""


CLOSES = f"""
import socket, sys
if len(sys.argv) > 1:
    socket.create_connection((sys.argv[1], {PORT}), 10).close()
else:
    with socket.create_server(("", {PORT})) as listener:
        print("ready", flush=True)
        sock = listener.accept()[0]
        print(sock.recv(1))
"""


def test_closed_before_anything_was_said(wire: Wire, required: dict[str, Any]) -> None:
    """A stream that ends, not one that was cut off."""
    with Program(wire.b, CLOSES, **required).ready() as server:
        told(wire.a, CLOSES, wire.b.ip4, **required)
        assert server.said() == "b''\n"


@pytest.mark.parametrize(
    ("offered", "accepted", "chosen"),
    [
        ("tls", "curve25519,tls", "tls"),
        ("tls,curve25519", "curve25519", "curve25519"),
        ("tls", "example", None),
    ],
)
def test_different_sets(wire: Wire, offered: str, accepted: str, chosen: str | None) -> None:
    client = unaware.LINES_CLIENT + "print(sock.eno.tep_name)"
    server = Program(wire.b, unaware.LINES_SERVER, "ThreadingTCPServer", tep=accepted)
    with server.ready(), watched(wire) as seen:
        said = told(wire.a, client, wire.b.ip4, tep=offered)
        assert said == f"alike\n{chosen}\n"
    assert readable(seen) is (chosen is None)


def test_required_and_nothing_in_common(wire: Wire) -> None:
    with Program(wire.b, unaware.HTTP_SERVER, tep="curve25519").ready(), watched(wire) as seen:
        status, complaints = refused(
            wire.a, unaware.HTTP_CLIENT, wire.b.ip4, require=True, tep="tls"
        )
    assert status == 1 and "encryption is required but was disabled" in complaints
    assert not any(segment.payload for segment in seen)
