"""Python programs that know nothing of ENO, launched in-process, in a namespace.

    with Program(wire.b, SERVER, 8000) as server, Program(wire.a, CLIENT, wire.b.ip4) as client:
        assert client.said() == "..."

A program says that it is ready by its first line of output.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from wire.netns import Namespace
from wire.programs import INHERITED, ROOT

PATIENCE = 20.0
PORT = 8000
MARK = "the plaintext that nobody on the way may see "


class Program:
    """``python -c SOURCE``; ``eno=False``: as it is, without pyeno."""

    def __init__(
        self,
        namespace: Namespace,
        source: str,
        *arguments: object,
        eno: bool = True,
        require: bool = False,
        tep: str | None = None,
        cwd: Path = ROOT,
        **environment: str,
    ) -> None:
        words = [sys.executable, "-c", source, *map(str, arguments)]
        if eno:
            policy = ["--require"] if require else []
            policy += ["--tep", tep] if tep else []
            launcher = [sys.executable, "-m", "pyeno", "run", "--in-process", *policy, "--"]
            words = launcher + words
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", namespace.name, *words],
            cwd=cwd, env=inherited | environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def ready(self) -> Self:
        """Once it has said something; AssertionError with its complaints if it ends first."""
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise AssertionError(self._process.communicate(timeout=PATIENCE)[1])
        return self

    def ended(self) -> tuple[int, str, str]:
        """Exit status, output, complaints."""
        out, complaints = self._process.communicate(timeout=PATIENCE)
        return self._process.returncode, out, complaints

    def said(self) -> str:
        """The output of a program that ended well."""
        status, out, complaints = self.ended()
        assert status == 0, complaints
        return out

    def killed(self) -> tuple[str, str]:
        """Output and complaints of a program that serves for ever."""
        self._process.kill()
        return self._process.communicate(timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.kill()
        self._process.communicate(timeout=PATIENCE)


# -- programs ---------------------------------------------------------------------------

HTTP_SERVER = f"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"{MARK}" * 20000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    import socket
    address_family = socket.AF_INET6
with Server(("", {PORT}), Handler) as server:
    print("ready", flush=True)
    server.serve_forever()
"""
HTTP_CLIENT = f"""
import sys, urllib.request
host = f"[{{sys.argv[1]}}]" if ":" in sys.argv[1] else sys.argv[1]
body = urllib.request.urlopen(f"http://{{host}}:{PORT}/", timeout=10).read()
assert body == b"{MARK}" * 20000, len(body)
print("whole")
"""
LINES_SERVER = f"""
import os, socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(b"%d " % os.getpid() + line)
class Server(getattr(socketserver, sys.argv[1])):
    allow_reuse_address = True
    daemon_threads = True
with Server(("", {PORT}), Handler) as server:
    print("ready", flush=True)
    server.serve_forever()
"""
LINES_CLIENT = f"""
import socket, sys
pids = []
for _ in range(2):
    sock = socket.create_connection((sys.argv[1], {PORT}), 10)
    with sock, sock.makefile("rwb") as file:
        for number in range(3):
            file.write(b"{MARK}%d\\n" % number)
            file.flush()
            answer = file.readline()
            assert answer.endswith(b"{MARK}%d\\n" % number), answer
        pids.append(answer.split()[0])
print("alike" if pids[0] == pids[1] else "different")
"""
STREAMS_SERVER = f"""
import asyncio, sys, uvloop
async def echo(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()
async def main():
    async with await asyncio.start_server(echo, sys.argv[2], {PORT}) as server:
        print("ready", flush=True)
        await server.serve_forever()
(asyncio.run if sys.argv[1] == "asyncio" else uvloop.run)(main())
"""
STREAMS_CLIENT = f"""
import asyncio, sys, uvloop
async def main():
    reader, writer = await asyncio.open_connection(sys.argv[2], {PORT})
    data = b"{MARK}" * 20000
    writer.write(data)
    writer.write_eof()
    assert await reader.read() == data
    writer.close()
    await writer.wait_closed()
    print("whole")
(asyncio.run if sys.argv[1] == "asyncio" else uvloop.run)(main())
"""
# a server as in many a tutorial: one thread, select(), blocking sockets
SELECT_SERVER = f"""
import select, socket
listener = socket.create_server(("", {PORT}))
socks = [listener]
print("ready", flush=True)
while True:
    for sock in select.select(socks, [], [])[0]:
        if sock is listener:
            socks.append(listener.accept()[0])
        elif data := sock.recv(10):
            sock.sendall(data)
        else:
            print("clean end", flush=True)
            sock.close()
            socks.remove(sock)
"""
# few bytes at a time, asking the kernel in each way whether there are more
SELECT_CLIENT = f"""
import select, selectors, socket, sys
idle = socket.create_connection((sys.argv[1], {PORT}))
sock = socket.create_connection((sys.argv[1], {PORT}))
poll = select.poll()
poll.register(sock, select.POLLIN)
epoll = select.epoll()
epoll.register(sock, select.EPOLLIN)
selector = selectors.DefaultSelector()
selector.register(sock, selectors.EVENT_READ)
waits = [
    lambda seconds: select.select([sock], [], [], seconds)[0],
    lambda seconds: poll.poll(seconds * 1000),
    lambda seconds: epoll.poll(seconds),
    lambda seconds: selector.select(seconds),
]
data = b"{MARK}" * 200
sock.sendall(data)
got = b""
while len(got) < len(data):
    assert waits[len(got) % 4](8), f"{{len(got)}} bytes, and no more to be seen"
    got += sock.recv(7)
assert got == data and not any(wait(0) for wait in waits)
idle.close()
sock.close()
print("whole")
"""
# TLS is begun in the middle of a connection, as SMTP, IMAP, LDAP and PostgreSQL do
TLS_SERVER = f"""
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
with socket.create_server(("", {PORT})) as listener:
    print("ready", flush=True)
    sock = listener.accept()[0]
    assert sock.recv(9) == b"STARTTLS\\n"
    sock.sendall(b"go\\n")
    with context.wrap_socket(sock, server_side=True) as tls:
        while data := tls.recv(5000):
            tls.sendall(data)
        tls.unwrap()
"""
TLS_CLIENT = f"""
import select, socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
sock = socket.create_connection((sys.argv[1], {PORT}), 10)
sock.sendall(b"STARTTLS\\n")
assert sock.recv(3) == b"go\\n"
with sock, context.wrap_socket(sock, server_hostname="bench") as tls:
    assert sock.fileno() == -1 and isinstance(tls, ssl.SSLSocket) and tls.version() == "TLSv1.3"
    data, got = b"{MARK}" * 5000, b""
    for at in range(0, len(data), 5000):
        tls.sendall(data[at : at + 5000])
        while len(got) < min(at + 5000, len(data)):
            assert tls.pending() or select.select([tls], [], [], 8)[0]
            got += tls.recv(777)
    assert got == data
    plain = tls.unwrap()
    assert plain.recv(10) == b""
print(getattr(tls, "_carrier", None) and tls._carrier.config and "layered")
"""
TLS_STREAMS = f"""
import asyncio, ssl, sys
async def main():
    reader, writer = await asyncio.open_connection(sys.argv[1], {PORT})
    writer.write(b"STARTTLS\\n")
    assert await reader.readexactly(3) == b"go\\n"
    context = ssl.create_default_context(cafile=sys.argv[2])
    await writer.start_tls(context, server_hostname="bench")
    data = b"{MARK}" * 5000
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    writer.close()
    print("whole")
asyncio.run(main())
"""
