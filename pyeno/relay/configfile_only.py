"""Lists of what alone is relayed, as lists of what is left alone.

The kernel knows exceptions only; so ``[only]`` becomes all but that.
"""

from collections.abc import Iterable, Iterator
from ipaddress import collapse_addresses, ip_network
from typing import Any, Final

from pyeno.relay.settings import Network, Settings

_PORTS: Final = frozenset(range(1, 65536))
_EVERYTHING: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def left_alone(settings: Settings, only: dict[str, Any]) -> Settings:
    """The settings with everything skipped that ``only`` does not name, by the fields
    ``skip_ports`` and ``skip_networks``; what is skipped anyway stays so."""
    changes: dict[str, Any] = {}
    ports, networks = only.get("skip_ports"), only.get("skip_networks")
    if ports is not None:
        changes["skip_ports"] = settings.skip_ports | (_PORTS - frozenset(ports))
    if networks is not None:
        rest = _all_but([ip_network(network) for network in networks])
        changes["skip_networks"] = (*settings.skip_networks, *rest)
    return settings.but(**changes) if changes else settings


def _all_but(networks: list[Network]) -> Iterator[Network]:
    for everything in _EVERYTHING:
        remaining: list[Any] = [everything]
        kept: list[Any] = [one for one in networks if one.version == everything.version]
        for network in collapse_addresses(kept):
            remaining = [part for one in remaining for part in _without(one, network)]
        yield from remaining


def _without(one: Any, network: Any) -> Iterable[Any]:
    return one.address_exclude(network) if network.subnet_of(one) else (one,)
