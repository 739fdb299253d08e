"""Python programs that know nothing of ENO, launched by pyeno.inprocess, on the real wire."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wire import unaware
from wire.capture import Segment
from wire.netns import Wire
from wire.programs import Command
from wire.unaware import MARK, Program

from pyeno.bench.tls import certificate

pytestmark = pytest.mark.wire

STRIP = "tcp flags & (syn | ack) == syn reset tcp option 69"


@contextlib.contextmanager
def watched(wire: Wire) -> Iterator[list[Segment]]:
    """What crosses the cable meanwhile."""
    with wire.capture() as capture:
        yield capture.segments


def readable(segments: list[Segment]) -> bool:
    """Whether somebody on the way could read what the programs said."""
    return any(MARK[:24].encode() in segment.payload for segment in segments)


def address(wire: Wire, family: str) -> str:
    return wire.b.ip4 if family == "IPv4" else wire.b.ip6


def told(*program: object, **options: Any) -> str:
    """What a program says that ends well."""
    with Program(*program, **options) as one:  # type: ignore[arg-type]
        return one.said()


def refused(*program: object, **options: Any) -> tuple[int, str]:
    """Exit status and complaints of one that does not."""
    with Program(*program, **options) as one:  # type: ignore[arg-type]
        status, _, complaints = one.ended()
    return status, complaints


families = pytest.mark.parametrize("family", ["IPv4", "IPv6"])
loops = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


@families
def test_http(wire: Wire, family: str) -> None:
    """http.server and urllib, as they are in the standard library."""
    with Program(wire.b, unaware.HTTP_SERVER).ready(), watched(wire) as seen:
        assert told(wire.a, unaware.HTTP_CLIENT, address(wire, family)) == "whole\n"
    assert sum(len(s.payload) for s in seen) > 20000 * len(MARK)
    assert not readable(seen)


@pytest.mark.parametrize("aware", ["active", "passive"])
def test_http_at_one_end_only(wire: Wire, aware: str) -> None:
    server = Program(wire.b, unaware.HTTP_SERVER, eno=aware == "passive")
    with server.ready(), watched(wire) as seen:
        assert told(wire.a, unaware.HTTP_CLIENT, wire.b.ip4, eno=aware == "active") == "whole\n"
    assert readable(seen)


def test_http_with_the_option_stripped(wire: Wire) -> None:
    server = Program(wire.b, unaware.HTTP_SERVER)
    with wire.b.rules(STRIP), server.ready(), watched(wire) as seen:
        assert told(wire.a, unaware.HTTP_CLIENT, wire.b.ip4) == "whole\n"
    assert readable(seen)


def test_required_by_the_active_opener(wire: Wire) -> None:
    with Program(wire.b, unaware.HTTP_SERVER, eno=False).ready(), watched(wire) as seen:
        status, complaints = refused(wire.a, unaware.HTTP_CLIENT, wire.b.ip4, require=True)
    assert status == 1
    assert "encryption is required but was disabled: syn-ack-without-eno" in complaints
    assert not any(segment.payload for segment in seen)


def test_required_by_the_passive_opener(wire: Wire) -> None:
    with Program(wire.b, unaware.HTTP_SERVER, require=True).ready() as server:
        status, complaints = refused(wire.a, unaware.HTTP_CLIENT, wire.b.ip4, eno=False)
        assert status == 1 and "ConnectionResetError" in complaints
        assert told(wire.a, unaware.HTTP_CLIENT, wire.b.ip4) == "whole\n"
        assert "encryption is required but was disabled: syn-without-eno" in server.killed()[1]


@pytest.mark.parametrize("kind", ["TCPServer", "ThreadingTCPServer", "ForkingTCPServer"])
def test_socketserver(wire: Wire, kind: str) -> None:
    """Whichever process or thread handles a connection."""
    with Program(wire.b, unaware.LINES_SERVER, kind).ready(), watched(wire) as seen:
        same = told(wire.a, unaware.LINES_CLIENT, wire.b.ip4) == "alike\n"
    assert same == (kind != "ForkingTCPServer")
    assert not readable(seen)


@loops
@families
def test_asyncio(wire: Wire, loop: str, family: str) -> None:
    where = address(wire, family)
    with Program(wire.b, unaware.STREAMS_SERVER, loop, where).ready(), watched(wire) as seen:
        assert told(wire.a, unaware.STREAMS_CLIENT, loop, where) == "whole\n"
    assert not readable(seen)


@loops
@pytest.mark.parametrize("aware", ["active", "passive"])
def test_asyncio_at_one_end_only(wire: Wire, loop: str, aware: str) -> None:
    where = wire.b.ip4
    server = Program(wire.b, unaware.STREAMS_SERVER, loop, where, eno=aware == "passive")
    with server.ready(), watched(wire) as seen:
        assert (
            told(wire.a, unaware.STREAMS_CLIENT, loop, where, eno=aware == "active")
            == "whole\n"
        )
    assert readable(seen)


def test_select_is_told_the_truth(wire: Wire) -> None:
    """Nobody hangs: not the server, on Init messages of a connection that says nothing, nor
    the client, on bytes that were received and opened with others."""
    with Program(wire.b, unaware.SELECT_SERVER).ready() as server, watched(wire) as seen:
        assert told(wire.a, unaware.SELECT_CLIENT, wire.b.ip4) == "whole\n"
        server.ready()  # both connections ended as streams do, the unused one too
        server.ready()
    assert not readable(seen)


@pytest.fixture
def pem(tmp_path: Path) -> str:
    path = tmp_path / "certificate.pem"
    path.write_bytes(certificate())
    return str(path)


def test_tls_on_top(wire: Wire, pem: str) -> None:
    """STARTTLS over an encrypted connection: records inside frames."""
    with Program(wire.b, unaware.TLS_SERVER, pem).ready() as server, watched(wire) as seen:
        assert told(wire.a, unaware.TLS_CLIENT, wire.b.ip4, pem) == "layered\n"
        assert server.said() == ""
    assert not any(b"STARTTLS" in segment.payload for segment in seen)


def test_tls_where_the_peer_has_no_eno(wire: Wire, pem: str) -> None:
    with Program(wire.b, unaware.TLS_SERVER, pem, eno=False).ready() as server:
        assert told(wire.a, unaware.TLS_CLIENT, wire.b.ip4, pem) == "None\n"
        assert server.said() == ""


def test_tls_on_top_in_asyncio(wire: Wire, pem: str) -> None:
    with Program(wire.b, unaware.TLS_SERVER, pem).ready(), watched(wire) as seen:
        assert told(wire.a, unaware.TLS_STREAMS, wire.b.ip4, pem) == "whole\n"
    assert not any(b"STARTTLS" in segment.payload for segment in seen)


CHILDREN = """
import os, subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2]], check=True)
"""


def test_children_too(wire: Wire) -> None:
    """A Python program that it starts has it from the environment."""
    with Program(wire.b, unaware.HTTP_SERVER).ready(), watched(wire) as seen:
        assert told(wire.a, CHILDREN, unaware.HTTP_CLIENT, wire.b.ip4) == "whole\n"
    assert not readable(seen)


# a listener goes to worker processes; one of them is given a connection by fork
WORKERS = f"""
import multiprocessing, os, socket, sys
def work(listener):
    sock, _ = listener.accept()
    sock.sendall(sock.recv(100))
    sock.close()
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with socket.create_server(("", {unaware.PORT})) as listener:
        workers = [context.Process(target=work, args=[listener]) for _ in range(2)]
        for worker in workers:
            worker.start()
        print("ready", flush=True)
        for worker in workers:
            worker.join()
"""
SHORT_CLIENT = f"""
import socket, sys
for _ in range(2):
    with socket.create_connection((sys.argv[1], {unaware.PORT}), 10) as sock:
        sock.sendall(b"{MARK}")
        assert sock.recv(100) == b"{MARK}" and sock.recv(1) == b""
print("whole")
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(wire: Wire, tmp_path: Path, method: str) -> None:
    script = tmp_path / "workers.py"  # spawn imports it again
    script.write_text(WORKERS)
    run = f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
    if method != "fork":
        run = (
            f"import os, sys; x = sys.executable; os.execv(x, [x, {str(script)!r}, {method!r}])"
        )
    with Program(wire.b, run, method).ready() as server, watched(wire) as seen:
        assert told(wire.a, SHORT_CLIENT, wire.b.ip4) == "whole\n"
        server.said()
    assert not readable(seen)


LEFT_ALONE = f"""
import socket, sys, threading
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as listener:
    listener.settimeout(10)
    sock = socket.create_connection(listener.getsockname()[:2], 10)
    accepted, _ = listener.accept()  # one thread: a key exchange would never end
    sock.sendall(b"{MARK}")
    assert accepted.recv(100) == b"{MARK}"
    print(sock.eno.reason.slug, accepted.eno.reason.slug)
"""


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 8000), ("::ffff:127.0.0.1", 8000)])
def test_loopback_is_left_alone(wire: Wire, host: str, port: int) -> None:
    """Even if encryption is required: nothing leaves the host."""
    source = LEFT_ALONE
    if ":" in host:
        source = source.replace(
            "int(sys.argv[2])))", "int(sys.argv[2])), family=socket.AF_INET6)"
        )
        host = "::1"
    assert told(wire.a, source, host, port, require=True) == "not-configured not-configured\n"


def test_ports_of_secure_protocols_are_left_alone(wire: Wire) -> None:
    said = told(wire.a, LEFT_ALONE, wire.a.ip4, 8443, require=True)
    assert said == "not-configured not-configured\n"


FOREIGN = f"""
import socket, sys
class Own(socket.socket): pass
Own().connect((sys.argv[1], {unaware.PORT}))
"""
BYPASSES = f"""
import os, pickle, socket, sys, tempfile
sock = socket.create_connection((sys.argv[1], {unaware.PORT}), 10)
sock.sendall(b"GET / HTTP/1.0\\r\\n")
tries = {{
    "sendfile": lambda file: os.sendfile(sock.fileno(), file.fileno(), 0, 10),
    "fromfd": lambda file: socket.fromfd(sock.fileno(), sock.family, sock.type).send(b"x"),
    "detach": lambda file: sock.detach(),
    "dup": lambda file: sock.dup(),
    "pickle": lambda file: pickle.dumps(sock),
}}
with tempfile.TemporaryFile() as file:
    file.write(b"{MARK}")
    file.flush()
    for name, attempt in tries.items():
        try:
            attempt(file)
        except Exception as error:
            print(name, type(error).__name__)
    sock.sendfile(file)
    sock.sendall(b"\\r\\n\\r\\n")
while sock.recv(1 << 16): pass
"""


def test_foreign_socket_classes_are_refused_where_encryption_is_required(wire: Wire) -> None:
    with Program(wire.b, unaware.HTTP_SERVER).ready(), watched(wire) as seen:
        status, complaints = refused(wire.a, FOREIGN, wire.b.ip4, require=True)
        assert status == 1 and "Own, which is a socket class of its own" in complaints
        assert told(wire.a, FOREIGN, wire.b.ip4) == ""
    assert len([segment for segment in seen if segment.syn]) == 1


def test_what_would_go_round_the_encryption_is_refused(wire: Wire) -> None:
    with Program(wire.b, unaware.HTTP_SERVER).ready(), watched(wire) as seen:
        assert told(wire.a, BYPASSES, wire.b.ip4).split("\n")[:-1] == [
                "sendfile OSError", "fromfd LocalProtocolError", "detach LocalProtocolError",
                "dup LocalProtocolError", "pickle TypeError",
            ]  # fmt: skip
    assert not readable(seen)


def test_options_of_the_relay_are_refused(wire: Wire) -> None:
    for option in ("--stats", "--json", "--inbound-only", "--user=nobody", "--fail=closed"):
        with Command(
            wire.a, "run", "--in-process", option, "--", sys.executable, "-c", "pass"
        ) as command:
            assert command.ended() == 2
            assert "there is no relay with --in-process" in command.complaints[0]


def test_programs_that_cannot_be_launched(wire: Wire) -> None:
    """Said before anything was started."""
    for words, told in (
        (["/bin/true"], "not a Python program"),
        ([sys.executable, "-S", "-c", "print(1)"], "leave -S out"),
        (["/nowhere/python"], "no such program"),
    ):
        with Command(wire.a, "run", "--in-process", "--", *words) as command:
            assert command.ended() == 2 and not command.output
            assert told in command.complaints[0]


def test_a_port_more_is_left_alone(wire: Wire) -> None:
    words = [sys.executable, "-c", LEFT_ALONE, wire.a.ip4, 8000]
    with Command(
        wire.a, "run", "--in-process", "--require", "--skip-port", 8000, "--", *words
    ) as command:
        assert command.ended() == 0, command.complaints
        assert command.output == b"not-configured not-configured\n"


REPLACED = f"""
import socket, sys
class Own(socket.socket): pass
standard, socket.socket = socket.socket, Own
with socket.create_connection((sys.argv[1], {unaware.PORT}), 10) as sock:
    assert type(sock) is Own
print("whole")
"""


def test_programs_that_replace_the_class(wire: Wire) -> None:
    """As proxies do: then it is theirs, and plain."""
    with Program(wire.b, unaware.HTTP_SERVER).ready():
        assert told(wire.a, REPLACED, wire.b.ip4) == "whole\n"
