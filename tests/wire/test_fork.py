"""Servers that fork: the keys of a connection belong to one process.

Two processes with the same keys would seal different frames at the same offset, which RFC 8548
section 3.6 forbids above all else ("MUST NOT ever transmit distinct frames with the same frame
ID value under the same encryption key").
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from wire.netns import Wire
from wire.pairs import dialled
from wire.programs import ROOT

pytestmark = pytest.mark.wire

# accept, then fork: the child serves, the parent closes its copy; or the parent has agreed on
# keys before it forks
SERVER = """
import os, sys, time, pyeno
host, how = sys.argv[1:]
with pyeno.create_server((host, 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    sock, _ = listener.accept()
    if how == "agreed":
        sock.do_handshake()
    else:
        time.sleep(0.2)  # Init1 is there, unread
    if os.fork() == 0:
        try:
            sock.settimeout(5)
            sock.sendall(b"from the child")
            sock.close()
        except BaseException as error:
            print(type(error).__name__, error, flush=True)
            sock.close()
        os._exit(0)
    if how == "agreed":
        os.wait()
        sock.sendall(b"from the parent")
    sock.close()
    if how != "agreed":
        os.wait()
"""


@contextmanager
def server(wire: Wire, how: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [
            *("ip", "netns", "exec", wire.b.name),
            *(sys.executable, "-c", SERVER, wire.b.ip4, how),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    with process:
        try:
            yield int(process.stdout.readline()), process
        finally:
            process.kill()


def test_child_serves(wire: Wire) -> None:
    """The parent's close() leaves the child's connection alone."""
    with server(wire, "untouched") as (port, _), dialled(wire, (wire.b.ip4, port)) as a:
        assert a.recv(100) == b"from the child" and a.recv(1) == b""
        assert a.eno.encrypted


def test_keys_stay_with_their_process(wire: Wire) -> None:
    """A child that inherited keys can neither send nor end the stream with them."""
    with server(wire, "agreed") as (port, process):
        with dialled(wire, (wire.b.ip4, port)) as a:
            assert a.recv(100) == b"from the parent" and a.recv(1) == b""
        assert process.stdout is not None
        said = process.stdout.read()
        assert said.startswith("LocalProtocolError") and "fork" in said
