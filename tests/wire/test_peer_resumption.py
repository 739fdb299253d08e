"""Sessions resumed with a host written from the RFCs alone (RFC 8548 section 3.5)."""

import dataclasses
import itertools
import os
from typing import Any

import pytest
from oracle import eno, keys
from wire.peering import MARKER, Field, attempt, face
from wire.rfcpeer import EnoPeer

from pyeno import Aead, AuthenticationError, Config, Reason

pytestmark = pytest.mark.wire

AEADS = tuple(Aead)
NON_SYN = bytes.fromhex("4502")
OFFER, ANSWER = bytes.fromhex("450323"), bytes.fromhex("45040123")
_ports = itertools.count(13000)


def meet(
    field: Field, role: str, port: int, data: bytes = b"some data", **wishes: Any
) -> EnoPeer:
    """One whole connection: both send at once, both end; pyeno is in `role` and sent MARKER."""
    with face(field, role, port=port, **wishes) as facing:
        peer = facing.peer
        assert peer.encrypted, peer.reason
        peer.handshake()
        peer.send(data)
        assert peer.recv_exactly(len(MARKER)) == MARKER
        peer.finish()
        assert facing.end() == (data, None)
        info = facing.socket.eno if facing.socket else None
        assert info is not None and peer.negotiated is not None and peer.keys is not None
        assert info.session_id == peer.session_id
        assert info.resumed is (peer.negotiated.mode == "resume")
        assert info.aead == peer.keys.aead and info.transcript == peer.negotiated.transcript
    return peer


def mode(peer: EnoPeer) -> str:
    assert peer.negotiated is not None
    return peer.negotiated.mode


def suboption(peer: EnoPeer) -> eno.Suboption:
    """The last one pyeno sent."""
    assert peer.conn.remote_syn is not None
    return eno.of_syn(peer.conn.remote_syn.options).teps[-1]


@pytest.mark.rfc(
    "8548:3.2-5", "8548:3.5-6", "8548:3.5-8", "8548:3.5-10", "8548:3.5-19", "8548:3.5-20",
    "8548:3.5-33", "8548:3.5-34",
)  # fmt: skip
@pytest.mark.parametrize("roles", ["AAA", "ABA", "BBB", "BAB"])
@pytest.mark.parametrize("aead", AEADS)
def test_kept_and_swapped(field: Field, aead: Aead, roles: str) -> None:
    """A chain of three in which pyeno plays these roles: keys by the first one's."""
    port, peer = next(_ports), None
    ids = set()
    for i, role in enumerate(roles):
        sessions = () if peer is None else (peer.session,)
        if sessions:
            assert sessions[0].i == i
        peer = meet(
            field, role, port, os.urandom(40_000), aeads=(aead,), sessions=sessions,
            config=Config(aeads=[aead]),
        )  # fmt: skip
        assert mode(peer) == ("resume" if i else "fresh")
        assert peer.original_role == ("B" if roles[0] == "A" else "A")
        ids.add(peer.session_id)
    assert len(ids) == 3


@pytest.mark.rfc("8548:3.2-5")
@pytest.mark.parametrize("role", "AB")
def test_no_init_messages(field: Field, role: str) -> None:
    """Section 3.6: frames from the first byte on."""
    port = next(_ports)
    first = meet(field, role, port)
    second = meet(field, role, port, sessions=(first.session,))
    stream = b"".join(s.payload for s in second.conn.received)
    assert stream[:3] == b"\0" + (1 + len(MARKER) + 16).to_bytes(2, "big")


@pytest.mark.rfc("8548:3.5-1", "8548:3.5-7", "8548:3.5-9")
@pytest.mark.parametrize("nonce_len", range(9))
@pytest.mark.parametrize("role", "AB")
def test_the_peers_nonce(field: Field, role: str, nonce_len: int) -> None:
    """0 to 8 bytes, whatever ours has."""
    port = next(_ports)
    first = meet(field, role, port)
    second = meet(field, role, port, sessions=(first.session,), nonce_len=nonce_len)
    assert mode(second) == "resume"
    assert len(suboption(second).data) in (9 + 7, 9 + 8)


@pytest.mark.parametrize("role", "AB")
def test_rekeying(field: Field, role: str) -> None:
    """Section 3.8, from either side, in a resumed session."""
    port = next(_ports)
    first = meet(field, role, port)
    with face(field, role, port=port, sessions=(first.session,)) as facing:
        peer = facing.peer.handshake()
        peer.rekey(b"under the next key")
        facing.opened(len("under the next key")).sendall(b"more")
        assert peer.recv_exactly(len(MARKER) + 4) == MARKER + b"more"
        assert peer.opener.generation == peer.sealer.generation == 1
        peer.finish()
        assert facing.end().error is None


@pytest.mark.rfc("8548:3.2-7", "8548:3.5-29")
def test_a_fresh_answer_to_a_proposal(field: Field) -> None:
    """The peer "MAY ... request fresh key exchange"; the session is used up."""
    port = next(_ports)
    meet(field, "A", port)
    peer = meet(field, "A", port)
    assert mode(peer) == "fresh" and suboption(peer).v and len(suboption(peer).data) == 17
    again = meet(field, "A", port, sessions=(peer.session,))
    assert mode(again) == "resume"


@pytest.mark.rfc("8548:3.5-30", "8548:3.5-31")
def test_a_session_is_resumed_once(field: Field) -> None:
    """ "MUST NOT be used to secure more than one TCP connection": a replayed identifier."""
    port = next(_ports)
    session = meet(field, "B", port).session
    assert mode(meet(field, "B", port, sessions=(session,))) == "resume"
    for _ in range(2):
        assert mode(meet(field, "B", port, sessions=(session,))) == "fresh"


@pytest.mark.rfc("8548:3.5-29")
def test_a_replayed_session_that_was_proposed(field: Field) -> None:
    """What pyeno proposed is used, although the answer was fresh."""
    port = next(_ports)
    session = meet(field, "A", port).session
    assert mode(meet(field, "A", port)) == "fresh"
    assert mode(meet(field, "B", next(_ports), sessions=(session,))) == "fresh"


@pytest.mark.rfc("8548:3.5-11")
@pytest.mark.parametrize(
    "change",
    [
        {"ss": bytes(32)},  # another identifier altogether
        {"original_role": "A"},  # pyeno's own half
    ],
)
def test_unknown_identifiers(field: Field, change: dict[str, Any]) -> None:
    """A name of nothing: a fresh key exchange, and the session is there still."""
    port = next(_ports)
    session = meet(field, "A", port).session
    other = dataclasses.replace(session, **change)
    passive = next(_ports)
    assert mode(meet(field, "B", passive, sessions=(other,))) == "fresh"
    assert mode(meet(field, "B", passive, sessions=(session,))) == "resume"


@pytest.mark.rfc("8548:3.5-13", "8548:3.5-14")
@pytest.mark.parametrize("size", [0, 1, 8])
def test_under_nine_bytes_is_a_fresh_offer(field: Field, size: int) -> None:
    """ "MUST behave as if the same TEP had been sent with v = 0"."""
    port = next(_ports)
    session = meet(field, "B", port).session
    option = eno.encode([eno.Suboption(0x23, 1, session.local_half[:size])])
    peer = meet(field, "B", port, option=option)
    assert mode(peer) == "fresh" and peer.negotiated is not None
    assert peer.negotiated.transcript == option + ANSWER


@pytest.mark.rfc("8548:3.5-7", "8548:3.5-9")
def test_a_nonce_beyond_eight_bytes(field: Field) -> None:
    """ "maximum length of eight bytes": that TEP is not valid."""
    port = next(_ports)
    session = meet(field, "B", port).session
    option = eno.encode([eno.Suboption(0x23, 1, session.local_half + bytes(9))])
    with face(field, "B", port=port, option=option) as facing:
        assert not facing.peer.encrypted
        facing.peer.conn.send(b"plain")
        facing.opened(5)
        facing.peer.conn.close()
        assert facing.end() == (b"plain", None)
        assert facing.socket is not None and facing.socket.eno.reason is Reason.NO_VALID_TEP


@pytest.mark.rfc("8548:3.5-15", "8548:3.5-16", "8548:3.5-17", "8548:3.5-18")
@pytest.mark.parametrize("fault", ["a half of nothing", "our own half", "under nine bytes"])
def test_a_wrong_half_is_ignored(field: Field, fault: str) -> None:
    """ "it MUST ignore that suboption ... MUST NOT send any more ENO options and MUST NOT
    encrypt the connection"."""
    port = next(_ports)
    session = meet(field, "A", port).session
    half = {
        "a half of nothing": bytes(9), "our own half": session.remote_half,
        "under nine bytes": session.local_half[:8],
    }[fault]  # fmt: skip
    option = eno.encode([eno.Suboption(0x23, 1, half)], 1)
    with face(field, "A", port=port, option=option, ack_option=b"") as facing:
        facing.peer.conn.send(b"plain")
        facing.opened(5)
        facing.peer.conn.close()
        assert facing.end() == (b"plain", None)
        assert facing.socket is not None and not facing.socket.eno.encrypted
        assert facing.socket.eno.reason is Reason.NO_VALID_TEP
        received = facing.peer.conn.received
        assert suboption(facing.peer).data[:9] == session.remote_half
        assert not any(s.eno for s in received if s.has_ack)
        assert MARKER in facing.wire()


@pytest.mark.parametrize("role", "AB")
def test_wrong_keys(field: Field, role: str) -> None:
    """The right name, another secret: the first frame does not authenticate; RST."""
    port = next(_ports)
    session = meet(field, role, port).session

    class Wrong(keys.Session):
        identifier = session.identifier

    wrong = Wrong(session.tep, session.aead, session.original_role, session.i, bytes(32))
    with face(field, role, port=port, sessions=(wrong,)) as facing:
        peer = facing.peer
        assert mode(peer) == "resume"
        attempt(peer)
        peer.send(b"under other keys")
        data, error = facing.end()
        assert data == b"" and isinstance(error, AuthenticationError)
        peer.conn.wait_reset()
    assert mode(meet(field, role, port)) == "fresh"


@pytest.mark.rfc("8548:3.5-10")
def test_beside_other_teps(field: Field) -> None:
    """A resumable suboption wins over the order of preference."""
    port = next(_ports)
    session = meet(field, "B", port).session
    peer = meet(field, "B", port, sessions=(session,), teps=(0x24, 0x23, 0x22))
    assert mode(peer) == "resume" and peer.negotiated is not None
    offered = eno.parse(peer.negotiated.transcript[: peer.negotiated.transcript[1]])
    assert len(offered.teps) == 3


def test_nothing_in_common(field: Field) -> None:
    """A proposal for the peer's only other TEP leaves plain TCP, and the session is used."""
    port = next(_ports)
    session = meet(field, "A", port).session
    with face(field, "A", port=port, teps=(0x24,)) as facing:
        facing.peer.conn.send(b"plain")
        facing.opened(5)
        facing.peer.conn.close()
        assert facing.end() == (b"plain", None)
        assert facing.socket is not None
        assert facing.socket.eno.reason is Reason.SYN_ACK_WITHOUT_ENO
    assert mode(meet(field, "B", next(_ports), sessions=(session,))) == "fresh"
