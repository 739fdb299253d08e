"""What is redirected, and the structures that tell the kernel half so."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyeno.errors import ConfigError
from pyeno.redirect import Rules, layout

ROOT = Path(__file__).parents[2]


def test_as_given() -> None:
    rules = Rules(frozenset([22, 65535]), ("10.0.0.0/8", ip_network("fd00::/8")))  # type: ignore[arg-type]
    assert rules.skip_networks == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert rules.inbound_ports is None
    assert Rules(skip_ports=[22]).skip_ports == frozenset([22])  # type: ignore[arg-type]
    assert Rules(inbound_ports=()).inbound_ports == frozenset()  # type: ignore[arg-type]


def test_prefixes() -> None:
    """IPv4's are 96 bits longer, and all of IPv6 has them in it."""
    rules = Rules(skip_networks=("192.0.2.0/24", "::/0", "2001:db8::1"))  # type: ignore[arg-type]
    assert list(rules.prefixes()) == [
        layout.PREFIX.pack(120, bytes(10) + b"\xff\xff\xc0\0\2\0"),
        layout.PREFIX.pack(0, bytes(16)),
        layout.PREFIX.pack(128, bytes.fromhex("20010db8" + "0" * 23 + "1")),
    ]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"skip_ports": {0}}, "skip_ports: 0 is no port: 1 to 65535"),
        ({"skip_ports": {65536}}, "skip_ports: 65536 is no port"),
        ({"inbound_ports": {-1}}, "inbound_ports: -1 is no port"),
        ({"inbound_ports": {"http"}}, "inbound_ports: 'http' is no port"),
        ({"skip_networks": ("10.0.0.1/8",)}, "skip_networks: 10.0.0.1/8 has host bits set"),
        ({"skip_networks": ("example.org",)}, "skip_networks: 'example.org'"),
        ({"skip_networks": ["10.0.0.1"] * 4097}, "4097 networks; at most 4096"),
    ],
)
def test_what_cannot_be_meant(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        Rules(**fields)


@given(st.sets(st.integers(0, 65535), max_size=50))
def test_port_bits(ports: set[int]) -> None:
    """Bit n of the map is port n, as the kernel half reads it."""
    bits = layout.ports(frozenset(ports))
    assert len(bits) == layout.PORTS_LEN
    assert {n for n in range(65536) if bits[n >> 3] >> (n & 7) & 1} == ports


@pytest.mark.parametrize(
    "address",
    [("192.0.2.1", 80), ("0.0.0.0", 0), ("2001:db8::1", 65535, 0, 0), ("::", 1, 0, 0)],
)
def test_addresses(address: layout.Address) -> None:
    packed = layout.endpoint(address)
    assert len(packed) == 24 and layout.address(packed) == address


def test_addresses_that_mean_the_same() -> None:
    """Mapped ones are IPv4; a scope is not kept."""
    assert layout.address(layout.endpoint(("::ffff:192.0.2.1", 80, 0, 0))) == ("192.0.2.1", 80)
    assert layout.endpoint(("fe80::1%eth0", 1, 0, 2)) == layout.endpoint(("fe80::1", 1))


@pytest.mark.parametrize(
    "address", [("example.org", 80), ("192.0.2.1", 65536), ("192.0.2.1", -1), (b"\0", "x"),
                ("1.2.3", 80), ("192.0.2.1", None)],
)  # fmt: skip
def test_no_addresses(address: layout.Address) -> None:
    with pytest.raises(ConfigError, match="numeric"):
        layout.endpoint(address)


def test_layout_is_the_kernel_halfs() -> None:
    """Sizes as they were compiled."""
    text = (ROOT / "ext/bpf/redirect_insns.h").read_text()
    found = re.findall(r"\{ \"(\w+)\", \d+, (\d+), (\d+), (\d+), \d+ \},", text)
    sizes = {name: (int(key), int(value), int(most)) for name, key, value, most in found}
    assert sizes["eno_verdicts"][:2] == (24, layout.VERDICT.size)
    assert sizes["eno_rules"][:2] == (4, layout.RULES.size)
    assert sizes["eno_skipped"][0] == layout.PREFIX.size
    assert sizes["eno_reached"][:2] == (24, 24)
    assert sizes["eno_listening"][1] == layout.SOCKET.size
    assert sizes["eno_events"][2] == layout.RING_SIZE
    assert all(most for name, (_, _, most) in sizes.items() if name != "eno_origins")
