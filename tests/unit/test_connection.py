"""One tcpcrypt connection without I/O: stages joined (RFC 8548)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.test_handshake import Seeded

from pyeno import Aead, Config, Reason, Role
from pyeno._values import Outcome
from pyeno.constants import ECDHE
from pyeno.errors import (
    AuthenticationError,
    LocalProtocolError,
    NotEncryptedError,
    RemoteProtocolError,
    TruncationError,
)
from pyeno.events import DataReceived, EncryptionEnabled, EndOfStream
from pyeno.tcpcrypt.connection import Connection

TRANSCRIPT = bytes.fromhex("45032345040123")


def one(
    role: Role,
    config: Config | None = None,
    transcript: bytes = TRANSCRIPT,
    tep: int = 0x23,
) -> Connection:
    outcome = Outcome(Reason.NEGOTIATED, role, tep_byte=tep, transcript=transcript)
    return Connection(outcome, config or Config(), randomness=Seeded(ord(role.value)))


def pair(config: Config | None = None, tep: int = 0x23) -> tuple[Connection, Connection]:
    a, b = one(Role.A, config, tep=tep), one(Role.B, config, tep=tep)
    b.receive_data(a.data_to_send())
    a.receive_data(b.data_to_send())
    return a, b


@pytest.mark.rfc("8547:5-3", "8547:5.1-1", "8547:5.1-3", "8547:5.1-8", "8547:5.1-13")
def test_both_ends_have_the_session_id() -> None:
    a, b = one(Role.A), one(Role.B)
    for end in (a, b):
        with pytest.raises(NotEncryptedError):
            _ = end.session_id
        with pytest.raises(LocalProtocolError):
            end.send(b"too early")
    b.receive_data(a.data_to_send())
    a.receive_data(b.data_to_send())
    assert a.session_id == b.session_id
    assert len(a.session_id) == 33 and a.session_id[0] == 0x23
    assert isinstance(a.next_event(), EncryptionEnabled)


@pytest.mark.rfc("8547:4.8-1")
def test_an_altered_transcript_fails() -> None:
    """RFC 8547 section 4.8: altered SYN-form options never give a working connection."""
    a, b = one(Role.A), one(Role.B, transcript=bytes.fromhex("4504022345040123"))
    b.receive_data(a.data_to_send())
    a.receive_data(b.data_to_send())
    assert a.session_id != b.session_id
    b.receive_data(a.send(b"secret"))
    with pytest.raises(AuthenticationError):
        b.read(100)


@pytest.mark.parametrize("aead", list(Aead))
@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(1, 40), min_size=1, max_size=20))
@settings(max_examples=20)
def test_data_pass_both_ways_however_cut(aead: Aead, data: bytes, cuts: list[int]) -> None:
    a, b = pair(Config(aeads=(aead,), frame_size=50))
    for sender, receiver in ((a, b), (b, a)):
        stream = sender.send(data) + sender.send(b"", fin=True)
        got, at, turn = b"", 0, 0
        while at < len(stream):
            size = cuts[turn % len(cuts)]
            receiver.receive_data(stream[at : at + size])
            at, turn = at + size, turn + 1
            got += receiver.read(1000)
        while part := receiver.read(1000):
            got += part
        assert got == data and receiver.finished
        receiver.receive_eof()


@pytest.mark.parametrize("aead", list(Aead))
@pytest.mark.parametrize("tep", ECDHE, ids=hex)
def test_every_tep_with_every_aead(tep: int, aead: Aead) -> None:
    a, b = pair(Config(aeads=(aead,)), tep)
    assert a.session_id == b.session_id and a.session_id[0] == tep
    assert a.aead is b.aead is aead
    for sender, receiver in ((a, b), (b, a)):
        receiver.receive_data(sender.send(b"data" * 5000, fin=True))
        assert receiver.read(1 << 16) == b"data" * 5000
        receiver.receive_eof()


def test_events_for_sans_io_users() -> None:
    a, b = pair()
    b.receive_data(a.send(b"hello") + a.send(b"", fin=True))
    events = [b.next_event() for _ in range(3)]
    assert isinstance(events[0], EncryptionEnabled) and events[0].aead is b.aead
    assert events[1:] == [DataReceived(b"hello"), EndOfStream()]
    assert b.next_event() is None


@pytest.mark.rfc("8547:5-10", "8547:5-14", "8548:3.7-4", "8548:3.7-5")
def test_truncation_is_not_the_end_of_stream() -> None:
    """Section 3.7: end of file when and only when a frame with FINp came."""
    a, b = pair()
    frames = a.send(b"some data")
    b.receive_data(frames[:-1])
    assert b.read(100) == b"" and not b.finished
    with pytest.raises(TruncationError, match="incomplete frame"):
        b.receive_eof()
    b.receive_data(frames[-1:])
    assert b.read(100) == b"some data"
    with pytest.raises(TruncationError, match="FINp"):
        b.receive_eof()


def test_truncation_during_the_key_exchange() -> None:
    a, b = one(Role.A), one(Role.B)
    b.receive_data(a.data_to_send()[:20])
    with pytest.raises(TruncationError, match="20 bytes"):
        b.receive_eof()


def test_nothing_follows_fin() -> None:
    a, b = pair()
    b.receive_data(a.send(b"last", fin=True))
    with pytest.raises(LocalProtocolError, match="FINp"):
        a.send(b"more")
    assert b.read(100) == b"last"
    b.receive_data(b"\x00")
    with pytest.raises(RemoteProtocolError):
        b.read(100)


def test_rekeying_is_answered() -> None:
    """Section 3.8: the receiver raises its own generation and answers."""
    a, b = pair()
    a.rekey()
    b.receive_data(a.send(b"under the new key"))
    assert b.read(100) == b"under the new key"
    assert b.owes
    a.receive_data(b.data_to_send())
    assert (a.generation, b.generation) == (1, 1)
    assert a.read(100) == b"" and not a.owes
    b.receive_data(a.send(b"one way"))
    a.receive_data(b.send(b"the other"))
    assert (b.read(100), a.read(100)) == (b"one way", b"the other")


def test_rekeying_from_both_sides_at_once() -> None:
    """Both raise to 1; neither owes an answer."""
    a, b = pair()
    a.rekey()
    b.rekey()
    from_a, from_b = a.send(b"a"), b.send(b"b")
    a.receive_data(from_b)
    b.receive_data(from_a)
    assert (a.read(9), b.read(9)) == (b"b", b"a")
    assert not a.owes and not b.owes and a.generation == b.generation == 1


def test_rekeying_by_bytes() -> None:
    a, b = pair(Config(rekey_bytes=200))
    for turn in range(40):
        b.receive_data(a.send(bytes(100)))
        assert b.read(1000) == bytes(100)
        a.receive_data(b.data_to_send())
        assert a.read(1000) == b""
        assert a.generation == pytest.approx((turn + 1) * 120 / 240, abs=1.5)


@pytest.mark.rfc("8548:4.2.2-1")
def test_a_forged_rekey_bit_is_fatal() -> None:
    """The control byte is associated data (section 4.2.2)."""
    a, b = pair()
    frame = bytearray(a.send(b"data"))
    frame[0] |= 1
    b.receive_data(frame)
    with pytest.raises(AuthenticationError):
        b.read(100)
    assert b.generation == 0 and not b.owes


def test_no_answer_after_fin() -> None:
    a, b = pair()
    a.receive_data(b.send(b"", fin=True))
    a.rekey()
    b.receive_data(a.send(b"x"))
    assert b.read(10) == b"x"
    assert b.data_to_send() == b""


def test_wiped_connection_keeps_no_keys() -> None:
    a, b = pair()
    session_id = a.session_id
    a.wipe()
    assert a.session_id == session_id
    with pytest.raises(LocalProtocolError):
        a.send(b"x")
    assert session_id.hex() not in repr(a) and "generation 0" in repr(b)


def test_two_rekeys_before_one_answer() -> None:
    """Section 3.8: the answer catches up, with a frame for each generation."""
    a, b = pair()
    for data in b"one", b"two":
        a.rekey()
        b.receive_data(a.send(data))
        assert b.read(100) == data
    a.receive_data(b.data_to_send())
    assert a.read(100) == b"" and not a.owes
    assert a.generation == b.generation == 2
    a.receive_data(b.send(b"back"))
    assert a.read(100) == b"back"


def test_rekeying_twice_before_a_frame_is_rekeying_once() -> None:
    """Section 3.8: a generation that no frame announced would be lost on the peer."""
    a, b = pair()
    a.rekey()
    a.rekey()
    b.receive_data(a.send(b"x"))
    assert b.read(100) == b"x" and a.generation == 1


def test_a_rekey_not_yet_announced_is_so_by_the_answer() -> None:
    """Section 3.9: a probe is answered at once, also where a rekey of one's own waits."""
    a, b = pair()
    b.rekey()
    for generation in 1, 2:
        a.rekey()
        b.receive_data(a.send(b""))
        assert b.read(100) == b"" and b.owes
        a.receive_data(b.data_to_send())
        assert a.read(100) == b"" and not a.owes
        assert a.generation == b.generation == generation


def test_sending_alone_rekeys_on() -> None:
    """Section 3.8: with data to send no answer is waited for."""
    a, b = pair(Config(rekey_bytes=200))
    for _ in range(40):
        b.receive_data(a.send(bytes(100)))
        assert b.read(1000) == bytes(100)
    assert a.generation == 19
    a.receive_data(b.data_to_send())
    assert a.read(10) == b"" and b.generation == 19


def test_one_key_in_use_does_not_save_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    a, _ = pair()
    assert a._keys is not None
    keys = a._keys

    class InUse:
        def wipe(self) -> None:
            raise LocalProtocolError("busy")

    monkeypatch.setattr(a, "_keys", keys._replace(sealer=InUse()))  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError, match="busy"):
        a.wipe()
    with pytest.raises(LocalProtocolError, match="wiped"):
        keys.opener.read(1)
