"""pyeno.auth's protocol without sockets: what is said, and who is not believed."""

import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.proving import (
    A_HELLO,
    ACCEPT,
    B_HELLO,
    IDENTITIES,
    METHODS,
    OTHER_ID,
    PROOF,
    PSK,
    SESSION_ID,
    STRANGER,
    Counting,
    InMemory,
    couple,
    end,
    run,
    said_by,
)

from pyeno import ConfigError, LocalProtocolError, Role
from pyeno.auth import (
    Authenticated,
    MessageError,
    MethodError,
    PeerNotAuthenticatedError,
    ProofError,
    ReflectionError,
    UnknownKeyError,
    fingerprint,
)
from pyeno.auth.keys import raw_public
from pyeno.auth.messages import HEADER_LEN, MESSAGE_MAX

both = pytest.mark.parametrize("method", METHODS)


def statement(method: str, role: bytes, context: bytes = b"") -> bytes:
    """docs/authentication.md, byte by byte."""
    return (
        b"pyeno.auth 1 proof\x00"
        + b"\x00\x29" + b"tcp-eno" + role + SESSION_ID
        + len(context).to_bytes(2, "big") + context
        + A_HELLO[method] + B_HELLO[method]
    )  # fmt: skip


@both
def test_both_ends_accept(method: str) -> None:
    a, b = couple(method)
    assert run(a, b) == {}
    assert a.done and b.done and a.wanted == b.wanted == 0
    assert a.authenticated.method == b.authenticated.method == method
    if method == "psk":
        assert a.authenticated == Authenticated("psk")
    else:
        key = raw_public(IDENTITIES[Role.B].public_key())
        assert a.authenticated == Authenticated(method, "peer.example", fingerprint(key))
    assert a.authenticated.as_dict().keys() == {"method", "name", "fingerprint", "first_use"}


@pytest.mark.parametrize("context", [b"", b"example protocol 1"])
def test_what_is_said_with_a_key(context: bytes) -> None:
    for role, hello in ((Role.A, A_HELLO), (Role.B, B_HELLO)):
        proved = statement("psk", role.value.encode(), context)
        proof = hmac.new(PSK, proved, hashlib.sha256).digest()
        said = said_by("psk", role, context=context)
        assert said == hello["psk"] + PROOF["psk"] + proof + ACCEPT


@pytest.mark.parametrize("context", [b"", b"example protocol 1"])
def test_what_is_said_with_identities(context: bytes) -> None:
    for role, hello in ((Role.A, A_HELLO), (Role.B, B_HELLO)):
        said = said_by("ed25519", role, context=context)
        head = hello["ed25519"] + PROOF["ed25519"]
        assert said.startswith(head) and said.endswith(ACCEPT)
        proof = said[len(head) : -len(ACCEPT)]
        proved = statement("ed25519", role.value.encode(), context)
        IDENTITIES[role].public_key().verify(proof, proved)  # or InvalidSignature


@both
@settings(max_examples=40)
@given(data=st.data())
def test_bytes_may_come_in_any_pieces(method: str, data: st.DataObject) -> None:
    """And what the application sends afterwards is left to it."""
    said = said_by(method, Role.B) + b"application"
    a = end(method, Role.A)
    while said:
        size = data.draw(st.integers(1, len(said)))
        assert not a.done
        a.receive_data(said[:size])
        said = said[size:]
    a.data_to_send()
    assert a.done and a.unused_data == b"application"
    assert a.authenticated.method == method


@both
@pytest.mark.parametrize("share", [1, 2, 1000])
def test_wanted_is_never_more_than_the_protocol(method: str, share: int) -> None:
    """A caller that receives what is wanted takes nothing of the application's."""
    said = said_by(method, Role.B) + b"application"
    a = end(method, Role.A)
    while a.wanted:
        assert a.wanted <= MESSAGE_MAX
        size = max(1, a.wanted // share)
        a.receive_data(said[:size])
        said = said[size:]
    assert said == b"application" and a.unused_data == b""


@both
@settings(max_examples=40)
@given(data=st.data())
def test_both_ends_at_once_in_any_order(method: str, data: st.DataObject) -> None:
    """Pieces of any size, each direction when it likes: both ends come to the same."""
    ends = dict(zip(Role, couple(method), strict=True))
    wire = dict.fromkeys(Role, b"")
    while True:
        for role, each in ends.items():
            wire[role] += each.data_to_send()
        ready = [role for role in Role if wire[role]]
        if not ready:
            break
        role = data.draw(st.sampled_from(ready))
        size = data.draw(st.integers(1, len(wire[role])))
        ends[role.opposite].receive_data(wire[role][:size])
        wire[role] = wire[role][size:]
    assert all(each.done for each in ends.values())


@both
@given(data=st.data())
def test_who_changes_anything_convinces_nobody(method: str, data: st.DataObject) -> None:
    """Whatever somebody puts in place of some bytes: an end that accepts was sent what
    the other end sent."""
    ends = dict(zip(Role, couple(method), strict=True))
    failed: set[Role] = set()
    said, told = dict.fromkeys(Role, b""), dict.fromkeys(Role, b"")
    moving = True
    while moving:
        moving = False
        for role, each in ends.items():
            sent = each.data_to_send()
            if not sent or role.opposite in failed:
                continue
            moving = True
            said[role] += sent
            if data.draw(st.booleans()):
                at = data.draw(st.integers(0, len(sent)))
                put = data.draw(st.binary(max_size=8))
                sent = sent[:at] + put + sent[at + len(put) :]
            told[role] += sent
            try:
                ends[role.opposite].receive_data(sent)
            except PeerNotAuthenticatedError:
                failed.add(role.opposite)
    for role, each in ends.items():
        heard = told[role.opposite].removesuffix(each.unused_data)
        assert not each.done or heard == said[role.opposite]


# -- who is not believed -------------------------------------------------------------


@both
@pytest.mark.rfc("8547:5.1-4", "8547:10-1")
def test_somebody_in_the_middle(method: str) -> None:
    """He relays every byte, but his two connections have two session IDs."""
    a, b = end(method, Role.A), end(method, Role.B, session_id=OTHER_ID)
    failed = run(a, b)
    assert {role: type(error) for role, error in failed.items()} == {
        Role.A: ProofError,
        Role.B: ProofError,
    }
    assert "two session IDs" in str(failed[Role.A])
    assert not a.done and not b.done


@both
def test_another_context(method: str) -> None:
    a, b = end(method, Role.A, context=b"one"), end(method, Role.B, context=b"two")
    assert {type(error) for error in run(a, b).values()} == {ProofError}


def test_another_psk() -> None:
    failed = run(end("psk", Role.A, key=bytes(32)), end("psk", Role.B))
    assert {role: type(error) for role, error in failed.items()} == {
        Role.A: ProofError,
        Role.B: ProofError,
    }


def test_an_unknown_key_is_proved_nothing() -> None:
    """The key is judged before anything is signed for it."""
    a, b = end("ed25519", Role.A), end("ed25519", Role.B, key=STRANGER)
    b_hello = b.data_to_send()
    assert a.data_to_send() == A_HELLO["ed25519"]
    with pytest.raises(UnknownKeyError) as caught:
        a.receive_data(b_hello)
    assert caught.value.fingerprint == fingerprint(raw_public(STRANGER.public_key()))
    assert a.data_to_send() == b"" and not a.done


def test_a_known_public_key_without_its_private_one() -> None:
    """The stranger says somebody else's public key, and can sign with his own only."""
    b = end("ed25519", Role.B, key=STRANGER)
    a = end("ed25519", Role.A)
    forged = B_HELLO["ed25519"]
    b._hellos[Role.B] = forged
    b.data_to_send()
    b.receive_data(a.data_to_send())
    a.receive_data(forged)
    with pytest.raises(ProofError):
        a.receive_data(b.data_to_send())


@pytest.mark.parametrize(
    "key", [b"\1" + bytes(31), bytes(32), b"\xff" * 32], ids=["neutral", "order 4", "no point"]
)
def test_keys_for_which_anybody_can_sign(key: bytes) -> None:
    """The neutral point "signs" everything: never judged, let alone pinned."""
    a = end("ed25519", Role.A, pins=InMemory(STRANGER, new=True))
    a._pins.known.add(key)
    with pytest.raises(MessageError, match="public key at offset 42 is no Ed25519 key"):
        a.receive_data(B_HELLO["ed25519"][:42] + key)
    assert a.data_to_send() == b"" and not a._pins.pinned


@pytest.mark.parametrize("good", [True, False])
def test_a_key_is_pinned_only_once_it_is_proved(good: bool) -> None:
    pins = InMemory(IDENTITIES[Role.B], new=True)
    a = end("ed25519", Role.A, pins=pins)
    b = end("ed25519", Role.B, session_id=SESSION_ID if good else OTHER_ID)
    failed = run(a, b)
    assert (Role.A in failed) is not good
    assert pins.pinned == ([raw_public(IDENTITIES[Role.B].public_key())] if good else [])
    if good:
        assert a.authenticated.first_use and not b.authenticated.first_use


@both
def test_an_echo(method: str) -> None:
    """Whoever sends back what a host sent claims the host's own role."""
    for role in Role:
        one = end(method, role)
        with pytest.raises(ReflectionError, match="role at offset 9"):
            one.receive_data(one.data_to_send())


@both
def test_both_think_they_are_the_same_host(method: str) -> None:
    failed = run(end(method, Role.A), end(method, Role.A, nonce=7))
    assert {type(error) for error in failed.values()} == {ReflectionError}


@both
def test_its_own_proof_sent_back(method: str) -> None:
    a, b = couple(method)
    b_hello = b.data_to_send()
    a.data_to_send()
    a.receive_data(b_hello)
    with pytest.raises(ReflectionError, match="own proof"):
        a.receive_data(a.data_to_send())


@both
def test_a_replay(method: str) -> None:
    """Even if a session ID came again, the nonce of this end would not."""
    said = said_by(method, Role.B)
    a = end(method, Role.A, nonce=1)
    with pytest.raises(ProofError):
        a.receive_data(said)
    assert not a.done


def test_two_methods() -> None:
    failed = run(end("psk", Role.A), end("ed25519", Role.B))
    assert {type(error) for error in failed.values()} == {MethodError}
    assert "is ed25519, this host's is psk" in str(failed[Role.A])


# -- secrets, and wrong use ---------------------------------------------------------------


@both
def test_no_secret_is_told(method: str) -> None:
    a, b = end(method, Role.A), end(method, Role.B, session_id=OTHER_ID)
    (error, *_) = run(a, b).values()
    secrets = [PSK, SESSION_ID[1:], b"a" * 32]
    for text in (repr(a), repr(a._binding), str(error), repr(error)):
        assert not any(secret.hex() in text or repr(secret)[2:-1] in text for secret in secrets)


def test_not_done_yet() -> None:
    a, _ = couple("psk")
    with pytest.raises(LocalProtocolError, match="drive the exchange until done"):
        _ = a.authenticated
    assert a.unused_data == b"" and a.wanted == HEADER_LEN and "under way" in repr(a)


def test_accepted_but_not_told_the_peer_yet() -> None:
    """Done only once ACCEPT has left, or the peer would wait for ever."""
    a = end("psk", Role.A)
    a.receive_data(said_by("psk", Role.B))
    assert not a.done
    assert a.data_to_send().endswith(ACCEPT)
    assert a.done and "done" in repr(a)


def test_wrong_use() -> None:
    with pytest.raises(ConfigError, match="key: 15 bytes; allowed: 16 or more"):
        end("psk", Role.A, key=bytes(15))
    with pytest.raises(TypeError, match="key: bytes, not str"):
        end("psk", Role.A, key="a" * 32)
    with pytest.raises(TypeError, match="an Ed25519PrivateKey, not bytes: load_identity"):
        end("ed25519", Role.A, key=bytes(32))
    with pytest.raises(ConfigError, match="context: 65536 bytes; allowed: 0 to 65535"):
        end("psk", Role.A, context=bytes(65536))


def test_the_system_s_randomness() -> None:
    """Without an injected one no two nonces are equal."""
    from pyeno.auth import ChannelBinding, PskExchange

    binding = ChannelBinding(Role.A, SESSION_ID)
    hellos = {PskExchange(binding, PSK).data_to_send() for _ in range(50)}
    assert len(hellos) == 50 and Counting(0).public(2) == b"\x00\x01"
