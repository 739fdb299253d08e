"""Software nobody here wrote: curl, fetching through a relay that copies."""

import contextlib
import errno
import http.server
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from wire.netns import Namespace
from wire.redirecting import INTO, Relay, listen

pytestmark = pytest.mark.wire

BODY = bytes(range(256)) * 4096
PROXYLESS = ["env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin"]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)
        self.server.callers.append(self.client_address[:2])  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def served(namespace: Namespace, host: str) -> Iterator[http.server.ThreadingHTTPServer]:
    with listen(namespace, host) as listener:
        server = http.server.ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = listener
        server.callers = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def curl(
    namespace: Namespace, cgroup: Path, *words: str
) -> "Iterator[subprocess.Popen[bytes]]":
    assert shutil.which("curl"), "curl is missing: apt-get install curl"
    command = [*INTO, str(cgroup), "ip", "netns", "exec", namespace.name, *PROXYLESS]
    command += ["curl", "--silent", "--show-error", "--max-time", "16", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def copy(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(1 << 16):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("host", ["10.69.0.2", "fd69::2"])
def test_fetches(
    a: Namespace, b: Namespace, programs: Path, relay: Relay, tmp_path: Path, host: str
) -> None:
    """What curl reports of the connection is the far one."""
    shown = "%{local_ip} %{local_port} %{remote_ip} %{remote_port}"
    with served(b, host) as server, contextlib.ExitStack() as stack:
        port = server.socket.getsockname()[1]
        url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
        words = ["--output", str(tmp_path / "body"), "--write-out", shown, url]
        process = stack.enter_context(curl(a, programs, *words))
        held = relay.hold()
        far = stack.enter_context(a.socket(server.socket.family))
        far.connect(held.destination)
        local = far.getsockname()
        near = stack.enter_context(relay.let_in(held, local))
        back = threading.Thread(target=copy, args=[far, near])
        back.start()
        copy(near, far)
        back.join()
        names, complaint = process.communicate(timeout=16)
        assert (tmp_path / "body").read_bytes() == BODY, complaint
        assert names.decode().split() == [local[0], str(local[1]), host, str(port)]
        assert server.callers == [local[:2]]  # type: ignore[attr-defined]
        assert relay.quiet()


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        (errno.ECONNREFUSED, "refused"),
        (errno.EHOSTUNREACH, "No route to host"),
        (errno.ENETUNREACH, "Network is unreachable"),
    ],
)
def test_fails(a: Namespace, programs: Path, relay: Relay, error: int, complaint: str) -> None:
    """Exit status 7, and the reason in words."""
    with curl(a, programs, "--verbose", "http://10.69.0.2/") as process:
        relay.redirection.refuse(relay.hold(), error)
        _, said = process.communicate(timeout=16)
    assert process.returncode == 7
    assert complaint in said.decode()


def test_gives_up(a: Namespace, programs: Path, relay: Relay) -> None:
    with curl(a, programs, "--connect-timeout", "0.3", "http://10.69.0.2/") as process:
        held = relay.hold()
        process.communicate(timeout=16)
    assert process.returncode == 28
    assert relay.quiet() and relay.redirection.gave_up() == [held.cookie]
