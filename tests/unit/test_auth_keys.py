"""Keys in files."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from unit.proving import IDENTITIES

from pyeno import ConfigError, Role
from pyeno._keyfiles import FILE_MAX
from pyeno.auth import KeyFileError, fingerprint, load_identity, load_psk
from pyeno.auth.keys import encode_public, parse_public, raw_public

IDENTITY = IDENTITIES[Role.A]
PUBLIC = raw_public(IDENTITY.public_key())


def saved(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


def openssh(key: object) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def test_an_identity(tmp_path: Path) -> None:
    path = saved(tmp_path / "id", openssh(IDENTITY))
    assert raw_public(load_identity(path).public_key()) == PUBLIC


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        openssh(IDENTITY)[:100],
        openssh(IDENTITY).replace(b"A", b"!"),
        openssh(ec.generate_private_key(ec.SECP256R1())),
        b"\xff" * 1000,
    ],
)
def test_what_is_no_identity(tmp_path: Path, data: bytes) -> None:
    path = saved(tmp_path / "id", data)
    with pytest.raises(KeyFileError, match="make one: ssh-keygen -t ed25519") as caught:
        load_identity(path)
    assert str(caught.value).startswith(f"{path}: ") and isinstance(caught.value, ConfigError)
    assert caught.value.__context__ is None  # nor what the library says of the contents


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
@pytest.mark.parametrize("load", [load_identity, load_psk])
def test_files_that_others_can_read(tmp_path: Path, load: object, mode: int) -> None:
    path = saved(tmp_path / "id", openssh(IDENTITY), mode)
    with pytest.raises(KeyFileError, match=rf"\(mode {mode:04o}\): chmod 600 {path}"):
        load(path)


@pytest.mark.parametrize("load", [load_identity, load_psk])
def test_files_that_hold_no_key(tmp_path: Path, load: object) -> None:
    with pytest.raises(KeyFileError, match=f"more than {FILE_MAX} bytes, so no key"):
        load(saved(tmp_path / "big", bytes(FILE_MAX + 1)))
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing")


@pytest.mark.parametrize("text", ["0f" * 16, "0F" * 32 + "\n", "  " + "a1" * 100 + "\r\n"])
def test_a_pre_shared_key(tmp_path: Path, text: str) -> None:
    assert load_psk(saved(tmp_path / "psk", text.encode())) == bytes.fromhex(text)


@pytest.mark.parametrize("text", ["", "0f" * 15, "0f" * 16 + "0", "secret" * 8, "0f " * 16])
def test_what_is_no_pre_shared_key(tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyFileError, match="32 hexadecimal digits or more") as caught:
        load_psk(saved(tmp_path / "psk", text.encode()))
    assert not text or text not in str(caught.value)


def test_public_keys_in_words() -> None:
    """RFC 8709 section 4: two strings, each behind its length."""
    words = encode_public(PUBLIC)
    assert (
        words.startswith("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI")
        and parse_public(words) == PUBLIC
    )
    for wrong in ("", "ssh-ed25519", words[:-4], words.replace("ssh-ed25519", "ssh-rsa")):
        with pytest.raises(ValueError, match="no ssh-ed25519 public key"):
            parse_public(wrong)


# made by ssh-keygen -t ed25519 (OpenSSH 9.2)
PRIVATE_FILE = b"""\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACAoMBT5hSCqUxbXFT3aHc/mMyyMN0K1hVDnm+ceHiIzQAAAAJDENxCRxDcQ
kQAAAAtzc2gtZWQyNTUxOQAAACAoMBT5hSCqUxbXFT3aHc/mMyyMN0K1hVDnm+ceHiIzQA
AAAEAE/4fH3HM3MYUDFI5cMEUsASVaScztR0E/GMOSLFlVCCgwFPmFIKpTFtcVPdodz+Yz
LIw3QrWFUOeb5x4eIjNAAAAACWEgY29tbWVudAECAwQ=
-----END OPENSSH PRIVATE KEY-----
"""
PUBLIC_FILE = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICgwFPmFIKpTFtcVPdodz+YzLIw3QrWFUOeb5x4eIjNA a comment"
)
FINGERPRINT = "SHA256:7GkPxvhJgBWdwU3lb9KxXy8f634RvjKFUa+QnRaFDEc"
ENCRYPTED_FILE = b"""\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABCbZy7nhn
ZTx1UnZxMkUp6pAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIC0SkoquQR9lr2SJ
tXcWKUcMXpDTUyezo47TZmSWHioHAAAAkDJp4IrDSnJLeHcWUlLH96RAL8cn061bEwxzT6
WbiDs4HFIrBp+C+NFsYS6G7VokyR7Yi32zpgeL53EPQ9zU7EvDhzAnCU9pch7t+Wpt1KeK
1JaOSIKRz5ZmttWCkuNKKa0cve7WZJRv4dBE1PkngIcoMgnK2OJkPmEfKWJVV4D25+wzDf
Wevhbe0W0RWEY8oA==
-----END OPENSSH PRIVATE KEY-----
"""


def test_what_ssh_keygen_makes(tmp_path: Path) -> None:
    """Its private key, its .pub line, and the fingerprint that ssh-keygen -l tells."""
    public = raw_public(load_identity(saved(tmp_path / "id", PRIVATE_FILE)).public_key())
    assert parse_public(PUBLIC_FILE) == public
    assert fingerprint(public) == FINGERPRINT


def test_an_encrypted_identity(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="or an encrypted one; make one"):
        load_identity(saved(tmp_path / "id", ENCRYPTED_FILE))
