"""What a relay is to do: one frozen value, checked whole when it is made."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Final, Literal

from pyeno.config import Config
from pyeno.constants import SECURE_PORTS
from pyeno.errors import ConfigError

Network = IPv4Network | IPv6Network

LOOPBACK: Final[tuple[Network, ...]] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
CONNECTIONS_LIMIT: Final = 1_000_000
WORKERS_LIMIT: Final = 64


def _ports(name: str, wish: object) -> frozenset[int]:
    if isinstance(wish, str | bytes) or not isinstance(wish, Iterable):
        raise ConfigError(f"{name}: {wish!r}; allowed: a list of ports, 1 to 65535")
    ports = tuple(wish)
    for port in ports:
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            raise ConfigError(f"{name}: {port!r}; allowed: ports, 1 to 65535")
    return frozenset(ports)


def _networks(name: str, wish: object) -> tuple[Network, ...]:
    if isinstance(wish, str | bytes) or not isinstance(wish, Iterable):
        raise ConfigError(f"{name}: {wish!r}; allowed: a list of networks, as 192.0.2.0/24")
    found = []
    for network in wish:
        try:
            found.append(ip_network(network))
        except ValueError as error:
            raise ConfigError(f"{name}: {error}; allowed: addresses, 192.0.2.0/24") from None
    return tuple(found)


def _number(name: str, wish: object, most: int) -> None:
    if not isinstance(wish, int) or isinstance(wish, bool) or not 0 < wish <= most:
        raise ConfigError(f"{name}: {wish!r}; allowed: an integer, 1 to {most}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Raises :class:`pyeno.ConfigError` for any value it cannot keep."""

    config: Config = field(default_factory=Config)
    """of every connection, both ways"""
    cgroups: tuple[Path, ...] = ()
    """cgroup2 directories whose programs are served, with all below them"""
    outbound: bool = True
    """relay what the programs connect to"""
    inbound: bool = True
    """relay what connects to the programs"""
    skip_ports: frozenset[int] = SECURE_PORTS
    """destination ports, and ports listened on, that are left alone"""
    skip_networks: tuple[Network, ...] = LOOPBACK
    """destinations that are left alone; loopback always is"""
    require_networks: tuple[Network, ...] = ()
    """peers in these must encrypt, as with ``config.require`` everybody must"""
    require_ports: frozenset[int] = frozenset()
    """connections to these ports must be encrypted: of peers, and of programs"""
    inbound_ports: frozenset[int] | None = None
    """ports to relay inbound; None: every one that a program listens on"""
    connections_max: int = 10_000
    """at once; more wait until others have ended"""
    workers: int = 1
    """threads that move data, each on a processor of its own"""
    fail: Literal["open", "closed"] = "open"
    """what becomes of the programs' connections if the relay is killed: they go on
    without it, or fail until a relay is there again"""
    pin: Path = Path("/sys/fs/bpf/pyeno-relay")
    """a directory of bpffs that ``fail = "closed"`` needs, one for each relay"""

    def __post_init__(self) -> None:
        if not isinstance(self.config, Config):
            raise ConfigError(f"config: {self.config!r}; allowed: a pyeno.Config")
        for name in ("outbound", "inbound"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name}: {getattr(self, name)!r}; allowed: True, False")
        if not (self.outbound or self.inbound):
            raise ConfigError("outbound, inbound: both are False; allow one of them")
        if self.fail not in ("open", "closed"):
            raise ConfigError(f"fail: {self.fail!r}; allowed: 'open', 'closed'")
        _number("connections_max", self.connections_max, CONNECTIONS_LIMIT)
        _number("workers", self.workers, WORKERS_LIMIT)
        skip = _networks("skip_networks", self.skip_networks)
        checked: dict[str, Any] = {
            "cgroups": tuple(Path(path) for path in self.cgroups),
            "pin": Path(self.pin),
            "skip_ports": _ports("skip_ports", self.skip_ports),
            "skip_networks": skip + tuple(own for own in LOOPBACK if own not in skip),
            "require_networks": _networks("require_networks", self.require_networks),
            "require_ports": _ports("require_ports", self.require_ports),
        }
        if self.inbound_ports is not None:
            checked["inbound_ports"] = _ports("inbound_ports", self.inbound_ports)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @cached_property
    def strict(self) -> Config:
        """``config`` for peers that must encrypt."""
        return self.config.but(require=True)

    def config_for(self, host: str, port: int) -> Config:
        """Of a connection with that peer, a numeric address, to that port of either."""
        if self.config.require:
            return self.config
        if port in self.require_ports:
            return self.strict
        if not self.require_networks:
            return self.config
        address = ip_address(host.partition("%")[0])
        wanted = any(address in network for network in self.require_networks)
        return self.strict if wanted else self.config

    def but(self, **changes: Any) -> "Settings":
        """A copy with these fields changed, checked anew."""
        return replace(self, **changes)
