"""A sample of the small world's pairs, by Linux's own TCPs on both ends
(RFC 8547 sections 4.2-4.6, 4.8; the complete product: tests/unit/test_small_world.py)."""

import contextlib
import errno
import random
import socket
import struct
from collections import Counter
from collections.abc import Iterator

import pytest
from wire.held import await_crossed, held
from wire.netns import Wire
from wire.small_world import End, Ends, Side, crossed, drawn, three_way

from pyeno import kernel
from pyeno.constants import Reason

pytestmark = pytest.mark.wire

SEED = 8547
THREE_WAY, CROSSED, AT_ONCE = 1000, 500, 50
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close() resets, no port stays in TIME_WAIT
Pair = tuple[Side, Side]


@pytest.fixture(scope="module")
def bare(attached: object) -> Iterator[Wire]:
    """A cable whose SYNs have room: no timestamps, SACK or window scale."""
    with Wire() as wire:
        for end in (wire.a, wire.b):
            for name in ("timestamps", "sack", "window_scaling"):
                end.sysctl(f"net.ipv4.tcp_{name}", 0)
            # room for a batch of SYNs that wait for an address
            end.sysctl("net.ipv4.neigh.eth.unres_qlen_bytes", 1 << 20)
        yield wire


def world(count: int, simultaneous: bool) -> list[Pair]:
    """Of two active openers one mostly sends b = 1, or little would be encrypted."""
    pairs = []
    for number in range(count):
        draw = random.Random(f"{SEED} {simultaneous} {number}")
        b = draw.random() < (0.5 if simultaneous else 0.1)
        other_b = (not b if draw.random() < 0.8 else b) if simultaneous else True
        pairs.append((drawn(draw, False, b), drawn(draw, not simultaneous, other_b)))
    return pairs


Sockets = tuple[socket.socket, socket.socket]


@contextlib.contextmanager
def sockets(wire: Wire, count: int) -> Iterator[list[Sockets]]:
    """One at each end, all made in two visits to the namespaces."""
    with contextlib.ExitStack() as stack:
        ends = [
            end.inside(lambda: [stack.enter_context(socket.socket()) for _ in range(count)])
            for end in (wire.a, wire.b)
        ]
        for sock in (*ends[0], *ends[1]):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            sock.settimeout(8)
        yield list(zip(*ends, strict=True))


def opened(wire: Wire, pair: Pair, ends: Sockets) -> Ends:
    """One three-way handshake."""
    (active, passive), (a, listener) = pair, ends
    passive.configure(listener)
    listener.bind((wire.b.ip4, 0))
    listener.listen(1)
    active.configure(a)
    a.connect(listener.getsockname())
    with listener.accept()[0] as b:
        return End.of(kernel.result(a)), End.of(kernel.result(b))


def opened_at_once(wire: Wire, pairs: list[Pair]) -> list[Ends]:
    """Simultaneous opens, all at the same time."""
    with sockets(wire, len(pairs)) as ends:
        for sides, pair in zip(pairs, ends, strict=True):
            for host, side, sock in zip((wire.a, wire.b), sides, pair, strict=True):
                side.configure(sock)
                sock.bind((host.ip4, 0))
                sock.setblocking(False)
        with held(wire):
            for one, other in ends:
                for sock, to in ((one, other), (other, one)):
                    assert sock.connect_ex(to.getsockname()) == errno.EINPROGRESS
        await_crossed(sock for pair in ends for sock in pair)
        return [(End.of(kernel.result(a)), End.of(kernel.result(b))) for a, b in ends]


def differences(pairs: list[Pair], wanted: list[Ends], got: list[Ends]) -> list[str]:
    return [
        f"seed {SEED}, number {number}:\n  {pair}\n  must end {must}\n  ended {is_}"
        for number, (pair, must, is_) in enumerate(zip(pairs, wanted, got, strict=True))
        if must != is_
    ]


def reasons(ends: list[Ends]) -> Counter[Reason]:
    return Counter(end.reason for both in ends for end in both)


def test_three_way_handshakes(bare: Wire) -> None:
    pairs = world(THREE_WAY, simultaneous=False)
    wanted = [three_way(*pair) for pair in pairs]
    with sockets(bare, THREE_WAY) as made:
        got = [opened(bare, pair, ends) for pair, ends in zip(pairs, made, strict=True)]
    wrong = differences(pairs, wanted, got)
    assert not wrong, f"{len(wrong)} of {THREE_WAY} differ, the first:\n" + "\n".join(wrong[:3])
    # the sample has something of everything
    met = reasons(wanted)
    assert met[Reason.NEGOTIATED] > 200 and sum(ends[0].resumed for ends in wanted) > 20
    for reason in (
        Reason.SYN_WITHOUT_ENO, Reason.SYN_ACK_WITHOUT_ENO, Reason.ACK_WITHOUT_ENO,
        Reason.SAME_ROLE, Reason.PEER_NOT_AWARE, Reason.VACUOUS, Reason.NO_VALID_TEP,
        Reason.NO_ROOM,
    ):  # fmt: skip
        assert met[reason] > 5, met


def test_simultaneous_opens(bare: Wire) -> None:
    pairs = world(CROSSED, simultaneous=True)
    wanted = [crossed(*pair) for pair in pairs]
    got: list[Ends] = []
    for start in range(0, CROSSED, AT_ONCE):
        got += opened_at_once(bare, pairs[start : start + AT_ONCE])
    wrong = differences(pairs, wanted, got)
    assert not wrong, f"{len(wrong)} of {CROSSED} differ, the first:\n" + "\n".join(wrong[:3])
    met = reasons(wanted)
    assert met[Reason.NEGOTIATED] > 60 and sum(ends[0].resumed for ends in wanted) > 10
    for reason in (
        Reason.ACK_WITHOUT_ENO, Reason.SAME_ROLE, Reason.PEER_NOT_AWARE, Reason.VACUOUS,
        Reason.NO_VALID_TEP,
    ):  # fmt: skip
        assert met[reason] > 5, met
