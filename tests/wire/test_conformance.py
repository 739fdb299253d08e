"""Statements of the RFCs that no other test shows by itself."""

import random

import pytest
from wire import middlebox_hooks as hooks
from wire.crossing import MARKER, crossing
from wire.middlebox import Middlebox
from wire.peering import Field, face
from wire.rfcpeer import EnoPeer
from wire.test_path import box as box
from wire.test_path import same_bytes_everywhere
from wire.test_syn_data import EARLY, _acknowledged, _serve

from pyeno import Config

pytestmark = pytest.mark.wire
EXPERIMENTS = {253, 254}


@pytest.mark.rfc("8547:4.7-10", "8547:4.7-11")
@pytest.mark.parametrize("teps", [(0x23, 0x77), (0x77, 0x23)], ids=["another's", "its own"])
def test_data_of_another_tep_are_discarded(field: Field, teps: tuple[int, ...]) -> None:
    """RFC 8547 section 4.7: the SYN TEP, the last one, "is not the negotiated TEP"; or is."""
    with _serve(field, "pyeno") as listener:
        peer = EnoPeer(field.host, source=field.theirs(), teps=teps)
        peer.plan.syn_data = EARLY
        peer.connect(listener.getsockname())
        assert peer.negotiated is not None and peer.negotiated.tep == 0x23
        assert _acknowledged(peer.conn) == {0}
        peer.conn.abort()


@pytest.mark.rfc("8547:11-2", "8547:11-4")
@pytest.mark.parametrize("role", "AB")
def test_option_69_alone(field: Field, role: str) -> None:
    """RFC 8547 section 11: never beside an experimental option in one segment."""
    with face(field, role) as facing:
        peer = facing.peer.handshake()
        assert peer.recv_exactly(len(MARKER)) == MARKER
        peer.finish()
        assert facing.end().error is None
        kinds = [[kind for kind, _ in s.decoded] for s in peer.conn.received]
        assert kinds[0].count(69) == 1
        assert not any(EXPERIMENTS.intersection(each) for each in kinds)


@pytest.mark.rfc("8548:3.8-10")
def test_what_is_sent_again_is_under_its_old_key(box: Middlebox) -> None:
    """RFC 8548 section 3.8: "regardless of the current local generation number"."""
    dice = random.Random(3810)
    loss = hooks.drop(lambda s, _: not s.syn and dice.random() < 0.05)
    data = dice.randbytes(2 << 20)
    config = Config(rekey_bytes=1 << 16)
    with crossing(box, loss, a_config=config, say=(data, MARKER)) as cross:
        a, b = cross.both()
        assert a.error is b.error is None, (a, b)
        assert b.data == data and a.data == MARKER
        assert a.eno.generation >= 6
        assert same_bytes_everywhere(cross.segments("right")) > 10_000
