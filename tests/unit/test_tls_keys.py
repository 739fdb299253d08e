"""What TLS signs with as host B, ephemeral or long-lived, and the key log."""

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as keys_of
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from unit.tls_ends import (
    IDENTITY,
    TLS,
    one,
    pair,
    pem,
    spki,
)

from pyeno import Config, ConfigError, Role
from pyeno.errors import TepError
from pyeno.tls import context, keys


def test_ephemeral_keys_do_not_last() -> None:
    """One for so many connections as host B, then another; host A has none at all."""
    seen = [pair()[0].peer_key for _ in range(context.USES + 1)]
    assert 1 < len(set(seen)) <= 3
    _, b = pair()
    assert b.peer_key is None


def test_a_child_process_has_keys_of_its_own() -> None:
    a, _ = pair()
    read, write = os.pipe()
    if not (child := os.fork()):
        os.write(write, pair()[0].peer_key or b"")
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 1000)
    assert theirs and theirs != a.peer_key
    os.close(read)
    os.close(write)


def test_a_long_lived_key_is_recognized(tmp_path: Path) -> None:
    config = Config(teps=["tls"], tls_key=pem(tmp_path / "key"))
    seen = {pair(TLS, config)[0].peer_key for _ in range(3)}
    assert seen == {spki(IDENTITY.certificate)}
    other = keys.ephemeral()
    pem(tmp_path / "new", other).replace(tmp_path / "key")
    assert pair(TLS, config)[0].peer_key == spki(other.certificate)


@pytest.mark.parametrize("kind", ["OpenSSH", "PKCS8"])
def test_files_of_keys(tmp_path: Path, kind: str) -> None:
    key = keys.ephemeral().key
    form = getattr(keys_of.PrivateFormat, kind)
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(key.private_bytes(keys_of.Encoding.PEM, form, keys_of.NoEncryption()))
    assert keys.load(keys.look(path)).key.private_numbers() == key.private_numbers()


def written(path: Path, key: Any, secret: bytes = b"") -> Path:
    shut = keys_of.BestAvailableEncryption(secret) if secret else keys_of.NoEncryption()
    path.touch(0o600)
    path.write_bytes(key.private_bytes(keys_of.Encoding.PEM, keys_of.PrivateFormat.PKCS8, shut))
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path, "cannot read"),
        (lambda path: path.parent, "holds no|directory"),
        (lambda path: written(path, ed25519.Ed25519PrivateKey.generate()), "no P-256"),
        (lambda path: written(path, rsa.generate_private_key(65537, 2048)), "no P-256"),
        (lambda path: written(path, ec.generate_private_key(ec.SECP384R1())), "no P-256"),
        (lambda path: written(path, IDENTITY.key, b"shut"), "or an encrypted one"),
        (lambda path: path.touch(0o600) or path, "openssl genpkey"),
        (lambda path: (pem(path), path.chmod(0o644)) and path, "others may use"),
        (lambda path: (pem(path), path.write_bytes(bytes(1 << 17))) and path, "more than"),
        (lambda path: 7, "allowed: a path or None"),
    ],
)
def test_bad_keys_are_refused_with_the_policy(tmp_path: Path, make: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^tls_key: .*({says})"):
        Config(teps=["tls"], tls_key=make(tmp_path / "key"))


def test_a_key_that_went_away_fails_the_connection_only(tmp_path: Path) -> None:
    path = pem(tmp_path / "key")
    config = Config(teps=["tls"], tls_key=path)
    path.unlink()
    b = one(Role.B, config)
    with pytest.raises(TepError, match="tls_key"):
        b.receive_data(one(Role.A).data_to_send())


def test_the_certificate_says_nothing() -> None:
    certificate = keys.ephemeral().certificate
    assert certificate.subject.rfc4514_string() == "CN=TCP-ENO"
    assert certificate.not_valid_after_utc.year == 9999
    assert len(certificate.public_bytes(keys.Encoding.DER)) < 300
    assert keys.fingerprint(spki(certificate)).startswith("SHA256:")


# -- the key log ------------------------------------------------------------------------


def test_the_key_log_is_nss(tmp_path: Path) -> None:
    """What Wireshark reads; both ends log the same, and nothing is logged unasked."""
    logs = [tmp_path / "a", tmp_path / "b"]
    configs = [Config(teps=["tls"], keylog=log) for log in logs]
    pair(*configs)
    first, second = (sorted(log.read_text().splitlines()) for log in logs)
    assert first == second
    labels = {line.split()[0] for line in first}
    assert labels >= {
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "EXPORTER_SECRET",
    }  # fmt: skip
    assert all(len(line.split()) == 3 and len(line.split()[1]) == 64 for line in first)
    assert logs[0].stat().st_mode & 0o777 == 0o600
    size = logs[0].stat().st_size
    pair()
    assert logs[0].stat().st_size == size
