"""Host B recognized by the key of its TLS (trust on first use)."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from unit.played import pair as tcpcrypt_pair
from unit.proving import PUBLIC, written

from pyeno import Role, auth
from pyeno.auth import ChangedKeyError, KnownHosts, KnownHostsError, Pins, UnknownKeyError
from pyeno.auth.keys import encode_public, parse_public, raw_point
from pyeno.auth.tls_key import recognize
from pyeno.errors import LocalProtocolError
from pyeno.tls import keys


def spki(key: Any) -> bytes:
    made: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return made


KEY, OTHER = spki(keys.ephemeral().key), spki(keys.ephemeral().key)
LINE = encode_public(raw_point(KEY))
ED25519_LINE = encode_public(PUBLIC[Role.B])


def test_the_words_are_openssh_s() -> None:
    assert LINE.startswith(
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYA"
    )
    assert parse_public(LINE) == raw_point(KEY)
    assert auth.fingerprint(raw_point(KEY)) == keys.fingerprint(KEY)
    wrong = LINE[:-8], LINE.replace("nistp256", "nistp384"), "ecdsa-sha2-nistp256 " + LINE
    for text in wrong:
        with pytest.raises(ValueError, match="public key in base64"):
            parse_public(text)


def test_a_pinned_key(tmp_path: Path) -> None:
    hosts = written(tmp_path / "known", f"host {LINE} a comment\n")
    known = recognize(KEY, Pins(hosts, "HOST", 7000))
    assert known == auth.Authenticated("tls-key", "[host]:7000", keys.fingerprint(KEY))
    with pytest.raises(ChangedKeyError) as caught:
        recognize(OTHER, Pins(hosts, "host", trust_on_first_use=True))
    assert caught.value.line == 1 and caught.value.fingerprint == keys.fingerprint(OTHER)
    with pytest.raises(UnknownKeyError, match="no key is pinned for other"):
        recognize(KEY, Pins(hosts, "other"))


def test_first_use(tmp_path: Path) -> None:
    path = tmp_path / "known"
    first = recognize(KEY, Pins(path, "host", trust_on_first_use=True))
    assert first.first_use and path.read_text() == f"host {LINE}\n"
    assert not recognize(KEY, Pins(path, "host", trust_on_first_use=True)).first_use
    with pytest.raises(ChangedKeyError):
        recognize(OTHER, Pins(path, "host", trust_on_first_use=True))
    assert path.read_text() == f"host {LINE}\n"


def test_a_host_may_have_a_key_of_each_kind(tmp_path: Path) -> None:
    """Neither takes the place of the other, nor makes the other one a changed key."""
    hosts = written(tmp_path / "known", f"host {ED25519_LINE}\n")
    with pytest.raises(UnknownKeyError):
        recognize(KEY, Pins(hosts, "host"))
    recognize(KEY, Pins(hosts, "host", trust_on_first_use=True))
    hosts.check(PUBLIC[Role.B], "host")
    with pytest.raises(ChangedKeyError) as caught:
        hosts.check(PUBLIC[Role.A], "host")
    assert caught.value.line == 1
    assert [len(entry.key) for entry in KnownHosts(hosts.path).entries()] == [32, 65]


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
    ],
    ids=["Ed25519", "RSA", "P-384"],
)
def test_other_keys_cannot_be_pinned(tmp_path: Path, key: Any) -> None:
    """Not even on first use: what is pinned could be avoided by another kind."""
    with pytest.raises(UnknownKeyError, match="no ecdsa-sha2-nistp256 key"):
        recognize(spki(key), Pins(tmp_path / "known", "host", trust_on_first_use=True))
    assert not (tmp_path / "known").exists()
    with pytest.raises(UnknownKeyError, match="no ecdsa"):
        recognize(b"no key at all", Pins(tmp_path / "known", "host"))


def test_bad_lines(tmp_path: Path) -> None:
    for text in f"host {LINE[:-4]}\n", "host ecdsa-sha2-nistp256 AAAA\n":
        with pytest.raises(KnownHostsError, match="field 3 is no ecdsa-sha2-nistp256 public"):
            written(tmp_path / "known", text).entries()


@pytest.mark.usefixtures("negotiated")
def test_tcpcrypt_has_no_such_key(tmp_path: Path) -> None:
    """The connection goes on."""
    with tcpcrypt_pair() as (a, b):
        for end in a, b:
            with pytest.raises(LocalProtocolError, match="only host A of a TLS connection"):
                auth.authenticate_tls_key(end, known_hosts=tmp_path / "known", name="host")
        a.sendall(b"still here")
        assert b.recv(100) == b"still here"
        assert a.eno.peer_key is b.eno.peer_key is None
