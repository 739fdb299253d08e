"""Simultaneous open (RFC 8547 sections 4.3 and 8.2, figure 12), with segments lost.

"If exactly one of them sets b = 1", encryption is negotiated; else it is plain TCP.
"""

import itertools
from collections.abc import Iterator

import pytest
from wire.conftest import Attached
from wire.crossing import MARKER, Side
from wire.middlebox import Middlebox
from wire.peering import TIMEOUT
from wire.rfcpeer import EnoPeer
from wire.rfcpeer_host import Host
from wire.simultaneous import Crossing, Loss, Losses, LossyLink
from wire.tun import Namespace, Tun

import pyeno
from pyeno import Config, Reason, Role

pytestmark = pytest.mark.wire

LOSSES: list[Losses] = [
    (),
    ("> syn 1",),
    ("< syn 1",),
    ("> syn 1", "< syn 1"),
    ("> syn 1", "> syn-ack 1"),
    ("< syn 1", "< syn-ack 1"),
    ("> syn-ack 1",),
    ("< syn-ack 1",),
    ("> syn-ack 1", "< syn-ack 1"),
    ("< syn 1", "> ack 1", "< ack 1"),
]
ROLES = [(True, False), (False, True), (False, False), (True, True)]
Case = tuple[bool, bool, Losses]
CASES: list[Case] = [(*roles, losses) for roles in ROLES for losses in LOSSES]
LEFT, RIGHT = 21000, 22000


def name(case: Case) -> str:
    left, right, losses = case
    return f"b={int(left)},{int(right)}:{'+'.join(losses) or 'nothing'}"


class Opened:
    """Both ends of one simultaneous open; each sends a marker of its own."""

    def __init__(self, box: Middlebox, number: int, case: Case) -> None:
        left, right = box.left4, box.right4
        ports = LEFT + number, RIGHT + number
        self.loss = Loss(case[2])
        self.said = MARKER, MARKER[::-1]
        self._ways = (
            (box.left, (left, ports[0]), (right, ports[1]), case[0]),
            (box.right, (right, ports[1]), (left, ports[0]), case[1]),
        )

    def start(self) -> None:
        self.sides = [self._side(*way) for way in zip(self._ways, self.said, strict=True)]

    def _side(
        self, way: tuple[Namespace, tuple[str, int], tuple[str, int], bool], say: bytes
    ) -> Side:
        namespace, source, target, role_b = way
        config = Config(role_b=role_b)
        return Side(
            lambda: namespace.call(
                lambda: pyeno.create_connection(target, 20, source, config=config)
            ),
            say, True, False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def opened(attached: Attached) -> Iterator[dict[Case, Opened]]:
    """All cases at once: each waits seconds for retransmissions."""
    with Middlebox() as box:
        found = {case: Opened(box, number, case) for number, case in enumerate(CASES)}
        losses = {LEFT + number: one.loss for number, one in enumerate(found.values())}
        box.hook = Crossing(box, losses)
        for one in found.values():
            one.start()
        yield found
        for one in found.values():
            for side in one.sides:
                side.close()


@pytest.mark.parametrize("case", CASES, ids=name)
def test_between_two_kernels(opened: dict[Case, Opened], case: Case) -> None:
    one = opened[case]
    left, right = (side.wait() for side in one.sides)
    assert left.error is right.error is None, (left, right)
    assert left.data == one.said[1] and right.data == one.said[0]
    assert one.loss.lost == len(case[2])
    if case[0] == case[1]:
        reasons = {left.eno.reason, right.eno.reason}
        plain = {Reason.SAME_ROLE, Reason.SYN_ACK_WITHOUT_ENO, Reason.ACK_WITHOUT_ENO}
        assert Reason.SAME_ROLE in reasons and reasons <= plain
        return
    assert left.eno.encrypted and right.eno.encrypted
    assert left.eno.role is (Role.B if case[0] else Role.A)
    assert right.eno.role is left.eno.role.opposite
    assert left.eno.session_id == right.eno.session_id
    assert left.eno.transcript == right.eno.transcript


# -- opposite a host that speaks by the RFC ------------------------------------------

THEIRS = [
    losses for losses in LOSSES if not any(s.startswith(("> ack", "< ack")) for s in losses)
]


@pytest.fixture(scope="module")
def lossy(attached: Attached) -> Iterator[tuple[LossyLink, Host]]:
    with Namespace() as namespace, Tun(namespace) as tun:
        link = LossyLink(tun)
        with Host(link) as host:
            yield link, host


_ports = itertools.count(23000)


@pytest.mark.rfc("8547:4.2-5", "8547:4.3-1")
@pytest.mark.parametrize("losses", THEIRS, ids=lambda losses: "+".join(losses) or "nothing")
@pytest.mark.parametrize("role_b", [False, True])
def test_opposite_an_rfc_only_host(
    lossy: tuple[LossyLink, Host], losses: Losses, role_b: bool
) -> None:
    link, host = lossy
    link.loss = Loss(losses)
    port = next(_ports)
    ours, theirs = (link.tun.kernel4, port), (link.tun.peer4, port + 1000)
    peer = EnoPeer(host, source=theirs[0], b=int(not role_b))
    peer.cross(ours, theirs[1])
    config = Config(role_b=role_b)
    side = Side(
        lambda: link.tun.namespace.call(
            lambda: pyeno.create_connection(theirs, 20, ours, config=config)
        ),
        MARKER, True, False,
    )  # fmt: skip
    try:
        peer.wait_open(2 * TIMEOUT).handshake(TIMEOUT)
        assert peer.recv_exactly(len(MARKER)) == MARKER
        peer.send(b"crossed")
        peer.finish()
        assert side.wait().data == b"crossed" and side.error is None, repr(side)
        assert side.eno.role is (Role.B if role_b else Role.A)
        assert side.eno.role.value != peer.role
        assert side.eno.session_id == peer.session_id
        options = {segment.eno[0] for segment in peer.conn.received if segment.syn}
        assert len(options) == 1, "a retransmission changed the option"
    finally:
        peer.conn.abort()
        side.close()


@pytest.mark.parametrize("both", [False, True], ids=["none-b", "both-b"])
def test_equal_roles_opposite_an_rfc_only_host(
    lossy: tuple[LossyLink, Host], both: bool
) -> None:
    link, host = lossy
    link.loss = Loss()
    port = next(_ports)
    ours, theirs = (link.tun.kernel4, port), (link.tun.peer4, port + 1000)
    peer = EnoPeer(host, source=theirs[0], b=int(both))
    peer.cross(ours, theirs[1])
    config = Config(role_b=both)
    side = Side(
        lambda: link.tun.namespace.call(
            lambda: pyeno.create_connection(theirs, 20, ours, config=config)
        ),
        MARKER, True, False,
    )  # fmt: skip
    peer.wait_open(TIMEOUT)
    assert not peer.encrypted
    assert peer.conn.recv_exactly(len(MARKER)) == MARKER
    peer.conn.close()
    assert side.wait().error is None and side.eno.reason is Reason.SAME_ROLE
    peer.conn.abort()
    side.close()
