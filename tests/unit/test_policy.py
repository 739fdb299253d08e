"""The host's policy as administrators write it and as the BPF programs read it."""

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyeno import policy
from pyeno.constants import Tep
from pyeno.errors import ConfigError
from pyeno.policy import Policy, decode, parse_ports, parse_teps

ABI = (Path(__file__).parents[2] / "ext/wire/eno_abi.h").read_text()
LAYOUT = struct.Struct("<II2Q1024Q")
POLICIES = st.builds(
    Policy,
    connect=st.booleans(),
    listen=st.booleans(),
    teps=st.none() | st.sets(st.integers(0x20, 0x7F), min_size=1, max_size=95).map(
        lambda teps: tuple(sorted(teps))
    ),
    skip_ports=st.sets(st.integers(1, 65535), max_size=20).map(lambda p: tuple(sorted(p))),
    syns=st.integers(0, 255),
)  # fmt: skip


@given(POLICIES)
def test_encoded_as_the_header_says(given: Policy) -> None:
    """Bit n of word n / 64 stands for TEP or port n."""
    flags, syns, low, high, *ports = LAYOUT.unpack(given.encode())
    assert syns == given.syns
    assert (not flags & 1, not flags & 2) == (given.connect, given.listen)
    for tep in range(0x20, 0x80):
        forbidden = (low, high)[tep >> 6] >> (tep & 63) & 1
        assert bool(forbidden) is (given.teps is not None and tep not in given.teps)
    assert sum(word.bit_count() for word in ports) == len(given.skip_ports)
    assert all(ports[port >> 6] >> (port & 63) & 1 for port in given.skip_ports)
    assert decode(given.encode()) == given == given.but({})


def test_flags_are_the_headers() -> None:
    for name, value in (("CONNECT", policy._NO_CONNECT), ("LISTEN", policy._NO_LISTEN)):
        assert re.search(rf"ENO_POLICY_NO_{name} = {value}\b", ABI)
    assert re.search(r"ENO_PORTS = 1 << 16\b", ABI)
    assert re.search(rf"ENO_SYNS_MAX = {policy.SYNS_MAX}\b", ABI)
    assert Policy(syns=0).encode() == bytes(LAYOUT.size)


def test_teps_as_written() -> None:
    assert parse_teps("all") is parse_teps(" ALL ") is None
    assert parse_teps("curve25519") == (Tep.TCPCRYPT_ECDHE_Curve25519,)
    assert parse_teps("Curve25519, 0x7f,33") == (0x23, 0x7F, 33)


@pytest.mark.parametrize(
    "text", ["", ",", "0x23,", "none", "0x1f", "0x80", "-1", "0xa3", "all,0x23", "x25519", "²"]
)
def test_teps_that_cannot_be(text: str) -> None:
    with pytest.raises(ConfigError, match=r"teps: .*allowed: 'all'.*curve25519.*0x20 to 0x7f"):
        parse_teps(text)


def test_ports_as_written() -> None:
    assert parse_ports("22") == (22,)
    assert parse_ports("443, 1,65535") == (443, 1, 65535)


@pytest.mark.parametrize("text", ["", "22,", "0", "65536", "-1", "ssh", "0x16", "22-25", "²"])
def test_ports_that_cannot_be(text: str) -> None:
    with pytest.raises(ConfigError, match=r"skip-port: .*allowed: ports from 1 to 65535"):
        parse_ports(text)


@pytest.mark.parametrize("text", ["", "-1", "256", "three", "0x3", "²"])
def test_syns_that_cannot_be(text: str) -> None:
    with pytest.raises(ConfigError, match=r"syns: .*allowed: 0 \(all\) to 255"):
        policy.parse_syns(text)
    assert [policy.parse_syns(good) for good in ("0", "3", "255")] == [0, 3, 255]


def test_changes_are_checked_and_ordered() -> None:
    start = Policy(skip_ports=(7,))
    assert start.but({"listen": False}) == Policy(listen=False, skip_ports=(7,))
    assert start.but({"teps": (0x24, 0x21, 0x24)}).teps == (0x21, 0x24)
    assert start.but({"skip_ports": (443, 22, 443)}).skip_ports == (22, 443)
    for teps in ((), (0x1F,), (0x80,)):
        with pytest.raises(ConfigError, match="teps"):
            start.but({"teps": teps})
    for syns in (-1, 256):
        with pytest.raises(ConfigError, match="syns"):
            start.but({"syns": syns})
    for port in (0, 65536, -1):
        with pytest.raises(ConfigError, match="skip-port"):
            start.but({"skip_ports": (port,)})


def test_in_words() -> None:
    everything = "connect yes, listen yes, TEPs all, skipped ports none, in 3 SYNs"
    assert str(Policy()) == everything
    given = Policy(False, True, (0x23, 0x7F), (22, 443), 0)
    assert str(given) == (
        "connect no, listen yes, TEPs curve25519 0x7f, skipped ports 22 443, in every SYN"
    )
    assert given.as_dict() == {
        "connect": False, "listen": True, "teps": ["0x23", "0x7f"], "skip_ports": [22, 443],
        "syns": 0,
    }  # fmt: skip
