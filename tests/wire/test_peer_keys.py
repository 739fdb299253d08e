"""Public keys that must not be taken, over the wire (RFC 8548 sections 3.3 and 5)."""

import time

import pytest
from oracle.scheme import SCHEMES
from unit.test_agreement import LOW_ORDER, NO_POINTS, P256, P521, X448
from wire.peering import TIMEOUT, Field, attempt, face
from wire.programs import Listen
from wire.rfcpeer import Faults
from wire.test_peer_init_faults import Wrong, aborted

from pyeno import Config

pytestmark = pytest.mark.wire

GENERATORS = {
    P256: "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
    P521: "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe7"
    "5928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
}  # SEC 2 sections 2.4.2 and 2.6.1, x only


def pub(tep: int, point: bytes, length: int | None = None) -> bytes:
    """The Pub field, with a pubkey_len of its own choosing."""
    if tep not in GENERATORS:
        return point
    return (SCHEMES[tep].field_len if length is None else length).to_bytes(2, "big") + point


def generator(tep: int, start: int) -> bytes:
    return bytes([start]) + bytes.fromhex(GENERATORS[tep])


CASES = [
    *((tep, pub(tep, point), "no point of this TEP's curve") for tep, point in NO_POINTS),
    *((tep, point, "all-zero shared secret") for tep, point in LOW_ORDER if tep == X448),
    *(
        (tep, pub(tep, generator(tep, start)), f"begins 0x{start:02x}, a compressed point")
        for tep in GENERATORS
        for start in (0, 4, 6, 0x82)
    ),
    # infinity in its own form: one zero byte, which says so
    *((tep, pub(tep, bytes(SCHEMES[tep].field_len - 2), 3), "len at offset .* is 3,")
      for tep in GENERATORS),
    *(
        (tep, pub(tep, generator(tep, 2), length), f"len at offset .* is {length},")
        for tep in GENERATORS
        for length in (0, SCHEMES[tep].field_len + 1, 0xFFFF)
    ),
    # uncompressed, as long as it says
    *(
        (
            tep,
            pub(tep, generator(tep, 4) + generator(tep, 4)[1:], 2 * SCHEMES[tep].field_len - 4),
            "len at offset",
        )
        for tep in GENERATORS
    ),
    # cut short, message_len agreeing
    *((tep, pub(tep, generator(tep, 2))[:-1], "Pub_. needs") for tep in GENERATORS),
    *((tep, pub(tep, generator(tep, 2))[:1], "pubkey_len needs 2") for tep in GENERATORS),
    (X448, bytes(55), "Pub_. needs 56 bytes"),
]  # fmt: skip


@pytest.mark.rfc("8548:3.3-6", "8548:5-5")
@pytest.mark.parametrize("role", "AB")
@pytest.mark.parametrize(
    ("tep", "public", "says"),
    CASES,
    ids=[f"{t:#x} {p.hex()[:12]} {s[:9]}" for t, p, s in CASES],
)
def test_public_key_is_refused(
    field: Field, role: str, tep: int, public: bytes, says: str
) -> None:
    """ "MUST abort the connection": RST, RemoteProtocolError, nothing sent or delivered."""
    faults = Faults(public=public)
    with face(field, role, config=Config(teps=[tep]), teps=(tep,), faults=faults) as facing:
        attempt(facing.peer)
        aborted(facing, Wrong(faults, says))


@pytest.mark.parametrize("tep", GENERATORS, ids=hex)
@pytest.mark.parametrize("start", [2, 3])
def test_the_generator_is_taken(field: Field, tep: int, start: int) -> None:
    """So that the points above are refused for what is wrong with them."""
    faults = Faults(public=pub(tep, generator(tep, start)))
    with face(field, "B", config=Config(teps=[tep]), teps=(tep,), faults=faults) as facing:
        attempt(facing.peer)
        agreed = facing.peer.keys
        assert agreed is not None
        until = time.monotonic() + TIMEOUT
        while len(facing.wire()) <= len(agreed.init2):  # its first frame follows
            assert time.monotonic() < until
            time.sleep(0.002)
        assert facing.opened().eno.session_id[0] == tep


def test_listen_goes_on(field: Field) -> None:
    """A key that is refused costs that connection only."""
    tep = P521
    with Listen(field.tun.namespace, 7021, "--echo", "--tep", "p521") as listen:
        bad = field.opener(listen.port, teps=(tep,), faults=Faults(public=pub(*NO_POINTS[5])))
        attempt(bad)
        bad.conn.wait_reset()
        good = field.opener(listen.port, teps=(tep,)).handshake()
        good.send(b"meanwhile")
        assert good.recv_exactly(9) == b"meanwhile"
        good.finish()
        report = listen.report(bad.conn.local[1])
        assert (report["end"], report["bytes_in"]) == ("reset", 0)
        assert "no point of this TEP's curve" in report["error"]
        assert listen.report(good.conn.local[1])["end"] == "fin"
