"""ENO options of every form against pyeno, judged by the oracle (RFC 8547 sections 4.1 to 4.6).

The oracle says what two options come to; pyeno's verdict, transcript and every ENO byte it
sends are compared with that, and then data passes, encrypted or plain accordingly.
"""

from typing import NamedTuple

import pytest
from oracle import OracleError, eno
from wire.peering import MARKER, Facing, Field, attempt, face

from pyeno import Config, Reason

pytestmark = pytest.mark.wire

NON_SYN = bytes.fromhex("4502")
REASONS = {
    "missing": Reason.SYN_WITHOUT_ENO,
    "multiple": Reason.REPEATED_OPTION,
    "length-beyond-end": Reason.LENGTH_BEYOND_END,
    "length-byte-not-before-tep": Reason.LENGTH_BYTE_NOT_BEFORE_TEP,
    "same-b": Reason.SAME_ROLE,
    "not-aware": Reason.PEER_NOT_AWARE,
    "vacuous": Reason.VACUOUS,
    "no-valid-tep": Reason.NO_VALID_TEP,
}
EITHER = Config()
AWARE = Config(app_aware=True)
MANDATORY = Config(app_aware="mandatory")

SYN_FORMS = {
    "one TEP": "450323",
    "several TEPs": "450621222324",
    "every room taken": "4524" + bytes(range(0x40, 0x61)).hex() + "23",
    "unknown TEP": "450377",
    "unknown TEP before": "45047723",
    "unknown TEP after": "45042377",
    "TEP with v and no data": "4503a3",
    "TEP with v and 1 byte": "4504a300",
    "TEP with v and 8 bytes": "450ba30001020304050607",
    "unknown session, no nonce": "450ca3000102030405060708",
    "unknown session, nonce of 8": "4514a3" + bytes(17).hex(),
    "nonce of 9": "4515a3" + bytes(18).hex(),
    "length byte, 1 byte, TEP after": "450680a30024",
    "data of an unknown TEP, then ours": "450781f7aabb23",
    "unknown TEP with data to the end": "450723f7aabbcc",
    "repeated TEP": "45042323",
    "repeated TEP, others between": "4505232423",
    "repeated TEP, one with data": "450680a30023",
    "other TEP repeated": "450677237724",
    "repeated option": "450323450323",
    "repeated option, another": "450323450377",
    "repeated option, vacuous": "4503234502",
    "length beyond end": "45059fa300",
    "length beyond end by one": "450480a3",
    "length byte last": "45042380",
    "length byte before v = 0": "45048023",
    "length byte before a length byte": "4506808080a3",
    "length byte before a global": "4506238000ff",
    "vacuous": "4502",
    "vacuous with global": "450300",
    "explicit global 0": "45040023",
    "global last": "45042300",
    "z bits": "45041c23",
    "b": "45040123",
    "b and z": "45041d23",
    "a": "45040223",
    "two globals": "4505000123",
    "two globals, b first": "4505010023",
    "two globals, a second": "4505000223",
    "NOPs before": "01010101450323",
    "unknown option kind before": "fd04f989450323",
    "behind the end of options": "00450323",
    "length 1": "4501",
    "length past the header": "450823",
    "nothing": "",
}
SYN_ACK_FORMS = {
    "as it should be": "45040123",
    "nothing": "",
    "echo": "450323",
    "two options": "4504012345040123",
    "two options, first an echo": "45032345040123",
    "length beyond end": "4505018023",
    "length byte last": "4504019f",
    "length byte before v = 0": "450601238000",
    "vacuous": "450301",
    "vacuous, b = 0": "4502",
    "unknown TEP last": "4505012377",
    "unknown TEP first": "4505017723",
    "only an unknown TEP": "45040177",
    "only a TEP not asked for": "45040121",
    "several TEPs": "45070121222324",
    "v unasked": "450401a3",
    "v unasked, with data": "450d01a3000102030405060708",
    "v unasked after length byte": "45070180a30023",
    "z bits": "45041d23",
    "a": "45040323",
    "b = 0": "45040023",
    "two globals": "4505010023",
    "two globals, b second": "4505000123",
    "global last": "45042301",
    "repeated TEP": "4505012323",
    "repeated TEP and an unknown one": "450601232377",
    "NOPs before": "01010145040123",
    "length 1": "4501",
}


class Expected(NamedTuple):
    """The oracle's word: `reason` NEGOTIATED with a transcript, or why not."""

    reason: Reason
    transcript: bytes = b""
    tep: int = 0
    peer_aware: bool = False


def slug(error: OracleError, remote: bytes, active: bool) -> Reason:
    """pyeno's reason for the oracle's, which names hosts 1 and 2 apart."""
    name = error.reason.removesuffix("-1").removesuffix("-2").removesuffix("-0")
    if name == "no-valid-tep" and eno.parse(remote).vacuous:
        name = "vacuous"
    if name == "missing" and active:
        return Reason.SYN_ACK_WITHOUT_ENO
    return REASONS[name]


def expected(block: bytes, local: bytes, config: Config, *, active: bool) -> Expected:
    """What pyeno, sending the option `local`, has to make of a received option block."""
    found = eno.eno_options(block)
    mandatory = config.app_aware == "mandatory"
    try:
        if len(found) > 1:
            raise OracleError("multiple")
        remote = found[0] if found else None
        options, aware = (remote, local), (False, mandatory)
        if active:
            options, aware = options[::-1], aware[::-1]
        agreed = eno.negotiate(*options, mandatory_aware=aware, sessions=())
    except OracleError as error:
        return Expected(slug(error, found[0] if found else b"", active))
    theirs = agreed.a_bits[1 if active else 0]
    return Expected(Reason.NEGOTIATED, agreed.transcript, agreed.tep, bool(theirs))


def matches(facing: Facing, wanted: Expected) -> None:
    """pyeno's view, and data both ways."""
    peer = facing.peer
    if wanted.reason is Reason.NEGOTIATED:
        assert peer.encrypted, peer.reason
        attempt(peer)
        assert peer.recv_exactly(len(MARKER)) == MARKER
        peer.send(b"data")
        peer.finish()
        assert MARKER not in facing.wire()
    else:
        assert not peer.encrypted
        assert peer.conn.recv_exactly(len(MARKER)) == MARKER
        peer.conn.send(b"data", fin=True)
        peer.conn.wait_closed()
    assert facing.end() == (b"data", None)
    info = facing.opened().eno
    assert info.encrypted is (wanted.reason is Reason.NEGOTIATED)
    assert info.reason is (None if info.encrypted else wanted.reason)
    if info.encrypted:
        assert (info.tep, info.transcript) == (wanted.tep, wanted.transcript)
        assert info.peer_aware is wanted.peer_aware
        assert info.session_id == peer.session_id


def accepting(field: Field, block: bytes, config: Config = EITHER) -> None:
    """pyeno is the passive opener, and so host B (section 4.3)."""
    answer = eno.encode([0x23], 1 | bool(config.app_aware) << 1)
    wanted = expected(block, answer, config, active=False)
    with face(field, "B", config=config, option=block) as facing:
        answered = wanted.reason is Reason.NEGOTIATED
        conn = facing.peer.conn
        assert conn.remote_syn is not None
        assert conn.remote_syn.eno == ([answer] if answered else [])
        matches(facing, wanted)
        assert not any(s.eno for s in conn.received if not s.syn)


def opening(field: Field, block: bytes, config: Config = EITHER) -> None:
    """pyeno is the active opener; the third segment says what it made of the SYN-ACK."""
    offer = eno.encode([0x23], 2 if config.app_aware else None)
    wanted = expected(block, offer, config, active=True)
    with face(field, "A", config=config, option=block) as facing:
        conn = facing.peer.conn
        assert conn.remote_syn is not None and conn.remote_syn.eno == [offer]
        matches(facing, wanted)
        rest = [s for s in conn.received if not s.syn]
        if wanted.reason is Reason.NEGOTIATED:
            assert rest[0].eno == [NON_SYN]
            heard = next(i for i, s in enumerate(rest) if s.ack != rest[0].ack)
            assert not any(s.eno for s in rest[heard:])
        else:
            assert not any(s.eno for s in rest)


@pytest.mark.rfc(
    "8547:4.1-8",
    "8547:4.2-2",
    "8547:4.2-3",
    "8547:4.2-10",
    "8547:4.2-11",
    "8547:4.2-12",
    "8547:4.2-13",
    "8547:4.4-7",
    "8547:4.4-8",
    "8547:4.4-9",
    "8547:4.4-10",
    "8547:4.5-3",
    "8547:4.6-3",
    "8547:4.6-13",
    "8547:4.8-3",
    "8548:3.5-11",
    "8548:3.5-13",
    "8548:3.5-14",
)
@pytest.mark.parametrize("name", SYN_FORMS)
def test_syn(field: Field, name: str) -> None:
    """Sections 4.1 to 4.5: what a listener answers, and what comes of it."""
    accepting(field, bytes.fromhex(SYN_FORMS[name]))


@pytest.mark.rfc(
    "8547:4.1-2",
    "8547:4.1-7",
    "8547:4.1-8",
    "8547:4.2-2",
    "8547:4.2-10",
    "8547:4.4-7",
    "8547:4.4-8",
    "8547:4.5-1",
    "8547:4.5-6",
    "8547:4.6-2",
    "8547:4.6-3",
    "8547:4.8-3",
)
@pytest.mark.parametrize("name", SYN_ACK_FORMS)
def test_syn_ack(field: Field, name: str) -> None:
    """Sections 4.1 to 4.6: what an active opener takes for an answer."""
    opening(field, bytes.fromhex(SYN_ACK_FORMS[name]))


@pytest.mark.rfc("8547:4.2-8")
@pytest.mark.parametrize("name", ["one TEP", "a", "z bits", "b", "two globals, a second"])
@pytest.mark.parametrize("config", [AWARE, MANDATORY], ids=["aware", "mandatory"])
def test_syn_to_an_aware_listener(field: Field, name: str, config: Config) -> None:
    """Section 4.2: the application-aware bit, and the mode that demands it."""
    accepting(field, bytes.fromhex(SYN_FORMS[name]), config)


@pytest.mark.parametrize("name", ["as it should be", "a", "z bits", "nothing", "echo"])
@pytest.mark.parametrize("config", [AWARE, MANDATORY], ids=["aware", "mandatory"])
def test_syn_ack_to_an_aware_opener(field: Field, name: str, config: Config) -> None:
    """Section 4.2, actively."""
    opening(field, bytes.fromhex(SYN_ACK_FORMS[name]), config)


ACKS = {
    "empty": ("4502", True),
    "contents": ("4506deadbeef", True),
    "ill-formed contents": ("45048023", True),
    "two options": ("45024502", True),
    "in SYN form": ("450323", True),
    "none": ("", False),
    "length 1": ("4501", False),
    "behind the end of options": ("004502", False),
}


@pytest.mark.rfc("8547:4.1-3", "8547:4.1-10", "8547:4.6-4")
@pytest.mark.parametrize("name", ACKS)
def test_third_segment(field: Field, name: str) -> None:
    """Section 4.1: "by its presence, acts as a one-bit acknowledgment"; figure 11 without."""
    option, there = bytes.fromhex(ACKS[name][0]), ACKS[name][1]
    with face(field, "B", ack_option=option) as facing:
        if there:
            wanted = expected(eno.encode([0x23]), eno.encode([0x23], 1), EITHER, active=False)
        else:
            wanted = Expected(Reason.ACK_WITHOUT_ENO)
        matches(facing, wanted)


@pytest.mark.rfc("8547:4.8-4", "8547:4.8-5")
def test_figure_9(field: Field) -> None:
    """ENO<X,Y>, ENO<b=1,Y>, ENO<>: "according to TEP Y"."""
    with face(field, "B", teps=(0x21, 0x23)) as facing:
        sent, received = facing.peer.conn.sent, facing.peer.conn.received
        assert [s.eno for s in sent[:2]] == [[bytes.fromhex("45042123")], [NON_SYN]]
        assert received[0].eno == [bytes.fromhex("45040123")]
        transcript = bytes.fromhex("4504212345040123")
        matches(facing, Expected(Reason.NEGOTIATED, transcript, 0x23))


@pytest.mark.parametrize(
    ("config", "teps", "reason"),
    [(EITHER, (0x21, 0x22), Reason.NO_VALID_TEP), (MANDATORY, (0x23,), Reason.PEER_NOT_AWARE)],
    ids=["cause 2", "cause 3"],
)
def test_figure_10(field: Field, config: Config, teps: tuple[int, ...], reason: Reason) -> None:
    """SYN-ACK and ACK without ENO; causes 1 and 4 are in test_path.py."""
    with face(field, "B", config=config, teps=teps) as facing:
        matches(facing, Expected(reason))
        assert not any(s.eno for s in facing.peer.conn.received)
        assert not any(s.eno for s in facing.peer.conn.sent[1:])


def test_eno_that_comes_late(field: Field) -> None:
    """Section 4.6: no option in the SYN, so later ones mean nothing."""
    with face(field, "B", option=b"", ack_option=NON_SYN) as facing:
        matches(facing, Expected(Reason.SYN_WITHOUT_ENO))
