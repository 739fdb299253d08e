"""The wire tests' own tools, against plain kernel sockets that know nothing of ENO."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from wire import middlebox_hooks as hooks
from wire.middlebox import Hook, Middlebox
from wire.rfcpeer import EnoPeer
from wire.rfcpeer_host import Host
from wire.rfcpeer_packet import ACK, PSH, SYN, Segment, decode
from wire.rfcpeer_plan import Plan
from wire.rfcpeer_tcp import Connection
from wire.tun import Namespace, Tun, missing_privilege

pytestmark = pytest.mark.wire
FAMILIES = ("4", "6")
MEGABYTE = os.urandom(1 << 20)


@pytest.fixture(scope="module", autouse=True)
def privileged() -> None:
    lack = missing_privilege()
    if lack is not None and os.environ.get("PYENO_WIRE") == "require":
        pytest.fail(lack)
    if lack is not None:
        pytest.skip(lack)


@pytest.fixture(scope="module")
def tun() -> Iterator[Tun]:
    with Namespace() as namespace, Tun(namespace) as device:
        yield device


@pytest.fixture
def host(tun: Tun) -> Iterator[Host]:
    with Host(tun) as made:
        yield made


def ends(tun: Tun, family: str) -> tuple[str, str]:
    """The kernel's and the peer's address."""
    return (tun.kernel4, tun.peer4) if family == "4" else (tun.kernel6, tun.peer6)


def kernel_echo(listener: socket.socket) -> threading.Thread:
    """Echo one connection until its end of file."""

    def serve() -> None:
        conn, _ = listener.accept()
        with conn, listener, contextlib.suppress(ConnectionError):
            while data := conn.recv(1 << 16):
                conn.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def kernel_client(namespace: Namespace, address: str, port: int, data: bytes) -> bytes:
    """What an echo server gives back for `data`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with namespace.kernel_socket(family) as sock:
        sock.settimeout(20)
        sock.connect((address, port))
        got: list[bytes] = []

        def collect() -> None:
            while part := sock.recv(1 << 16):
                got.append(part)

        thread = threading.Thread(target=collect)
        thread.start()
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        thread.join()
        return b"".join(got)


def test_sweep_after_a_crash() -> None:
    """A namespace whose process died without cleaning up goes with the next one made."""
    code = (
        f"import os, sys; sys.path.insert(0, {str(Path(__file__).parent.parent)!r});"
        "from wire.tun import Namespace; print(Namespace().name, flush=True); os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    left = Path("/run/netns") / done.stdout.strip()
    assert done.stdout and left.exists()
    with Namespace():
        assert not left.exists()


# -- the user-space TCP


@pytest.mark.parametrize("family", FAMILIES)
def test_active_open(tun: Tun, host: Host, family: str) -> None:
    kernel, peer = ends(tun, family)
    listener = tun.namespace.listen(kernel)
    server = kernel_echo(listener)
    conn = host.connect((kernel, listener.getsockname()[1]), source=peer)
    conn.send(MEGABYTE, fin=True)
    assert conn.recv_exactly(len(MEGABYTE), 20) == MEGABYTE
    assert conn.recv() == b""
    conn.wait_closed()
    server.join()


@pytest.mark.parametrize("family", FAMILIES)
def test_passive_open(tun: Tun, host: Host, family: str) -> None:
    _, peer = ends(tun, family)
    listener = host.listen(7)

    def echo() -> None:
        conn = listener.accept()
        while data := conn.recv():
            conn.send(data)
        conn.close()

    server = threading.Thread(target=echo)
    server.start()
    assert kernel_client(tun.namespace, peer, 7, MEGABYTE) == MEGABYTE
    server.join()


@pytest.mark.parametrize("family", FAMILIES)
def test_simultaneous_open(tun: Tun, host: Host, family: str) -> None:
    kernel, peer = ends(tun, family)
    with tun.namespace.kernel_socket(socket.AF_INET6 if family == "6" else socket.AF_INET) as s:
        s.settimeout(10)
        s.bind((kernel, 0))
        port = s.getsockname()[1]
        conn = host.start((kernel, port), source=peer, port=port, cross=True)
        s.connect((peer, port))
        host.wait_established(conn)
        s.sendall(b"crossed")
        assert conn.recv_exactly(7) == b"crossed"
        kinds = [seg.flags & (SYN | ACK) for seg in conn.received[:2]]
        assert kinds == [SYN, SYN | ACK]
        conn.close()
        assert s.recv(1) == b""
    conn.wait_closed()


def test_option_bytes_are_exact(tun: Tun, host: Host) -> None:
    plan = Plan(
        syn=bytes.fromhex("45032345032301"),
        ack=bytes.fromhex("4502"),
        later=bytes.fromhex("01fd0445"),
        mss=None,
    )
    listener = tun.namespace.listen(tun.kernel4)
    server = kernel_echo(listener)
    port = listener.getsockname()[1]
    conn = host.connect((tun.kernel4, port), source=tun.peer4, plan=plan)
    conn.send(b"ab", segment=1)
    conn.recv_exactly(2)
    conn.close()
    conn.wait_closed()
    server.join()
    options = [segment.options.rstrip(b"\0") for segment in conn.sent]
    assert options[0] == plan.syn
    assert conn.sent[0].eno == [b"\x45\x03\x23"] * 2
    assert options[1] == plan.ack  # the ACK of the handshake; no non-SYN segment seen yet
    assert options[-1] == plan.later
    pushed = [s.flags & PSH for s in conn.sent if s.payload]
    assert pushed == [0, PSH]
    assert conn.first_non_syn is not None


def test_syn_ack_option(tun: Tun, host: Host) -> None:
    """A function of the connection sees the SYN; a repeated SYN gets the same answer."""
    seen: list[Segment] = []

    def option(conn: object) -> bytes:
        assert isinstance(conn, Connection) and conn.remote_syn is not None
        seen.append(conn.remote_syn)
        return b"\x45\x04\x01\x23"

    listener = host.listen(7, Plan(syn_ack=option))
    with tun.namespace.kernel_socket() as s:
        s.connect((tun.peer4, 7))
        conn = listener.accept()
        assert conn.local_syn is not None and conn.local_syn.eno == [b"\x45\x04\x01\x23"]
        assert seen[0].mss == 1460 and not seen[0].eno
        conn.abort()
        with pytest.raises(ConnectionResetError):
            s.recv(1)
    listener.close()


def test_reset_and_refusal(tun: Tun, host: Host) -> None:
    with pytest.raises(ConnectionRefusedError):
        host.connect((tun.kernel4, 9), source=tun.peer4)
    with tun.namespace.kernel_socket() as s, pytest.raises(ConnectionRefusedError):
        s.connect((tun.peer4, 9))
    listener = host.listen(7)
    with tun.namespace.kernel_socket() as s:
        s.connect((tun.peer4, 7))
        conn = listener.accept()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    conn.wait_reset()
    with pytest.raises(ConnectionResetError):
        conn.recv()
    listener.close()


def test_small_receive_buffer(tun: Tun, host: Host) -> None:
    """The kernel closes its window; the sender waits, then goes on."""
    listener = tun.namespace.kernel_socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind((tun.kernel4, 0))
    listener.listen()
    conn = host.connect((tun.kernel4, listener.getsockname()[1]), source=tun.peer4)
    sock, _ = listener.accept()
    with listener, sock:
        sock.settimeout(10)
        conn.send(MEGABYTE[:40000], fin=True)
        with pytest.raises(TimeoutError):
            conn.flush(timeout=0.3)
        got = b""
        while part := sock.recv(1 << 16):
            got += part
    assert got == MEGABYTE[:40000]
    conn.wait_closed()


def test_kernel_peer_without_eno(tun: Tun, host: Host) -> None:
    """An EnoPeer towards a kernel without ENO falls back, and says why."""
    listener = tun.namespace.listen(tun.kernel4)
    server = kernel_echo(listener)
    peer = EnoPeer(host, source=tun.peer4).connect((tun.kernel4, listener.getsockname()[1]))
    assert (peer.encrypted, peer.reason) == (False, "missing")
    assert not any(s.eno for s in peer.conn.sent if not s.syn)
    peer.conn.send(b"plain", fin=True)
    assert peer.conn.recv_exactly(5) == b"plain"
    server.join()


# -- the middlebox


def echo_through(hook: Hook, family: str = "4", data: bytes = MEGABYTE) -> Middlebox:
    """Echo `data` between two kernels through `hook`; the closed box with its packets."""
    with Middlebox(hook) as box:
        address = box.right4 if family == "4" else box.right6
        listener = box.right.listen(address)
        port = listener.getsockname()[1]
        server = kernel_echo(listener)
        assert kernel_client(box.left, address, port, data) == data
        server.join()
    return box


@pytest.mark.parametrize("family", FAMILIES)
def test_middlebox_plain(family: str) -> None:
    box = echo_through(lambda packet, direction: [packet], family)
    assert box.segments("right")[0].flags & SYN
    assert all(len(p.packet) <= 1500 for p in box.packets), "no GSO packets"
    assert box.payload("right") == MEGABYTE


ROUGH: dict[str, Callable[[], Hook]] = {
    "drop": lambda: hooks.drop(hooks.nth(hooks.kind("data"), {1, 4, 30, 31, 90})),
    "drop-syn": lambda: hooks.drop(hooks.nth(hooks.kind("syn"), {1})),
    "delay": lambda: hooks.delay(hooks.kind("all"), 0.01),
    "reorder": lambda: hooks.reorder(hooks.nth(hooks.kind("data"), set(range(5, 90, 9)))),
    "duplicate": lambda: hooks.duplicate(hooks.kind("all")),
    "chain": lambda: hooks.chain(hooks.strip_eno(), hooks.duplicate(hooks.kind("data"))),
}


@pytest.mark.parametrize("name", ROUGH)
def test_middlebox_rough(name: str) -> None:
    box = echo_through(ROUGH[name](), data=MEGABYTE[:200_000])
    outs = {len(p.out) for p in box.packets}
    changed = {"drop": 0, "drop-syn": 0, "duplicate": 2, "chain": 2}.get(name)
    assert changed is None or changed in outs


def test_middlebox_flip_and_reset() -> None:
    with Middlebox(hooks.flip(hooks.moving("right", hooks.kind("data")), 9)) as box:
        listener = box.right.listen(box.right4)
        with listener, box.left.kernel_socket() as s:
            s.connect((box.right4, listener.getsockname()[1]))
            sock, _ = listener.accept()
            with sock:
                s.sendall(b"\0\0\0")
                assert sock.recv(9) == b"\0\x02\0"
                box.hook = hooks.reset(hooks.moving("right", hooks.kind("data")))
                s.sendall(b"last")
                with pytest.raises(ConnectionResetError):
                    while sock.recv(9):
                        pass


def test_hook_that_raises_is_heard() -> None:
    def hook(packet: bytes, direction: str) -> list[bytes]:
        raise ValueError("in the hook")

    with pytest.raises(ValueError, match="in the hook"), Middlebox(hook) as box:
        with box.left.kernel_socket(kind=socket.SOCK_DGRAM) as s:
            s.sendto(b"x", (box.right4, 9))
        box._thread.join(5)


# -- the hooks on single packets


def syn(options: str, flags: int = SYN) -> bytes:
    block = bytes.fromhex(options)
    return Segment("10.0.0.1", "10.0.0.2", 1000, 7, 5, flags=flags, options=block).encode()


def answer(options: str) -> bytes:
    block = bytes.fromhex(options)
    ends = "10.0.0.2", "10.0.0.1", 7, 1000
    return Segment(*ends, 9, 6, SYN | ACK, options=block).encode()


def options_of(packets: list[bytes]) -> str:
    (packet,) = packets
    segment = decode(packet)
    assert segment is not None, "a wrong checksum"
    return segment.options.hex()


def test_hooks_on_options() -> None:
    out, back = syn("020405b44503230000000000"), answer("020405b445040123")
    assert options_of(hooks.strip_eno("syn")(out, "right")) == "020405b40101010000000000"
    assert hooks.strip_eno("syn-ack")(out, "right") == [out]
    assert options_of(hooks.strip_eno("syn-ack")(back, "left")) == "020405b401010101"
    assert options_of(hooks.duplicate_eno("syn")(out, "right")) == "020405b44503234503230000"
    echo = hooks.echo_syn_eno()
    assert echo(out, "right") == [out]
    assert options_of(echo(back, "left")) == "020405b445032300"
    stamped = answer("080a45024502450245024502")
    assert options_of(hooks.strip_eno()(stamped, "left")) == "080a45024502450245020101"
    other = hooks.replace_eno("syn", b"\x45\x04\x02\x23")
    assert options_of(other(out, "right")) == "020405b445040223"


def test_wrong_checksum_is_no_segment() -> None:
    packet = bytearray(syn("45032300"))
    packet[-1] ^= 1
    assert decode(bytes(packet)) is None
