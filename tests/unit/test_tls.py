"""The TLS TEP without I/O: two ends that agree (draft-ietf-tcpinc-use-tls, RFC 8446)."""

import gc
import os
import pickle
import ssl
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import tls as by_hand
from unit.tls_ends import (
    IDENTITY,
    NAME,
    OTHER,
    TLS,
    TRANSCRIPT,
    Foreign,
    one,
    pair,
    pem,
    shake,
    spki,
)

from pyeno import Aead, Config, ConfigError, Role, tep
from pyeno.errors import LocalProtocolError, NotEncryptedError, TruncationError
from pyeno.events import DataReceived, EncryptionEnabled, EndOfStream
from pyeno.tls import keys
from pyeno.tls.binding import EXPORTER_LABEL
from pyeno.tls.connection import BATCH, Connection
from pyeno.tls.records import DATA_MAX, OVERHEAD

DATA = os.urandom(3 * DATA_MAX + 5)


def test_the_registry_has_it() -> None:
    definition = tep.registry()[0x30]
    assert (definition.name, definition.identifier) == ("tls", 0x30)
    assert not definition.urgent and not definition.rekeys and not definition.resumes
    for role in Role:
        assert definition.suboption(TLS, role) is None
        assert definition.lengths(role) == range(1)
    for wish in "tls", "TLS", "0x30", 48:
        assert Config(teps=[wish]).teps == (0x30,)


def test_others_do_not_load_openssl_for_it() -> None:
    """`import pyeno`, and connections of other TEPs, come without pyOpenSSL."""
    told = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert (told.returncode, told.stdout.split()) == (0, ["False", "False", "True"]), told


WITHOUT = """
import sys
from pyeno import Config, Reason, Role, tep
from pyeno._values import Outcome
loaded = lambda: print("OpenSSL" in sys.modules)
loaded()
ends = [
    tep.create_connection(
        Outcome(Reason.NEGOTIATED, role, tep_byte=0x23, transcript=bytes(4)), Config()
    )[1]
    for role in Role
]
ends[1].receive_data(ends[0].data_to_send())
ends[0].receive_data(ends[1].data_to_send())
assert ends[0].session_id == ends[1].session_id and tep.names()["tls"] == 0x30
loaded()
Config(teps=["tls"])
loaded()
"""


def test_both_ends_have_the_session_id() -> None:
    a, b = one(Role.A), one(Role.B)
    for end in (a, b):
        with pytest.raises(NotEncryptedError):
            _ = end.session_id
        with pytest.raises(LocalProtocolError):
            end.send(b"too early")
    assert not b.data_to_send()
    shake(a, b)
    assert a.session_id == b.session_id
    assert len(a.session_id) == 33 and a.session_id[0] == 0x30
    first = a.next_event()
    assert isinstance(first, EncryptionEnabled) and first.aead == a.aead


def test_session_ids_are_unique() -> None:
    assert len({pair()[turn % 2].session_id for turn in range(20)}) == 20


@pytest.mark.rfc("8547:4.8-2", "8547:5.1-6")
def test_the_session_id_is_an_exporter_over_the_transcript() -> None:
    """RFC 8446 section 7.5, computed by hand; host A offers the transcript in its ALPN."""
    a, host = one(Role.A), host_by_hand()
    hello = a.data_to_send()
    assert NAME in hello and TRANSCRIPT.hex() in NAME.decode()
    a.receive_data(host.answer(hello))
    assert host.finish(a.data_to_send()) == b""
    assert a.session_id == b"\x30" + host.export(EXPORTER_LABEL, TRANSCRIPT, 32)
    assert a.session_id[1:] != host.export(EXPORTER_LABEL, OTHER, 32)
    assert a.peer_key == spki(IDENTITY.certificate)


def host_by_hand() -> by_hand.HostB:
    return by_hand.HostB(
        NAME, IDENTITY.certificate.public_bytes(keys.Encoding.DER), IDENTITY.key
    )


@pytest.mark.parametrize("size", range(1, 40))
def test_a_handshake_cut_at_every_boundary(size: int) -> None:
    a, b = one(Role.A), one(Role.B)
    shake(a, b, (size,))
    assert a.established and b.established and a.session_id == b.session_id


@given(
    data=st.binary(max_size=300),
    sizes=st.lists(st.integers(1, 70), min_size=1, max_size=20),
    more=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_data_pass_both_ways_however_cut(data: bytes, sizes: list[int], more: bool) -> None:
    a, b = one(Role.A), one(Role.B)
    shake(a, b, sizes)
    data += DATA if more else b""
    for sender, receiver in ((a, b), (b, a)):
        stream = sender.send(data) + sender.send(b"", fin=True)
        got, at, turn = b"", 0, 0
        while at < len(stream):
            size = sizes[turn % len(sizes)] * (97 if more else 1)
            receiver.receive_data(stream[at : at + size])
            at, turn = at + size, turn + 1
            got += receiver.read(1 << 20)
        assert got == data and receiver.finished
        receiver.receive_eof()


def test_the_first_data_may_come_with_the_last_of_the_handshake() -> None:
    a, b = one(Role.A), one(Role.B)
    b.receive_data(a.data_to_send())
    a.receive_data(b.data_to_send())
    b.receive_data(a.send(b"at once"))  # Finished ahead of it
    assert b.read(100) == b"at once"
    a.receive_data(b.send(b"back"))
    assert a.read(100) == b"back"


def test_data_in_one_segment_with_the_end() -> None:
    a, b = pair()
    b.receive_data(a.send(b"all of it", fin=True))
    assert [b.next_event() for _ in range(3)][1:] == [DataReceived(b"all of it"), EndOfStream()]
    with pytest.raises(LocalProtocolError):
        a.send(b"more")
    a.receive_data(b.send(b"the other half goes on"))
    assert a.read(100) == b"the other half goes on" and not a.finished
    a.receive_data(b.send(b"", fin=True))
    assert a.finished


@pytest.mark.rfc("8547:5-10", "8547:5-11", "8547:5-13", "8547:5-14")
def test_truncation_is_not_the_end_of_stream() -> None:
    """ "implementations MUST raise an error if a FIN … is received prior to receiving a
    close_notify" (the draft, section 3.3)."""
    a, b = pair()
    stream = a.send(b"some data") + a.send(b"", fin=True)
    for end in (0, 5, 31, len(stream) - 1):
        a, b = pair()
        stream = a.send(b"some data") + a.send(b"", fin=True)
        b.receive_data(stream[:end])
        assert b.read(100) == (b"some data" if end > 30 else b"") and not b.finished
        with pytest.raises(TruncationError, match="without an authenticated end"):
            b.receive_eof()


@pytest.mark.parametrize("role", list(Role))
def test_truncation_of_the_handshake(role: Role) -> None:
    a, b = one(Role.A), one(Role.B)
    hello = a.data_to_send()
    b.receive_data(hello)
    flight = b.data_to_send()
    end, stream = (a, flight) if role is Role.A else (one(Role.B), hello)
    end.receive_data(stream[: len(stream) // 2])
    assert not end.established
    with pytest.raises(TruncationError, match="during the key exchange"):
        end.receive_eof()


@pytest.mark.parametrize("aead", list(Aead))
def test_every_suite(aead: Aead) -> None:
    a, b = pair(Config(teps=["tls"], aeads=[aead]))
    assert a.aead is b.aead is aead
    for sender, receiver in ((a, b), (b, a)):
        receiver.receive_data(sender.send(DATA, fin=True))
        assert receiver.read(1 << 20) == DATA and receiver.finished


def test_host_b_prefers() -> None:
    """Among what host A offers, as host B of tcpcrypt does."""
    order = [Aead.CHACHA20_POLY1305, Aead.AES_128_GCM]
    a, _ = pair(Config(teps=["tls"]), Config(teps=["tls"], aeads=order))
    assert a.aead is Aead.CHACHA20_POLY1305
    a, _ = pair(Config(teps=["tls"], aeads=order[1:]), Config(teps=["tls"], aeads=order))
    assert a.aead is Aead.AES_128_GCM


def test_aes_128_is_always_offered() -> None:
    """What every host has (the draft, section 6)."""
    a, _ = pair(TLS, Config(teps=["tls"], aeads=[Aead.AES_128_GCM]))
    assert a.aead is Aead.AES_128_GCM


def sizes_of(stream: bytes) -> list[int]:
    return [len(body) - OVERHEAD + 5 for _, body in by_hand.records(stream)]


def test_records_are_as_large_as_they_may_be() -> None:
    a, _ = pair()
    stream = a.send(bytes(BATCH * DATA_MAX * 2 + 7))
    assert sizes_of(stream) == [DATA_MAX] * (2 * BATCH) + [7]
    assert len(stream) == BATCH * DATA_MAX * 2 + 7 + (2 * BATCH + 1) * OVERHEAD
    for size in 100, DATA_MAX, 20000:
        a, _ = pair(Config(teps=["tls"], frame_size=size))
        assert sizes_of(a.send(bytes(50000)))[0] == min(size, DATA_MAX)


@pytest.mark.parametrize(
    "size", [1, 100, DATA_MAX, BATCH * DATA_MAX, BATCH * DATA_MAX + 1, 400000]
)
def test_sealing_into_a_buffer_keeps_to_its_overhead(size: int) -> None:
    a, b = pair()
    out = bytearray(size + a.overhead * 5)
    taken, written = a.seal_into(out, bytes(size), fin=True)
    assert taken == size
    b.receive_data(out[:written])
    assert b.read(1 << 20) == bytes(size) and b.finished


@pytest.mark.rfc("8547:5-8", "8547:5-9")
def test_nothing_is_left_after_wiping() -> None:
    """OpenSSL frees, and by that wipes, what nobody refers to; without a collection."""
    a, b = pair()
    session_id = a.session_id
    assert a._tls is not None
    there = weakref.ref(a._tls)
    b.receive_data(a.send(b"secret"))
    gc.disable()
    try:
        a.wipe()
        assert there() is None
    finally:
        gc.enable()
    a.wipe()
    for call in (lambda: a.send(b"x"), lambda: a.read(1), lambda: a.receive_data(b"x")):
        with pytest.raises(LocalProtocolError):
            call()
    assert a.session_id == session_id and a.last_words() == b""
    assert session_id.hex() not in repr(a) and "established" in repr(b)
    with pytest.raises(TypeError):
        pickle.dumps(b)


def test_no_rekeying_by_this_host() -> None:
    a, _ = pair()
    with pytest.raises(LocalProtocolError, match="no rekeying"):
        a.rekey()
    with pytest.raises(ConfigError, match="keepalive"):
        Config(teps=["tls"], keepalive=5)


def test_no_urgent_data() -> None:
    a, _ = pair()
    with pytest.raises(LocalProtocolError, match="urgent"):
        a.send(b"x", urgent=True)


# -- a stack without ENO at the other end -------------------------------------------------


@pytest.mark.parametrize("role", list(Role))
def test_the_standard_library_can_be_the_peer(tmp_path: Path, role: Role) -> None:
    """It is told the ALPN name and no more; so can any TLS 1.3 stack."""
    foreign = Foreign(role.opposite, pem(tmp_path / "pem"))
    end = one(role)
    foreign.meet(end)
    assert end.established and foreign.tls.version() == "TLSv1.3"
    assert foreign.tls.selected_alpn_protocol() == NAME.decode()
    end.receive_data(foreign.send(DATA))
    assert end.read(1 << 20) == DATA
    assert foreign.receive(end.send(DATA)) == DATA
    end.receive_data(foreign.close())
    assert end.finished
    assert foreign.receive(end.send(b"", fin=True)) == b""
    assert end.peer_key == (spki(IDENTITY.certificate) if role is Role.A else None)


def test_sessions_are_never_resumed(tmp_path: Path) -> None:
    """Host B keeps none: what its tickets name is refused, and keys are made afresh."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([NAME.decode()])
    session, ids = None, set()
    for _ in range(3):
        foreign, b = Foreign(Role.A), one(Role.B)
        foreign.tls = context.wrap_bio(foreign.incoming, foreign.outgoing, session=session)
        foreign.meet(b)
        assert foreign.receive(b.send(b"tickets are ahead of this")) != b""
        assert b.established and not foreign.tls.session_reused
        session = foreign.tls.session
        ids.add(b.session_id)
    assert session is not None and session.has_ticket and len(ids) == 3


def test_handshake_of_one_end_with_itself_fails() -> None:
    """Both cannot be host A."""
    a, other = one(Role.A), one(Role.A)
    with pytest.raises(ConnectionError):
        a.receive_data(other.data_to_send())


def test_a_connection_is_made_by_the_registry() -> None:
    definition, made = tep.create_connection(one(Role.A).outcome, TLS)
    assert definition is tep.registry()[0x30] and isinstance(made, Connection)
