"""Config: checked whole, messages name the field and what is allowed."""

import dataclasses

import pytest

from pyeno import Aead, Config, ConfigError, Tep
from pyeno.config import as_config
from pyeno.constants import FRAME_DATA_MAX


@pytest.mark.rfc("8547:4.2-4", "8547:4.2-6")
def test_defaults() -> None:
    config = Config()
    assert config.teps == (Tep.TCPCRYPT_ECDHE_Curve25519,)
    assert Aead.AES_128_GCM in config.aeads  # REQUIRED, RFC 8548 section 6
    assert not config.app_aware and not config.role_b  # RFC 8547 section 4.2
    assert config.frame_data == FRAME_DATA_MAX


def test_names_numbers_and_text_mean_the_same() -> None:
    by_name = Config(teps=["curve25519"], aeads="aes-256-gcm,aes-128-gcm")
    by_number = Config(teps=[0x23], aeads=[2, 1])
    by_text = Config(teps="0x23", aeads=("0x2", "1"))
    assert by_name == by_number == by_text
    assert by_name.aeads == (Aead.AES_256_GCM, Aead.AES_128_GCM)


@pytest.mark.rfc("8547:5-5")
def test_every_tep_by_name_and_number() -> None:
    """In the order given: that is the order of preference."""
    names = ("curve448", "p521", "curve25519", "p256")
    assert Config(teps=names).teps == (0x24, 0x22, 0x23, 0x21)
    assert Config(teps="0x24,P521, 35,0x21") == Config(teps=",".join(names))
    with pytest.raises(ConfigError, match="allowed: curve25519, curve448, p256, p521"):
        Config(teps="p384")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("teps", ()), ("teps", [0x1F]), ("teps", [0x80]), ("teps", ["rot13"]), ("teps", 2.5),
        ("teps", [0x23, 0x23]), ("aeads", ["null"]), ("aeads", [0]), ("aeads", [None]),
        ("app_aware", "maybe"), ("app_aware", 1), ("require", 1),
        ("role_b", None), ("resume", "no"),
        ("resumption_nonce_len", -1), ("resumption_nonce_len", 9),
        ("resumption_nonce_len", True), ("session_lifetime", 0), ("session_lifetime", 1.5),
        ("session_lifetime", 1 << 32), ("session_scope", None), ("session_scope", b"bytes"),
        ("rekey_bytes", 0), ("rekey_bytes", "1 GB"), ("rekey_bytes", True),
        ("frame_size", 0), ("frame_size", FRAME_DATA_MAX + 1), ("frame_size", "big"),
        ("handshake_timeout", 0), ("handshake_timeout", -1),
        ("handshake_timeout", float("nan")), ("handshake_timeout", None), ("keylog", 3),
        ("keylog", "/nowhere/keys"),
        ("keepalive", 0), ("keepalive", -1.0), ("keepalive", "30"), ("keepalive", True),
        ("keepalive", (1,)), ("keepalive", (1, 0)), ("keepalive", (1, 2, 3)),
        ("keepalive", (1, None)), ("keepalive", float("nan")), ("keepalive", 10**10),
        ("keepalive", [1, 2]),
    ],
)  # fmt: skip
def test_bad_values_name_the_field(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{field}: "):
        Config(**{field: value})  # type: ignore[arg-type]


def test_keepalive_values() -> None:
    assert Config().liveness is None
    assert Config(keepalive=30).liveness == (30, 30)
    assert Config(keepalive=(0.5, 2)).liveness == (0.5, 2)


def test_frozen_and_copied() -> None:
    config = Config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.require = True  # type: ignore[misc]
    assert config.but(require=True).require and not config.require
    with pytest.raises(ConfigError):
        config.but(frame_size=-1)


def test_as_config() -> None:
    assert as_config(None) == Config()
    with pytest.raises(TypeError, match=r"expected pyeno\.Config"):
        as_config({"require": True})


def test_self_aware_values() -> None:
    assert [Config(app_aware=a).self_aware for a in (False, True, "mandatory")] == [0, 1, 2]


@pytest.mark.rfc("8548:3.5-3", "8548:3.5-4")
def test_resumption_defaults() -> None:
    """RFC 8548 section 3.5: "MUST default to eight bytes"."""
    config = Config()
    assert config.resume and config.cache
    assert config.resumption_nonce_len == 8 and config.session_lifetime == 3600
    assert [Config(resumption_nonce_len=n).resumption_nonce_len for n in (0, 8)] == [0, 8]


def test_sessions_belong_to_a_policy() -> None:
    """What a session may be resumed under, and nothing else, is in its token."""
    config = Config()
    token = config.session_token
    assert len(token) == 8 and token == Config().session_token
    for same in (
        {"resume": False}, {"cache": False}, {"role_b": True}, {"frame_size": 100},
        {"resumption_nonce_len": 0}, {"session_lifetime": 1}, {"aeads": config.aeads[::-1]},
    ):  # fmt: skip
        assert config.but(**same).session_token == token, same
    others: list[dict[str, object]] = [
        {"aeads": [1]}, {"aeads": [2]}, {"app_aware": True}, {"app_aware": "mandatory"},
        {"require": True}, {"session_scope": "mail"}, {"session_scope": "\udcff"},
    ]  # fmt: skip
    assert len({token, *(config.but(**other).session_token for other in others)}) == 8
