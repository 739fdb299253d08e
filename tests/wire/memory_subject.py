"""The process whose memory test_memory.py looks through: one pyeno connection.

    memory_subject.py ROLE ADDRESS PORT TEP AEAD PRIVATE

ROLE A connects, B listens.  PRIVATE is a descriptor to read the ephemeral private
key from.  Standard input says what to do; each line is answered by one.
"""

import os
import sys

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


def opened(role: str, address: str, port: int, config: pyeno.Config) -> pyeno.Socket:
    if role == "A":
        return pyeno.create_connection((address, port), 8, config=config)
    with pyeno.create_server((address, port), config=config) as listener:
        print("listening", flush=True)
        return listener.accept()[0]


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


def main() -> None:
    role, address, port, tep, aead, private = sys.argv[1:]
    source = int(private)
    SystemRandomness.secret = lambda _, size: given(source, size)  # type: ignore[method-assign]
    config = pyeno.Config(teps=tep, aeads=aead, rekey_bytes=REKEY_BYTES)
    sock = opened(role, address, int(port), config)
    sock.settimeout(8)
    sock.do_handshake()
    print("ready", flush=True)
    for line in sys.stdin:
        command, size = line.split()
        obey(sock, command, int(size))
        print("done", flush=True)


if __name__ == "__main__":
    main()
