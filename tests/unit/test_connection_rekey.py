"""Rekeying and urgent data without I/O (RFC 8548 sections 3.7 to 3.9)."""

import pytest
from unit.test_connection import pair

from pyeno import Config
from pyeno.errors import LocalProtocolError, RemoteProtocolError
from pyeno.events import DataReceived, EndOfStream, Rekeyed, UrgentReceived
from pyeno.tcpcrypt import traffic
from pyeno.tcpcrypt.connection import Connection

EMPTY = 3 + 1 + 16


def exchange(a: Connection, b: Connection) -> None:
    """Whatever both owe, until nothing is owed; no data is expected."""
    while a.owes or b.owes:
        b.receive_data(a.data_to_send())
        assert b.read(9) == b""
        a.receive_data(b.data_to_send())
        assert a.read(9) == b""


@pytest.mark.rfc("8548:3.8-6", "8548:3.8-7")
def test_a_rekey_without_data_is_one_empty_frame() -> None:
    a, b = pair()
    a.rekey()
    assert a.owes and a.unanswered and (a.generation, a.remote_generation) == (1, 0)
    frame = a.data_to_send()
    assert len(frame) == EMPTY and frame[0] == 1 and not a.owes
    b.receive_data(frame)
    assert b.read(9) == b"" and b.remote_generation == 1 and not b.unanswered
    exchange(a, b)
    assert not a.unanswered and a.remote_generation == b.generation == 1


def test_data_may_carry_the_rekey() -> None:
    """Section 3.8: the first frame under the new keys has rekey = 1, and no other has."""
    a, b = pair()
    a.rekey()
    frame = a.send(b"data")
    assert frame[0] == 1 and not a.owes and a.data_to_send() == b""
    b.receive_data(frame + a.send(b" and more"))
    assert b.read(4) == b"data" and b.read(9) == b" and more"


@pytest.mark.rfc("8548:3.8-2", "8548:3.8-8", "8548:3.8-9")
def test_no_second_empty_rekey_before_the_answer() -> None:
    """Section 3.8: "MUST NOT initiate rekeying with an empty encryption frame more than
    once while its record of the remote generation number is less than its own"."""
    a, _ = pair()
    for _ in range(3):
        a.rekey()
        a.data_to_send()
        assert a.generation == 1 and not a.owes
    frame = a.send(b"with data, beyond")
    assert frame[0] == 1 and a.generation == 2
    a.rekey()
    assert not a.owes
    fin = a.send(b"", fin=True)
    assert fin[0] == 0 and a.generation == 2


@pytest.mark.rfc("8548:3.8-9")
def test_a_budget_spent_by_an_empty_frame_waits_too() -> None:
    a, b = pair(Config(rekey_bytes=1))
    first, second, third = a.send(b""), a.send(b""), a.send(b"")
    assert [frame[0] for frame in (first, second, third)] == [0, 1, 0]
    assert a.send(b"x")[0] == 1
    b.receive_data(first + second)
    assert b.read(9) == b"" and b.generation == 0
    a.receive_data(b.data_to_send())
    assert a.read(9) == b"" and (a.generation, a.remote_generation) == (2, 1)


@pytest.mark.parametrize("into", [False, True])
def test_one_call_s_data_go_under_as_many_keys_as_the_budget_says(into: bool) -> None:
    """A frame more than the budget at most, however much is given at once."""
    a, b = pair(Config(rekey_bytes=1000, frame_size=400))
    data, sealed = bytes(range(256)) * 40, b""
    if into:
        rest, out = memoryview(data), bytearray(1 << 15)
        while rest:
            taken, written = a.seal_into(out, rest, fin=True)
            rest, sealed = rest[taken:], sealed + out[:written]
    else:
        sealed = a.send(data, fin=True)
    # 3 frames of 420 bytes to a key
    assert a.generation == (len(data) - 1) // 1200
    b.receive_data(sealed)
    got = b""
    while part := b.read(1 << 16):
        got += part
    assert got == data and b.finished and b.remote_generation == a.generation


def test_both_rekey_at_once_without_data() -> None:
    a, b = pair()
    a.rekey()
    b.rekey()
    from_a, from_b = a.data_to_send(), b.data_to_send()
    a.receive_data(from_b)
    b.receive_data(from_a)
    assert a.read(9) == b.read(9) == b"" and not a.owes and not b.owes
    assert {a.generation, b.generation, a.remote_generation, b.remote_generation} == {1}


def test_no_rekey_after_fin() -> None:
    a, _ = pair()
    a.rekey()
    a.send(b"", fin=True)
    assert not a.owes
    with pytest.raises(LocalProtocolError, match="FINp"):
        a.rekey()


def test_a_storm_of_empty_rekeys_is_the_peers_error() -> None:
    """They cannot all have been initiated after an answer."""
    a, b = pair()
    assert a._keys is not None
    for _ in range(1000):
        a._keys._advance()
        b.receive_data(a._keys.sealer.seal(b""))
    with pytest.raises(RemoteProtocolError, match="3 times without an answer"):
        b.read(9)
    assert b.remote_generation == traffic.EMPTY_REKEYS_MAX + 1


def test_a_storm_that_waits_for_answers_goes_on() -> None:
    a, b = pair()
    for generation in range(1, 200):
        a.rekey()
        exchange(a, b)
        assert a.generation == b.generation == generation


def test_a_storm_with_data_is_answered_in_bounded_parts() -> None:
    """Allowed by section 3.8; the answers owed are a number, not frames in memory."""
    a, b = pair()
    for _ in range(1000):
        a.rekey()
        b.receive_data(a.send(b"x"))
        assert b.read(9) == b"x"
    sizes = []
    while b.owes:
        part = b.data_to_send()
        sizes.append(len(part))
        a.receive_data(part)
        assert a.read(9) == b""
    assert max(sizes) == traffic.ANSWERS_MAX * EMPTY and sum(sizes) == 1000 * EMPTY
    assert a.remote_generation == b.generation == 1000 and not a.unanswered


def test_what_proves_that_the_peer_is_alive() -> None:
    """Section 3.9: frames opened while nothing is unanswered."""
    a, b = pair()
    at = a.opened
    stale = b.send(b"sent before the probe")
    a.rekey()
    b.receive_data(a.data_to_send())
    a.receive_data(stale)
    assert a.read(99) and a.opened > at and a.unanswered
    assert b.read(9) == b""
    a.receive_data(b.data_to_send())
    assert a.read(9) == b"" and not a.unanswered


# -- urgent data ------------------------------------------------------------------


def test_urgent_data_in_one_frame() -> None:
    a, b = pair()
    b.receive_data(a.send(b"12345") + a.send(b"six!", urgent=True) + a.send(b"more"))
    assert b.read(99) == b"12345six" and b.urgent_index == b.read_index == 8
    assert b.urgent_byte == ord("!") and b.read(99) == b"!more"


@pytest.mark.parametrize("size", [1, 9, 10, 11, 29, 30])
def test_only_the_last_frame_is_urgent(size: int) -> None:
    a, b = pair(Config(frame_size=10))
    data = bytes(range(size))
    b.receive_data(a.send(data, urgent=True))
    got = b""
    while part := b.read(99):
        assert b.urgent_index in (None, size - 1)
        got += part
    assert got == data and b.urgent_index == size - 1


@pytest.mark.parametrize("size", [65515, 65516, 65517, 65518, 65519, 131032, 131033])
def test_urgent_data_of_the_greatest_frames(size: int) -> None:
    """The urgent field takes two bytes of the frame."""
    a, b = pair()
    b.receive_data(a.send(bytes(size), urgent=True))
    got = 0
    while part := b.read(1 << 17):
        got += len(part)
    assert (got, b.urgent_index) == (size, size - 1)


def test_urgent_data_across_a_rekey() -> None:
    a, b = pair()
    frames = a.send(b"old")
    a.rekey()
    frames += a.send(b"new!", urgent=True)
    a.rekey()
    b.receive_data(frames + a.send(b"newer"))
    b.open_ahead()
    assert b.awaited == 12 and (b.urgent_index, b.urgent_byte) == (6, ord("!"))
    assert b.peek(99) == b.read(99) == b"oldnew" and b.read(99) == b"!newer"


def test_events_of_urgent_data() -> None:
    a, b = pair()
    a.rekey()
    b.receive_data(a.send(b"plain") + a.send(b"ab!", urgent=True) + a.send(b"", fin=True))
    events = []
    while (event := b.next_event()) is not None:
        events.append(event)
    assert events[1:] == [
        Rekeyed(1),
        UrgentReceived(7),
        DataReceived(b"plainab"),
        DataReceived(b"!"),
        EndOfStream(),
    ]


def test_out_of_band_is_the_users_choice() -> None:
    a, b = pair()
    b.oob_inline = False
    b.receive_data(a.send(b"ab!", urgent=True) + a.send(b"c"))
    assert b.read(9) == b"ab" and b.read(9) == b"c" and not b.oob_inline
