"""The two ends that bench/relays.py measures with: plain sockets, as any program has them.

    relay_ends.py far PORT                 serve until killed
    relay_ends.py KIND HOST PORT AMOUNT    measure, print one JSON object

What a connection is for is said by its first byte.
"""

import contextlib
import json
import socket
import sys
import threading
import time

BULK, ECHO, HOLD = b"B", b"E", b"H"
WRITE = 256 << 10
READ = 256 << 10
DONE = b"!"
SETTLE_SECONDS = 0.5


def far(port: int) -> None:
    """An echo at once, so that new connections cost these ends little; all else in threads."""
    with socket.create_server(("", port), backlog=4096) as listener:
        held: list[socket.socket] = []
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            kind = sock.recv(1)
            if kind == ECHO:
                with sock:
                    sock.sendall(sock.recv(1))
            elif kind == HOLD:  # reads no more; gone with the other end
                sock.sendall(DONE)
                held.append(sock)
            else:
                threading.Thread(target=take, args=[sock], daemon=True).start()


def take(sock: socket.socket) -> None:
    """So many bytes as are announced."""
    with sock:
        left = int.from_bytes(sock.recv(8, socket.MSG_WAITALL), "big")
        buffer = bytearray(READ)
        while left > 0:
            got = sock.recv_into(buffer)
            if not got:
                return
            left -= got
        sock.sendall(DONE)


def dial(address: tuple[str, int]) -> socket.socket:
    sock = socket.create_connection(address, 60)
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def bulk(address: tuple[str, int], amount: int) -> dict[str, float]:
    """``amount`` bytes in writes of 256 KiB; done when the last has arrived."""
    data, writes = bytes(WRITE), max(1, amount // WRITE)
    with dial(address) as sock:
        sock.sendall(BULK + (writes * WRITE).to_bytes(8, "big"))
        begun = time.perf_counter()
        for _ in range(writes):
            sock.sendall(data)
        if sock.recv(1) != DONE:
            raise SystemExit("the stream ended too early")
        return {"per_second": writes * WRITE / (time.perf_counter() - begun)}


def connections(address: tuple[str, int], amount: int) -> dict[str, float]:
    """Connect, one byte echoed, close; one after another."""
    begun = time.perf_counter()
    for _ in range(amount):
        with dial(address) as sock:
            sock.sendall(ECHO + b"a")
            if sock.recv(1) != b"a":
                raise SystemExit("the stream ended too early")
    return {"per_second": amount / (time.perf_counter() - begun)}


def hold(address: tuple[str, int], amount: int) -> None:
    """One connection; so many idle ones; then as much sent over each as is taken.  Goes on
    from one state to the next whenever a line comes on standard input."""
    socks = []
    for _ in range(amount):
        socks.append(dial(address))
        socks[-1].sendall(HOLD)
        if socks[-1].recv(1) != DONE:
            raise SystemExit("the stream ended too early")
        if len(socks) == 1:
            tell("one")
    tell("idle")
    for _ in range(8):
        for sock in socks:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    sock.send(bytes(WRITE))
        time.sleep(SETTLE_SECONDS / 4)
    tell("active")


def tell(state: str) -> None:
    print(json.dumps(state), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    if sys.argv[1] == "far":
        far(int(sys.argv[2]))
    kind, where, many = sys.argv[1], (sys.argv[2], int(sys.argv[3])), int(sys.argv[4])
    if kind == "hold":
        hold(where, many)
    else:
        print(json.dumps({"bulk": bulk, "connections": connections}[kind](where, many)))
