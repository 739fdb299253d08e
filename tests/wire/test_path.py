"""pyeno to pyeno over paths that mistreat ENO and tcpcrypt (RFC 8547 sections 4.6, 4.8, 9)."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from wire import middlebox_hooks as hooks
from wire.conftest import Attached
from wire.crossing import MARKER, Crossing, crossing
from wire.middlebox import Hook, Middlebox
from wire.rfcpeer_packet import URG, Segment

from pyeno import Config, Reason
from pyeno.errors import AuthenticationError, HandshakeTimeoutError, RemoteProtocolError

pytestmark = pytest.mark.wire

OFFER, ANSWER, NON_SYN = (bytes.fromhex(h) for h in ("450323", "45040123", "4502"))
REPLY = MARKER[::-1]
SYN_LOST = Reason.SYN_WITHOUT_ENO
ANSWER_LOST = Reason.SYN_ACK_WITHOUT_ENO
ACK_LOST = Reason.ACK_WITHOUT_ENO


@pytest.fixture(scope="module")
def box(attached: Attached) -> Iterator[Middlebox]:
    with Middlebox() as made:
        yield made


def encrypted(cross: Crossing, a_said: bytes = MARKER, b_said: bytes = REPLY) -> None:
    """Both ends agree, all data came, none of it in the clear."""
    a, b = cross.both()
    assert a.error is b.error is a.sending_error is b.sending_error is None, (a, b)
    assert (bytes(a.data), bytes(b.data)) == (b_said, a_said)
    assert a.eno.session_id == b.eno.session_id
    assert a.eno.transcript == b.eno.transcript == OFFER + ANSWER
    assert MARKER not in cross.payload("right") and REPLY not in cross.payload("left")


def plain(cross: Crossing, a_reason: Reason, b_reason: Reason) -> None:
    """Both ends know that encryption is disabled, and TCP goes on without it."""
    a, b = cross.both()
    assert a.error is b.error is a.sending_error is b.sending_error is None, (a, b)
    assert (bytes(a.data), bytes(b.data)) == (REPLY, MARKER)
    assert (a.eno.reason, b.eno.reason) == (a_reason, b_reason)
    assert cross.payload("right") == MARKER and cross.payload("left") == REPLY


@pytest.mark.rfc("8547:4.6-13", "8548:3.2-10")
@pytest.mark.parametrize("family", "46")
def test_straight(box: Middlebox, family: str) -> None:
    """RFC 8547 figure 9 on both kernels' own segments."""
    with crossing(box, family=family) as cross:
        encrypted(cross)
        first = [s.eno for s in cross.segments()[:3]]
        assert first == [[OFFER], [ANSWER], [NON_SYN]]


STRIPPED: dict[str, tuple[Hook, Reason, Reason]] = {
    "SYN: figure 10, cause 4": (hooks.strip_eno("syn"), ANSWER_LOST, SYN_LOST),
    "SYN-ACK: figure 11": (hooks.strip_eno("syn-ack"), ANSWER_LOST, ACK_LOST),
    "everywhere": (hooks.strip_eno("all"), ANSWER_LOST, SYN_LOST),
    "echoed": (hooks.echo_syn_eno(), Reason.SAME_ROLE, ACK_LOST),
    "doubled in the SYN": (
        hooks.duplicate_eno("syn"), ANSWER_LOST, Reason.REPEATED_OPTION,
    ),
    "doubled in the SYN-ACK": (
        hooks.duplicate_eno("syn-ack"), Reason.REPEATED_OPTION, ACK_LOST,
    ),
    "made vacuous": (hooks.replace_eno("syn", b"\x45\x02"), ANSWER_LOST, Reason.VACUOUS),
    "made ill-formed": (
        hooks.replace_eno("syn-ack", b"\x45\x05\x01\x80\x23"),
        Reason.LENGTH_BYTE_NOT_BEFORE_TEP, ACK_LOST,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STRIPPED)
def test_fallback(box: Middlebox, name: str) -> None:
    """RFC 8547 section 4.6: disable on both sides, "fall back to unencrypted TCP"."""
    hook, a_reason, b_reason = STRIPPED[name]
    with crossing(box, hook) as cross:
        plain(cross, a_reason, b_reason)
        assert not any(s.eno for s in cross.segments() if not s.syn)


@pytest.mark.parametrize("what", ["echoes", "speaks first", "is silent"])
def test_stripped_ack(box: Middlebox, what: str) -> None:
    """RFC 8547 section 9, the second type: A encrypts, B does not.

    Nothing can tell B that the bytes it gets are Init1, so A has to notice that no Init2
    comes: it aborts, before a byte of its application's data was sent.
    """
    say = MARKER, (REPLY if what == "speaks first" else b"")
    config = Config(handshake_timeout=0.5)
    hook, echo = hooks.strip_eno("ack"), what == "echoes"
    with crossing(box, hook, a_config=config, say=say, ends=False, echo=echo) as cross:
        a, b = cross.both()
        if what == "is silent":
            assert type(a.error) is HandshakeTimeoutError
        else:
            assert type(a.error) is RemoteProtocolError
            assert "does not speak tcpcrypt" in str(a.error)
        assert b.eno.reason is ACK_LOST and b.data[:4] == bytes.fromhex("15101a0e")
        assert MARKER not in cross.payload("right") and not a.data
        cross.wait_rst()
        assert isinstance(b.error, ConnectionResetError)


TAMPERED = {
    "explicit global": hooks.replace_eno("syn", bytes.fromhex("45040023")),
    "unknown TEP added": hooks.replace_eno("syn", bytes.fromhex("45047723")),
    "a bit set": hooks.replace_eno("syn", bytes.fromhex("45040223")),
    "z bits in the answer": hooks.replace_eno("syn-ack", bytes.fromhex("45041d23")),
    "unknown TEP in the answer": hooks.replace_eno("syn-ack", bytes.fromhex("4505017723")),
}


@pytest.mark.rfc("8547:4.8-1")
@pytest.mark.parametrize("name", TAMPERED)
def test_tampered_option(box: Middlebox, name: str) -> None:
    """RFC 8547 section 4.8: altered options are in the transcript, so no frame opens."""
    with crossing(box, TAMPERED[name], ends=False) as cross:
        a, b = cross.both()
        assert AuthenticationError in (type(a.error), type(b.error)), (a.error, b.error)
        assert a.error is not None and b.error is not None
        assert a.data == b.data == b""
        cross.wait_rst()
        assert MARKER not in cross.payload("right")


def nth_data(direction: str, *numbers: int) -> hooks.When:
    return hooks.nth(hooks.moving(direction, hooks.kind("data")), set(numbers))


def nth_of(name: str, *numbers: int) -> hooks.When:
    return hooks.nth(hooks.kind(name), set(numbers))


LOSSES: dict[str, Callable[[], Hook]] = {
    "SYN lost": lambda: hooks.drop(nth_of("syn", 1)),
    "SYN-ACK lost": lambda: hooks.drop(nth_of("syn-ack", 1)),
    "ACK lost": lambda: hooks.drop(nth_of("ack", 1)),
    "ACK and Init1 lost": lambda: hooks.drop(nth_of("ack", 1, 2)),
    "Init1 lost": lambda: hooks.drop(nth_data("right", 1)),
    "Init2 lost": lambda: hooks.drop(nth_data("left", 1)),
    "all doubled": lambda: hooks.duplicate(hooks.kind("all"), 2),
    "SYN-ACK doubled": lambda: hooks.duplicate(hooks.kind("syn-ack"), 3),
    "frames overtake": lambda: hooks.reorder(nth_data("right", 1, 2), 0.03),
    "ACK overtaken by Init1": lambda: hooks.delay(nth_of("ack", 1), 0.03),
    "everything late": lambda: hooks.delay(hooks.kind("all"), 0.01),
}


@pytest.mark.rfc("8547:4.6-7")
@pytest.mark.parametrize("name", LOSSES)
def test_rough_path(box: Middlebox, name: str) -> None:
    """RFC 8547 section 4.6: "MUST NOT alter SYN-form ENO options in retransmitted segments"."""
    with crossing(box, LOSSES[name]()) as cross:
        encrypted(cross)
        syns = [s for s in cross.segments() if s.syn and not s.has_ack]
        answers = [s for s in cross.segments() if s.syn and s.has_ack]
        assert all(s.eno == [OFFER] for s in syns) and all(s.eno == [ANSWER] for s in answers)
        assert len(syns) + len(answers) > 2 or name not in ("SYN lost", "SYN-ACK lost")
        assert all(s.eno in ([], [NON_SYN]) for s in cross.segments() if not s.syn)


FLIPPED = {"Init1's nonce": ("right", 1, 8 * 20), "Init2's key": ("left", 1, -8 * 10)}
FLIPPED |= {"A's frame": ("right", 2, 8 * 10), "A's clen": ("right", 2, 8 * 2 + 2)}
FLIPPED |= {"B's frame": ("left", 2, 8 * 10), "B's tag": ("left", 2, -1)}


@pytest.mark.rfc("8547:5-2")
@pytest.mark.parametrize("name", FLIPPED)
def test_bit_flipped(box: Middlebox, name: str) -> None:
    """RFC 8548 sections 3.3, 3.6: abort with RST, nothing unauthenticated delivered."""
    direction, number, bit = FLIPPED[name]
    hook = hooks.flip(nth_data(direction, number), bit)
    with crossing(box, hook, ends=False) as cross:
        a, b = cross.both()
        cross.wait_rst()
        victim, other = (b, a) if direction == "right" else (a, b)
        if number == 1:  # both directions have other keys now, so either may be the first
            assert AuthenticationError in (type(a.error), type(b.error)), (a, b)
            assert a.data == b.data == b""
        else:
            assert type(victim.error) is AuthenticationError and victim.data == b"", victim
            assert isinstance(other.error, ConnectionResetError), other


@pytest.mark.parametrize("when", ["behind Init1", "amid frames"])
def test_reset_injected(box: Middlebox, when: str) -> None:
    """A forged RST, in the key exchange or after it, is a reset and no end of file."""
    early = when == "behind Init1"
    hook = hooks.reset(nth_of("ack", 1) if early else nth_data("right", 2))
    with crossing(box, hook, ends=not early) as cross:
        a, b = cross.both()
        assert ConnectionResetError in (type(b.error), type(b.sending_error)), b
        # who has sent Init1 hears no more of a host whose connection is gone
        assert isinstance(a.error, ConnectionResetError | TimeoutError) or not early, a


@pytest.mark.rfc("8547:5-15")
def test_urgent_flag(box: Middlebox) -> None:
    """RFC 8548 section 3.7: urgent data are announced inside frames; TCP's own URG flag is
    nobody's word, and must not take a byte out of the stream."""

    def urge(segment: Segment) -> Segment:
        return replace(segment, flags=segment.flags | URG, urgent=len(segment.payload) // 2)

    with crossing(box, hooks.edit(hooks.kind("data"), urge)) as cross:
        encrypted(cross)


def same_bytes_everywhere(segments: list[Segment]) -> int:
    """How many bytes were sent more than once; AssertionError if any ever differed."""
    stream: dict[int, int] = {}
    again = 0
    for segment in segments:
        for at, byte in enumerate(segment.payload, segment.seq):
            again += at in stream
            assert stream.setdefault(at % (1 << 32), byte) == byte
    return again


@pytest.mark.rfc("8548:3.6-5")
def test_lossy_path(box: Middlebox) -> None:
    """RFC 8548 section 3.6: 2 MiB intact through 5% loss; what is sent again is the same."""
    dice = random.Random(8548)
    loss = hooks.drop(lambda s, _: not s.syn and dice.random() < 0.05)
    data = dice.randbytes(2 << 20)
    with crossing(box, loss, say=(data, REPLY)) as cross:
        encrypted(cross, a_said=data)
        assert same_bytes_everywhere(cross.segments("right")) > 10_000
