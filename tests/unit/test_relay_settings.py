"""What a relay may be told, and what it says to the rest."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from pyeno import Config, ConfigError
from pyeno.relay import LOOPBACK, SECURE_PORTS, Settings


def test_defaults_leave_secure_protocols_and_loopback_alone() -> None:
    settings = Settings()
    assert settings.outbound and settings.inbound and settings.fail == "open"
    assert settings.skip_ports == SECURE_PORTS
    assert {22, 443, 465, 636, 853, 989, 990, 993, 995, 5061, 8443} == SECURE_PORTS
    assert settings.skip_networks == LOOPBACK


def test_what_is_written_is_what_is_kept() -> None:
    settings = Settings(
        cgroups=("/a", Path("/b")),  # type: ignore[arg-type]
        skip_ports=(25, 25),  # type: ignore[arg-type]
        skip_networks=("192.0.2.0/24", "2001:db8::1"),  # type: ignore[arg-type]
        inbound_ports={80},  # type: ignore[arg-type]
    )
    assert settings.cgroups == (Path("/a"), Path("/b"))
    assert settings.skip_ports == {25} and settings.inbound_ports == {80}
    wanted = (ip_network("192.0.2.0/24"), ip_network("2001:db8::1/128"), *LOOPBACK)
    assert settings.skip_networks == wanted
    assert Settings(skip_networks=wanted).skip_networks == wanted


def test_require_by_network() -> None:
    settings = Settings(require_networks=("192.0.2.0/24", "fe80::/10"))  # type: ignore[arg-type]
    assert settings.config_for("192.0.2.9").require
    assert settings.config_for("fe80::1%eth").require
    assert not settings.config_for("198.51.100.1").require
    assert not settings.config_for("::1").require
    assert Settings(config=Config(require=True)).config_for("198.51.100.1").require
    # one object for all, so that no connection pays for checking it
    assert settings.config_for("192.0.2.9") is settings.config_for("192.0.2.10")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"config": None}, "config: None"),
        ({"outbound": 1}, "outbound: 1; allowed: True, False"),
        ({"inbound": "yes"}, "inbound: 'yes'"),
        ({"outbound": False, "inbound": False}, "outbound, inbound: both are False"),
        ({"fail": "ajar"}, "fail: 'ajar'; allowed: 'open', 'closed'"),
        ({"skip_ports": 80}, "skip_ports: 80; allowed: a list"),
        ({"skip_ports": "80"}, "skip_ports: '80'; allowed: a list"),
        ({"skip_ports": [0]}, "skip_ports: 0; allowed: ports, 1 to 65535"),
        ({"skip_ports": [65536]}, "skip_ports: 65536"),
        ({"skip_ports": [True]}, "skip_ports: True"),
        ({"inbound_ports": ["80"]}, "inbound_ports: '80'"),
        ({"skip_networks": "10.0.0.0/8"}, "skip_networks: '10.0.0.0/8'; allowed: a list"),
        ({"skip_networks": ["10.0.0.1/8"]}, "skip_networks: 10.0.0.1/8 has host bits"),
        ({"require_networks": ["host"]}, "require_networks: 'host'"),
        ({"require_networks": 5}, "require_networks: 5"),
        ({"connections_max": 0}, "connections_max: 0; allowed: an integer, 1 to"),
        ({"connections_max": 1.5}, "connections_max: 1.5"),
        ({"workers": 65}, "workers: 65; allowed: an integer, 1 to 64"),
        ({"workers": True}, "workers: True"),
    ],
)
def test_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings(**changes)
    assert says in str(refused.value)
    with pytest.raises(ConfigError):
        Settings().but(**changes)
