"""What ``pyeno relay`` does beside relaying: one frozen value, checked when it is made."""

import importlib.util
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, Literal, TypeAlias

from pyeno.config import SECONDS_MAX
from pyeno.errors import ConfigError

LOG_FORMATS: Final = ("text", "json")
ERRORS_LIMIT: Final = 1_000_000
Endpoint: TypeAlias = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Raises :class:`pyeno.ConfigError` for any value it cannot keep."""

    drain_seconds: float = 30
    """how long connections may go on after SIGTERM, before they are reset"""
    log_format: Literal["text", "json"] = "text"
    """``key=value`` words, or one JSON object a line"""
    log_connections: bool = True
    """a line for each connection that ended"""
    errors_per_minute: int = 60
    """lines about connections that failed; of the others only the number is told"""
    metrics: str | None = None
    """``ADDRESS:PORT``, a loopback one, where Prometheus finds the counters"""

    def __post_init__(self) -> None:
        _number("drain_seconds", self.drain_seconds, (int, float), SECONDS_MAX)
        _number("errors_per_minute", self.errors_per_minute, (int,), ERRORS_LIMIT)
        if self.log_format not in LOG_FORMATS:
            allowed = ", ".join(map(repr, LOG_FORMATS))
            raise ConfigError(f"log_format: {self.log_format!r}; allowed: {allowed}")
        if not isinstance(self.log_connections, bool):
            raise ConfigError(
                f"log_connections: {self.log_connections!r}; allowed: True, False"
            )
        if self.metrics is not None:
            endpoint(self.metrics)
            if importlib.util.find_spec("prometheus_client") is None:
                raise ConfigError(
                    "metrics: prometheus_client is not installed: run "
                    "pip install 'pyeno[metrics]', or leave it out"
                )


def endpoint(text: Any) -> Endpoint:
    """``127.0.0.1:9469`` or ``[::1]:9469``: the counters are nobody else's business."""
    try:
        host, _, port = text.rpartition(":")
        address = ip_address(host.removeprefix("[").removesuffix("]"))
        if address.is_loopback and port.isdecimal() and 0 < int(port) < 65536:
            return str(address), int(port)
    except (AttributeError, ValueError):
        pass
    raise ConfigError(
        f"metrics: {text!r}; allowed: a loopback address and a port, as 127.0.0.1:9469"
    )


def _number(name: str, value: Any, kinds: tuple[type, ...], most: int) -> None:
    number = isinstance(value, kinds) and not isinstance(value, bool)
    if not number or not 0 <= value <= most:
        what = "an integer" if kinds == (int,) else "a number"
        raise ConfigError(f"{name}: {value!r}; allowed: {what}, 0 to {most}")
