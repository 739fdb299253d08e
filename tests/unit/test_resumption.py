"""Connections that resume sessions, without I/O (RFC 8548 section 3.5)."""

from typing import Any

import pytest
from oracle import keys
from oracle.frames import Opener, Sealer, open_frame
from tcpcrypt_vectors import RESUMED, data_of, matches
from unit.test_connection import pair

from pyeno import Aead, Config, Role, negotiation, option
from pyeno._values import Outcome
from pyeno.errors import AuthenticationError, LocalProtocolError
from pyeno.events import EncryptionEnabled
from pyeno.tcpcrypt.agreement import Secret
from pyeno.tcpcrypt.connection import Connection
from pyeno.tcpcrypt.sessions import Session

VECTORS = {label: both for label, both in RESUMED.items() if "option_a" in both[1]}


def outcomes(a: Session, b: Session, nonces: tuple[bytes, bytes]) -> tuple[Outcome, Outcome]:
    """What the two SYNs lead to when ``a``'s host opens and both name their sessions."""
    of_a = option.encode([a.suboption(nonces[0])])
    of_b = option.encode([b.suboption(nonces[1])], global_suboption=1)
    return negotiation.negotiate(of_a, of_b), negotiation.negotiate(of_b, of_a)


def following(connection: Connection) -> Session:
    session = connection.next_session()
    assert session is not None
    return session


def resumed(
    a: Session,
    b: Session,
    config: Config | None = None,
    nonces: tuple[bytes, bytes] = (b"1", b"2"),
) -> tuple[Connection, Connection]:
    ends = []
    for outcome, session in zip(outcomes(a, b, nonces), (a, b), strict=True):
        connection = Connection(outcome, config or Config())
        assert not connection.established and not connection.owes
        connection.resume(session)
        assert connection.established and not connection.owes and session.ss.wiped
        ends.append(connection)
    return ends[0], ends[1]


def talk(a: Connection, b: Connection) -> None:
    """Both send before either receives."""
    from_a, from_b = a.send(b"from a"), b.send(b"from b")
    b.receive_data(from_a)
    a.receive_data(from_b)
    assert (a.read(99), b.read(99)) == (b"from b", b"from a")


@pytest.mark.parametrize("label", VECTORS)
def test_vectors(label: str) -> None:
    """Roles kept and swapped, each AEAD: the oracle's frames come out and go in."""
    handshake, vector = VECTORS[label]
    a, b = bytes.fromhex(vector["option_a"]), bytes.fromhex(vector["option_b"])
    for host, other, mine, theirs in (("a", "b", a, b), ("b", "a", b, a)):
        outcome = negotiation.negotiate(mine, theirs)
        connection = Connection(outcome, Config())
        original = Role(vector[f"host_{host}_original_role"])
        ss = Secret(bytes.fromhex(vector["ss"]))
        connection.resume(Session.named(outcome, handshake["aead"], original, ss))
        assert connection.session_id.hex() == vector["session_id"]
        assert connection.session_id[0] == 0x80 | handshake["tep"]
        assert connection.aead == handshake["aead"]
        for frame in vector[f"frames_from_{host}"]:
            if frame["urgent"] is not None:
                break  # all at once: not for this side to send
            if frame["rekey"]:
                connection.rekey()
            assert matches(connection.send(data_of(frame), fin=frame["fin"]), frame["frame"])
        for frame in vector[f"frames_from_{other}"]:
            connection.receive_data(bytes.fromhex(frame["frame"]))
            # a read ends before an urgent byte, the next one takes it
            data = connection.read(1 << 16)
            assert data + connection.read(1 << 16) == data_of(frame)
        assert connection.finished


@pytest.mark.rfc("8548:3.5-19", "8548:3.5-21", "8548:3.5-33")
@pytest.mark.parametrize("aead", list(Aead))
@pytest.mark.parametrize("swap", [False, True], ids=["roles kept", "roles swapped"])
def test_chains(aead: Aead, swap: bool) -> None:
    """i = 1, 2, 3: the AEAD and the directions of the first, another session ID each."""
    one, two = pair(Config(aeads=(aead,)))
    ids = {one.session_id}
    others = Config(aeads=[other for other in Aead if other is not aead])
    for turn in range(3):
        first, second = following(one), following(two)
        assert first.identifier == second.identifier
        assert (first.original_role, second.original_role) == (Role.A, Role.B)
        if swap and turn != 1:
            two, one = resumed(second, first, others)
            assert (one.role, two.role) == (Role.B, Role.A)
        else:
            one, two = resumed(first, second, others)
            assert (one.role, two.role) == (Role.A, Role.B)
        assert one.session_id == two.session_id and one.session_id not in ids
        assert one.session_id[0] == 0xA3 and one.aead is two.aead is aead
        event = one.next_event()
        assert event == EncryptionEnabled(one.session_id, aead)
        ids.add(one.session_id)
        talk(one, two)


def test_against_the_oracle() -> None:
    """The same chain as computed from the RFC alone."""
    one, two = pair()
    session = following(one)
    ss = session.ss.export()
    assert session.identifier == keys.resume_id(ss)
    theirs = keys.Session(0x23, int(session.aead), "B", 1, ss)
    assert (theirs.local_half, theirs.remote_half) == (session.remote_half, session.local_half)
    one, two = resumed(following(two), session, nonces=(b"b was B", b"a"))
    sn = theirs.sn(b"b was B", b"a")
    assert one.session_id == two.session_id == keys.session_id(0xA3, ss, sn)
    mk = keys.first_master_key(ss, sn)
    aead = int(session.aead)
    assert one.send(b"data") == Sealer(aead, mk, False, 0).seal(b"data")
    opener = Opener(aead, mk, True, 0)
    opener.feed(two.send(b"back"))
    assert opener.next().data == b"back"
    assert following(one).ss.export() == theirs.next().ss


def test_rekeying_in_a_resumed_session() -> None:
    """Section 3.8: generations follow the original role too."""
    a, b = pair()
    b, a = resumed(following(b), following(a), Config(rekey_bytes=200))
    for turn in range(10):
        for one, two in ((a, b), (b, a)):
            two.receive_data(one.send(bytes([turn]) * 100))
            assert two.read(1000) == bytes([turn]) * 100
            one.receive_data(two.data_to_send())
            assert one.read(10) == b""
    assert a.generation == b.generation == 4


def test_the_key_log_names_the_session(tmp_path: Any) -> None:
    one, two = pair()
    first, second = following(one), following(two)
    name = first.identifier.hex()
    config = Config(keylog=tmp_path / "keys")
    two, one = resumed(second, first, config)
    lines = [line.split() for line in (tmp_path / "keys").read_text().splitlines()]
    assert {line[1] for line in lines} == {name} and len(lines) == 4
    logged = {line[3]: line[5] for line in lines}
    assert len({tuple(line[3:]) for line in lines}) == 2, "both ends log the same keys"
    frame = two.send(b"from the original B")
    opened = open_frame(int(two.aead or 0), bytes.fromhex(logged["ba"]), 0, frame)
    assert opened.data == b"from the original B"


def test_the_next_session_is_given_once() -> None:
    a, b = pair()
    session = following(a)
    assert not session.ss.wiped and a.next_session() is None
    a.wipe()
    assert not session.ss.wiped
    left = b._next
    assert left is not None
    b.wipe()
    assert left.ss.wiped, "what nobody took goes with the connection"


@pytest.mark.rfc("8548:3.5-38")
def test_cache_nothing() -> None:
    """Section 3.5: "that no session secrets will be cached"."""
    a, b = pair(Config(cache=False))
    assert a.next_session() is None and b.next_session() is None
    a, b = pair()
    a, b = resumed(following(a), following(b), Config(cache=False))
    assert a.next_session() is None


def test_before_and_after_the_key_exchange() -> None:
    a, b = pair()
    first, second = following(a), following(b)
    with pytest.raises(LocalProtocolError, match="keys already"):
        a.resume(first)
    outcome, _ = outcomes(first, second, (b"", b""))
    late = Connection(outcome, Config())
    for call in (lambda: late.receive_data(b"frame"), lambda: late.send(b"x")):
        with pytest.raises(LocalProtocolError):
            call()
    with pytest.raises(LocalProtocolError, match="another session"):
        late.resume(second)
    assert not first.ss.wiped and not second.ss.wiped and not late.established
    late.resume(first)
    with pytest.raises(LocalProtocolError, match="keys already"):
        late.resume(second)
    gone = Connection(outcome, Config())
    gone.wipe()
    with pytest.raises(LocalProtocolError, match="keys already"):
        gone.resume(second)


def test_another_secret_under_the_same_name() -> None:
    """The first frame fails to authenticate (section 3.6)."""
    a, b = pair()
    first, second = following(a), following(b)
    second.ss = Secret(bytes(32))
    a, b = resumed(first, second)
    b.receive_data(a.send(b"data"))
    with pytest.raises(AuthenticationError):
        b.read(10)
