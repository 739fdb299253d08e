"""The process whose memory test_memory.py looks through: one pyeno connection, or more.

    memory_subject.py ROLE ADDRESS PORT AEAD PRIVATE

ROLE A connects, B listens.  PRIVATE is a descriptor to read the ephemeral private
key from.  Standard input says what to do; each line is answered by one.  The kernel
kills it with SIGXFSZ if it writes as much as a byte to a file.
"""

import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator

import pyeno
from pyeno.tcpcrypt.agreement import Secret
from pyeno.tcpcrypt.system import SystemRandomness

REKEY_BYTES = 100_000


def given(descriptor: int, size: int) -> Secret:
    """A secret that has been nowhere else in this process."""
    buffer = bytearray(size)
    assert os.readv(descriptor, [buffer]) == size
    secret = Secret(buffer)
    buffer[:] = bytes(size)
    return secret


def openers(role: str, address: str, port: int, config: pyeno.Config) -> Iterator[pyeno.Socket]:
    """One connection after another, to or from the same address."""
    while role == "A":
        yield pyeno.create_connection((address, port), 8, config=config)
    with pyeno.create_server((address, port), config=config) as listener:
        print("listening", flush=True)
        while True:
            yield listener.accept()[0]


def opened(connections: Iterator[pyeno.Socket]) -> pyeno.Socket:
    sock = next(connections)
    sock.settimeout(8)
    sock.do_handshake()
    print("ready", flush=True)
    return sock


def obey(sock: pyeno.Socket, command: str, size: int) -> None:
    if command == "send":
        sock.sendall(bytes(size))
    elif command == "recv":
        while size:
            size -= len(sock.recv(size))
    elif command == "end":
        assert sock.recv(1) == b""
    elif command == "abort":
        try:
            sock.recv(1)
        except pyeno.AuthenticationError:
            return
        raise AssertionError("the frame was taken")
    elif command == "close":
        sock.close()
    elif command == "write":
        with tempfile.TemporaryFile(buffering=0) as file:
            file.write(b"x")


def write_no_file() -> None:
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def main() -> None:
    write_no_file()
    role, address, port, aead, private = sys.argv[1:]
    source = int(private)
    SystemRandomness.secret = lambda _, size: given(source, size)  # type: ignore[method-assign]
    config = pyeno.Config(aeads=(int(aead),), rekey_bytes=REKEY_BYTES)
    connections = openers(role, address, int(port), config)
    sock = opened(connections)
    for line in sys.stdin:
        command, size = line.split()
        if command == "open":
            sock = opened(connections)
        else:
            obey(sock, command, int(size))
            print("done", flush=True)


if __name__ == "__main__":
    main()
