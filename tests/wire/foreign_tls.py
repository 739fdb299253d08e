"""TLS stacks that know nothing of pyeno, on a TCP connection whose ENO is negotiated by the
socket options alone.

The standard library's ``ssl`` takes the connection itself; OpenSSL's own programs are given
it through a Unix socket and two threads that copy.  Either is told the ALPN protocol name.
"""

import contextlib
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from wire.connect import listen, teps
from wire.netns import Namespace

from pyeno import kernel
from pyeno.constants import Role, State
from pyeno.tls.binding import protocol_name

PATIENCE = 10.0
ENO = teps("30")


def negotiated(sock: socket.socket, role: Role) -> str:
    """The ALPN name of this connection's ENO options, whose TEP is TLS."""
    result = kernel.result(sock)
    assert (result.state, result.tep_byte, result.role) == (State.ENCRYPTED, 0x30, role)
    return protocol_name(result.transcript).decode()


def opened(host: Namespace, address: tuple[str, int]) -> socket.socket:
    """A plain socket that opened an ENO connection."""
    sock = host.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    sock.settimeout(PATIENCE)
    ENO(sock)
    sock.connect(address)
    return sock


def listener(host: Namespace) -> socket.socket:
    return listen(host, host.ip4, ENO)


def standard(sock: socket.socket, role: Role, certificate: Path) -> ssl.SSLSocket:
    """TLS by the standard library over it; host A is the TLS client."""
    name = negotiated(sock, role)
    client = role is Role.A
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if client else ssl.PROTOCOL_TLS_SERVER)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([name])
    if not client:
        context.load_cert_chain(certificate)
    return context.wrap_socket(sock, server_side=not client, suppress_ragged_eofs=False)


class Program:
    """``openssl s_client`` or ``s_server``, whose connection is the ENO socket."""

    def __init__(self, words: Sequence[str]) -> None:
        self.output = bytearray()
        self.process = subprocess.Popen(
            ["openssl", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._told = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while part := os.read(self.process.stdout.fileno(), 1 << 16):
            with self._told:
                self.output += part
                self._told.notify_all()
        with self._told:
            self._told.notify_all()

    def wait(self, text: bytes) -> None:
        """Until it has said so."""
        with self._told:
            assert self._told.wait_for(lambda: text in self.output, PATIENCE), self.output

    def reached(self, address: tuple[str, int]) -> socket.socket:
        """A connection to it, once it accepts."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return socket.create_connection(address)
            except ConnectionRefusedError:
                assert time.monotonic() < until and self.process.poll() is None, self.output
                time.sleep(0.005)

    def type(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self._reader.join()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()


@contextlib.contextmanager
def program(
    sock: socket.socket, role: Role, certificate: Path, *more: str, name: str | None = ""
) -> Iterator[Program]:
    """OpenSSL's program over an ENO socket: s_client as host A, s_server as host B.

    ``name``: what it is told in the place of the connection's own; None: nothing.
    """
    right = negotiated(sock, role)
    words = [*([] if name is None else ["-alpn", name or right]), *more]
    with contextlib.ExitStack() as stack:
        gate = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        gate.settimeout(PATIENCE)
        address = gate.getsockname()
        where = f"127.0.0.1:{address[1]}"
        if role is Role.A:
            made = Program(["s_client", "-connect", where, *words])
            stack.callback(made.close)
            near = stack.enter_context(gate.accept()[0])
        else:
            gate.close()
            words += ["-cert", str(certificate), "-naccept", "1"]
            made = Program(["s_server", "-accept", where, *words])
            stack.callback(made.close)
            near = stack.enter_context(made.reached(address))
        copying = [
            threading.Thread(target=copy, args=way) for way in ((near, sock), (sock, near))
        ]
        for thread in copying:
            thread.start()
        try:
            yield made
        finally:
            for each in near, sock:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            for thread in copying:
                thread.join()


def copy(source: socket.socket, sink: socket.socket) -> None:
    """Bytes, then FIN, even for a RST: a killed program's socket sends either."""
    source.settimeout(None)
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
