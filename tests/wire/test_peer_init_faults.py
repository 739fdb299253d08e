"""Key exchanges that go wrong, with pyeno in either role (RFC 8548 sections 3.3, 4.1, 5).

Whatever the peer does, pyeno aborts: an error of its own, RST on the wire, not one byte of
application data sent or delivered, and a listener that goes on serving others.
"""

import re
from typing import NamedTuple

import pytest
from oracle import init
from wire.peering import MARKER, Facing, Field, attempt, face
from wire.programs import Listen
from wire.rfcpeer import EnoPeer, Faults
from wire.rfcpeer_packet import RST

from pyeno import Config
from pyeno.errors import HandshakeTimeoutError, RemoteProtocolError, TruncationError

pytestmark = pytest.mark.wire

SHORT = Config(handshake_timeout=0.4)
NOT_TCPCRYPT = b"220 mail.example ESMTP\r\n"

# public keys that make the shared secret all zero, whatever the private one (RFC 7748
# section 6.1): 0, 1, both points of order 8, then p - 1, p, p + 1
LOW_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    b"\xec" + b"\xff" * 30 + b"\x7f",
    b"\xed" + b"\xff" * 30 + b"\x7f",
    b"\xee" + b"\xff" * 30 + b"\x7f",
]


class Wrong(NamedTuple):
    """A fault, the error it must end in, and what is special about it."""

    faults: Faults
    message: str
    error: type[Exception] = RemoteProtocolError
    config: Config | None = None


WRONG = {
    "magic": Wrong(Faults(magic=0x01020304), "magic at stream offset 0 begins 01020304"),
    "last byte of magic": Wrong(Faults(magic=init.INIT1_MAGIC ^ 1), "magic at stream offset 0"),
    "short by one": Wrong(Faults(truncate=1), "Pub_. needs 32 bytes at offset"),
    "short by all of Pub": Wrong(Faults(truncate=32), "Pub_. needs 32 bytes at offset"),
    "short by N": Wrong(Faults(truncate=33), "N_. needs 32 bytes at offset"),
    "message_len 0": Wrong(Faults(message_len=0), "message_len at stream offset 4 is 0,"),
    "message_len 8": Wrong(Faults(message_len=8), "message_len at stream offset 4 is 8,"),
    "message_len 9": Wrong(Faults(message_len=9), "at offset"),
    "message_len 1 GiB": Wrong(Faults(message_len=1 << 30), "is 1073741824, allowed"),
    "message_len largest": Wrong(Faults(message_len=0xFFFFFFFF), "is 4294967295, allowed"),
    "message_len past the end": Wrong(
        Faults(message_len=200), "key exchange in 0.4 s", HandshakeTimeoutError, SHORT
    ),
    "silence": Wrong(
        Faults(silent=True), "key exchange in 0.4 s", HandshakeTimeoutError, SHORT
    ),
    "plaintext": Wrong(Faults(plaintext=NOT_TCPCRYPT), "does not speak tcpcrypt"),
    "one byte of plaintext": Wrong(Faults(plaintext=b"\n"), "does not speak tcpcrypt"),
}
WRONG_A = {
    "Init2's magic": Wrong(Faults(magic=init.INIT2_MAGIC), "begins 097105e0"),
    "no cipher": Wrong(Faults(ciphers=()), r"sym_cipher_list \[\] at stream offset 9"),
    "unknown ciphers": Wrong(Faults(ciphers=(3, 0x7F01)), r"\[0x0003, 0x7f01\]"),
}
WRONG_B = {
    "Init1's magic": Wrong(Faults(magic=init.INIT1_MAGIC), "begins 15101a0e"),
    "cipher not offered": Wrong(
        Faults(cipher=0x0002), "0x0002.* not offered", config=Config(aeads=(1, 16))
    ),
    "cipher unknown": Wrong(Faults(cipher=0x7F01), "0x7f01.* not offered"),
    "cipher 0": Wrong(Faults(cipher=0), "0x0000.* not offered"),
}
BY_ROLE = {"B": WRONG | WRONG_A, "A": WRONG | WRONG_B}  # pyeno's role
CASES = [(role, name) for role in BY_ROLE for name in BY_ROLE[role]]


def aborted(facing: Facing, wrong: Wrong) -> None:
    """RFC 8548 section 3.3, last paragraph: destroyed, RST, the user told."""
    facing.peer.conn.wait_reset()
    assert any(s.flags & RST for s in facing.peer.conn.received)
    data, error = facing.end()
    assert type(error) is wrong.error and re.search(wrong.message, str(error)), error
    assert data == b"" and MARKER not in facing.wire()


@pytest.mark.rfc("8547:4.6-12", "8547:5-5", "8548:3.3-15", "8548:3.3-16")
@pytest.mark.parametrize(("role", "name"), CASES)
def test_wrong_init(field: Field, role: str, name: str) -> None:
    """RFC 8548 sections 3.3, 4.1: the application sees its own error, both ways."""
    wrong = BY_ROLE[role][name]
    with face(field, role, config=wrong.config, faults=wrong.faults) as facing:
        attempt(facing.peer)
        aborted(facing, wrong)


@pytest.mark.rfc("8548:3.3-6", "8548:5-7")
@pytest.mark.parametrize("role", "AB")
@pytest.mark.parametrize("public", LOW_ORDER, ids=lambda key: key.hex()[:8])
def test_low_order_key(field: Field, role: str, public: bytes) -> None:
    """RFC 8548 section 5: an all-zero shared secret aborts."""
    wrong = Wrong(Faults(public=public), "all-zero shared secret")
    with face(field, role, faults=wrong.faults) as facing:
        attempt(facing.peer)
        aborted(facing, wrong)


@pytest.mark.parametrize("role", "AB")
@pytest.mark.parametrize("sent", [0, 1, 7, 8, 60])
def test_fin_in_init(field: Field, role: str, sent: int) -> None:
    """RFC 8548 section 3.7: FIN before there was any frame at all."""
    with face(field, role, faults=Faults(silent=True)) as facing:
        magic = init.INIT1_MAGIC if role == "B" else init.INIT2_MAGIC
        head = magic.to_bytes(4, "big") + (100).to_bytes(4, "big") + bytes(92)
        facing.peer.conn.send(head[:sent], fin=True)
        aborted(facing, Wrong(Faults(), f"{sent} bytes into", TruncationError))


@pytest.mark.parametrize("role", "AB")
def test_reset_in_init(field: Field, role: str) -> None:
    """A reset is told apart from every end of the stream."""
    with face(field, role, faults=Faults(silent=True)) as facing:
        if role == "A":
            facing.peer.conn.recv_exactly(8)
        facing.peer.conn.abort()
        data, error = facing.end()
        assert data == b"" and type(error) is ConnectionResetError


LEGAL = {
    "1-byte segments": Faults(segment=1),
    "no push": Faults(push=False),
    "ignored bytes": Faults(ignored=b"ignore me"),
    "many ignored bytes": Faults(ignored=bytes(5000), segment=997),
    "unknown ciphers too": Faults(ciphers=(0x7F01, 3, 0x0010, 0xFFFF)),
}


@pytest.mark.rfc("8548:3.3-2", "8548:4.1-5", "8548:4.1-10")
@pytest.mark.parametrize("role", "AB")
@pytest.mark.parametrize("name", LEGAL)
def test_odd_but_legal(field: Field, role: str, name: str) -> None:
    """RFC 8548 sections 3.3 and 4.1: "need not end at a segment boundary", "ignored"."""
    with face(field, role, faults=LEGAL[name]) as facing:
        peer = facing.peer.handshake()
        assert peer.recv_exactly(len(MARKER)) == MARKER
        peer.send(b"fine")
        peer.finish()
        assert facing.end() == (b"fine", None)
        assert facing.socket is not None and facing.socket.eno.session_id == peer.session_id
        assert MARKER not in facing.wire()


@pytest.mark.rfc("8548:3.3-14")
def test_data_behind_init2(field: Field) -> None:
    """RFC 8548 section 3.3: host B "MAY immediately begin transmitting"."""
    with face(field, "A", faults=Faults(with_init2=b"early")) as facing:
        peer = facing.peer.handshake()
        peer.finish()
        assert facing.end() == (b"early", None)
        first = next(s for s in peer.conn.sent if s.payload)
        assert peer.keys is not None and len(first.payload) == len(peer.keys.init2) + 25


def test_data_behind_init1(field: Field) -> None:
    """Host A cannot encrypt before Init2: what follows Init1 at once is no frame."""
    with face(field, "B", faults=Faults(silent=True)) as facing:
        one = init.encode_init1((1,), bytes(32), b"\x09" + bytes(31))
        facing.peer.conn.send(one + b"\0\0\x20" + bytes(32))
        facing.peer.conn.wait_reset()
        data, error = facing.end()
        assert data == b"" and "stream offset 75" in str(error)


@pytest.mark.parametrize("name", ["magic", "short by one", "silence", "plaintext"])
def test_listen_goes_on(field: Field, echo: Listen, name: str) -> None:
    """RFC 8548 section 3.3, seen by `pyeno listen`: one line of JSON, and it serves on."""
    wrong = WRONG[name]
    peer = EnoPeer(field.host, source=field.theirs(), faults=wrong.faults)
    peer.connect((field.ours(), echo.port))
    attempt(peer)
    good = field.opener(echo.port).handshake()
    good.send(b"meanwhile")
    assert good.recv_exactly(9) == b"meanwhile"
    good.finish()
    peer.conn.wait_reset()
    report = echo.report(peer.conn.local[1])
    assert (report["end"], report["bytes_in"], report["bytes_out"]) == ("reset", 0, 0)
    assert report["encrypted"] is True and report["session_id"] is None
    assert re.search(wrong.message.replace("0.4 s", "1 s"), report["error"]), report
    assert echo.report(good.conn.local[1])["end"] == "fin"
