"""What is redirected, and what is left alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from pyeno.errors import ConfigError
from pyeno.redirect import layout

Network = IPv4Network | IPv6Network
PORT_MAX = 65535
NETWORKS_MAX = 4096


@dataclass(frozen=True, slots=True)
class Rules:
    """Loopback, link-local and multicast addresses are never redirected.

    ConfigError for a port out of 1-65535, for what is no network, or for more than
    4096 networks.
    """

    skip_ports: frozenset[int] = frozenset()
    """no redirection to these ports; nor of connections to them, unless ``inbound_ports``
    names them"""
    skip_networks: tuple[Network, ...] = ()
    """no redirection of connections to these networks, nor from them"""
    inbound_ports: frozenset[int] | None = None
    """ports of this host to redirect; None: every one that a program of the cgroups
    listens on"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "skip_ports", _ports("skip_ports", self.skip_ports))
        if self.inbound_ports is not None:
            ports = _ports("inbound_ports", self.inbound_ports)
            object.__setattr__(self, "inbound_ports", ports)
        object.__setattr__(self, "skip_networks", _networks(self.skip_networks))

    def prefixes(self) -> Iterator[bytes]:
        """Keys of the map of skipped networks."""
        for network in self.skip_networks:
            number, bits = network.network_address.packed, network.prefixlen
            if network.version == 4:
                number, bits = layout.MAPPED + number, bits + 96
            yield layout.PREFIX.pack(bits, number)


def _ports(field: str, ports: Iterable[int]) -> frozenset[int]:
    numbers = frozenset(ports)
    for port in numbers:
        if not isinstance(port, int) or not 0 < port <= PORT_MAX:
            raise ConfigError(f"{field}: {port!r} is no port: 1 to {PORT_MAX}")
    return numbers


def _networks(networks: Iterable[object]) -> tuple[Network, ...]:
    found = []
    for network in networks:
        try:
            found.append(ip_network(network))  # type: ignore[arg-type]
        except ValueError as error:
            raise ConfigError(
                f"skip_networks: {error}: give networks as '192.0.2.0/24' or '2001:db8::/32'"
            ) from None
    if len(found) > NETWORKS_MAX:
        raise ConfigError(f"skip_networks: {len(found)} networks; at most {NETWORKS_MAX}")
    return tuple(found)
