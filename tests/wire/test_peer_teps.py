"""The four TEPs of RFC 8548 against a host written from the RFCs: each with each AEAD, and
which of several is taken (RFC 8547 section 4.5, RFC 8548 sections 3.3 and 5)."""

import dataclasses
import itertools
import os
from collections.abc import Iterator

import pytest
from oracle import eno, init
from oracle.scheme import SCHEMES
from wire.peering import MARKER, Facing, Field, face
from wire.programs import Command, Listen
from wire.rfcpeer import EnoPeer

from pyeno import Aead, Config, Role, Tep

pytestmark = pytest.mark.wire

P256, P521, X25519, X448 = TEPS = tuple(SCHEMES)
NAMES = {P256: "p256", P521: "p521", X25519: "curve25519", X448: "curve448"}
PREFIXED = (P256, P521)
every_tep = pytest.mark.parametrize("tep", TEPS, ids=NAMES.get)
either_role = pytest.mark.parametrize("role", "AB")


def talk(facing: Facing, tep: int) -> None:
    """Keys, data both ways, proper ends; both hosts computed the same, independently."""
    peer = facing.peer.handshake()
    assert peer.negotiated is not None and peer.negotiated.tep == tep
    assert peer.recv_exactly(len(MARKER)) == MARKER
    peer.send(b"data" * 20_000)
    peer.finish()
    assert facing.end() == (b"data" * 20_000, None)
    info = facing.opened().eno
    assert info.encrypted and info.tep == tep and info.session_id == peer.session_id
    assert info.session_id[0] == tep and info.transcript == peer.negotiated.transcript
    assert MARKER not in facing.wire()


@pytest.mark.rfc("8548:5-13", "8548:5-14", "8548:5-15", "8548:8.3-1")
@either_role
@pytest.mark.parametrize("aead", list(Aead))
@every_tep
def test_each_with_each_aead(field: Field, tep: int, aead: Aead, role: str) -> None:
    """RFC 8548 sections 3.3, 5, 6; "role" is pyeno's."""
    config = Config(teps=[tep])
    with face(field, role, config=config, teps=(tep,), aeads=(aead,)) as facing:
        talk(facing, tep)
        assert facing.opened().eno.aead is aead
        assert facing.opened().eno.role is Role(role)


@pytest.mark.rfc("8548:5-3", "8548:5-4")
@either_role
@pytest.mark.parametrize("tep", PREFIXED, ids=NAMES.get)
def test_pub_field(field: Field, tep: int, role: str) -> None:
    """RFC 8548 section 5: compressed, behind a length that counts its own two bytes."""
    with face(field, role, config=Config(teps=[tep]), teps=(tep,)) as facing:
        talk(facing, tep)
        pub = sent_pub(facing, tep)
        assert int.from_bytes(pub[:2], "big") == len(pub) == SCHEMES[tep].field_len
        assert pub[2] in (2, 3)


@either_role
@pytest.mark.parametrize("tep", PREFIXED, ids=NAMES.get)
def test_pubkey_len_of_the_key_alone(
    field: Field, tep: int, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 8548 section 5, read the other way: understood, and answered in kind by host B."""
    scheme = SCHEMES[tep]
    other = dataclasses.replace(scheme, counts_itself=False)  # type: ignore[type-var]
    monkeypatch.setitem(SCHEMES, tep, other)
    with face(field, role, config=Config(teps=[tep]), teps=(tep,)) as facing:
        talk(facing, tep)
        counted = int.from_bytes(sent_pub(facing, tep)[:2], "big")
        assert counted == scheme.field_len - (2 if role == "B" else 0)


def sent_pub(facing: Facing, tep: int) -> bytes:
    """What pyeno sent as Pub_A or Pub_B."""
    assert facing.peer.keys is not None
    if facing.peer.role == "B":
        return init.parse_init1(facing.peer.keys.init1, tep).public
    return init.parse_init2(facing.peer.keys.init2, tep).public


# -- several of them --------------------------------------------------------------

ORDERS = [
    ((P256, P521, X25519, X448), (X448, X25519, P521, P256)),
    ((X448, X25519), (X25519, P521, X448)),
    ((P521, P256), (X25519, P256, P521)),
    ((X25519,), (P256, X448, X25519)),
    ((X448, P521, P256), (P521,)),
]


@pytest.mark.parametrize(("local", "remote"), ORDERS)
def test_host_b_prefers(field: Field, local: tuple[int, ...], remote: tuple[int, ...]) -> None:
    """RFC 8547 section 4.5: pyeno's own order decides, and it "SHOULD ... only one TEP"."""
    chosen = next(tep for tep in local if tep in remote)
    with face(field, "B", config=Config(teps=local), teps=remote) as facing:
        syn_ack = facing.peer.conn.remote_syn
        assert syn_ack is not None and syn_ack.eno == [eno.encode([chosen], 1)]
        talk(facing, chosen)


@pytest.mark.parametrize(("local", "remote"), ORDERS)
def test_host_a_leaves_it_to_host_b(
    field: Field, local: tuple[int, ...], remote: tuple[int, ...]
) -> None:
    """RFC 8547 section 4.5: the offer is in increasing priority, the peer's order decides."""
    chosen = next(tep for tep in remote if tep in local)
    with face(field, "A", config=Config(teps=local), teps=remote) as facing:
        syn = facing.peer.conn.remote_syn
        assert syn is not None and syn.eno == [eno.encode(local[::-1])]
        talk(facing, chosen)


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ((X25519, P521), P521),
        ((P521, X25519), X25519),
        ((X448, P256, P521), P521),
        ((P521, P256, X448), P521),  # the others were not offered
        ((P521, 0x30), P521),
        ((P521, X25519, P521), X25519),  # repeated: invalid
    ],
)
def test_the_last_valid_tep_of_several(
    field: Field, answer: tuple[int, ...], chosen: int
) -> None:
    """RFC 8547 section 4.5: "the last valid TEP suboption in host B's" option."""
    option = eno.encode(answer, 1)
    with face(field, "A", config=Config(teps=[X25519, P521]), option=option) as facing:
        talk(facing, chosen)


def test_any_subset_and_order(field: Field) -> None:
    """Every order of every subset is offered as it was configured."""
    for count in range(1, 5):
        for teps in itertools.islice(itertools.permutations(TEPS, count), 0, None, 5):
            with face(field, "A", config=Config(teps=teps), teps=(teps[-1],)) as facing:
                syn = facing.peer.conn.remote_syn
                assert syn is not None and syn.eno == [eno.encode(teps[::-1])]
                talk(facing, teps[-1])


# -- commands, and both families ----------------------------------------------------


@pytest.fixture(scope="module")
def listen(field: Field) -> Iterator[Listen]:
    names = ",".join(NAMES.values())
    with Listen(field.tun.namespace, 7020, "--echo", "--tep", names) as listen:
        yield listen


@pytest.mark.parametrize("family", "46")
@every_tep
def test_echo(field: Field, listen: Listen, tep: int, family: str) -> None:
    data = os.urandom(100_000)
    peer = field.opener(listen.port, family, teps=(tep,)).handshake()
    peer.send(data)
    assert peer.recv_exactly(len(data)) == data
    peer.finish()
    report = listen.report(peer.conn.local[1])
    assert report["tep"] == f"{tep:#04x}" and report["end"] == "fin"
    assert report["session_id"] == peer.session_id.hex()


@pytest.mark.parametrize(("tep", "family"), [(P256, "6"), (P521, "4"), (X448, "6")])
def test_connect(field: Field, tep: int, family: str) -> None:
    port = 8400 + tep
    peer = EnoPeer(field.host, teps=(tep,)).listen(port)
    host = field.theirs(family)
    target = f"[{host}]:{port}" if family == "6" else f"{host}:{port}"
    words = ["connect", "--json", "--tep", f"curve25519,{NAMES[tep]}", target]
    with Command(field.tun.namespace, *words) as connect:
        connect.type(MARKER, end=True)
        peer.accept().handshake()
        assert peer.recv_exactly(len(MARKER)) == MARKER
        peer.finish()
        assert connect.ended() == 0
        report = connect.report(port)
        assert report["tep"] == f"{tep:#04x}"
        assert report["session_id"] == peer.session_id.hex()
        assert Tep(tep).value == peer.session_id[0]
