"""What the launcher tells the program and its children, in their environment."""

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from pyeno.config import Config
from pyeno.constants import ECDHE
from pyeno.errors import ConfigError
from pyeno.inprocess.rules import Rules

VARIABLE = "PYENO_IN_PROCESS"
PATIENCE = 10**6
"""seconds a peer may take for the key exchange: a program that is busy accepts late, and
its own timeouts say how long that may be"""


class Settings(NamedTuple):
    """One policy for all sockets of a program."""

    config: Config = Config(handshake_timeout=PATIENCE)
    rules: Rules = Rules()

    def encode(self) -> str:
        """As the environment has it; ``early``: plug-ins and TLS import what a program may be
        half-way through importing when it comes to ``socket``."""
        default = Config()
        wishes = {
            field.name: value
            for field in fields(Config)
            if field.init and (value := getattr(self.config, field.name)) != getattr(
                default, field.name
            )
        }  # fmt: skip
        told = {
            "config": wishes,
            "skip_ports": sorted(self.rules.skip_ports),
            "loopback": self.rules.loopback,
            "early": not set(self.config.teps) <= set(ECDHE),
        }
        return json.dumps(told, default=os.fspath)

    @classmethod
    def decode(cls, text: str) -> "Settings":
        """Raises ConfigError."""
        try:
            told = json.loads(text)
            wishes = {name: _tuple(value) for name, value in told["config"].items()}
            rules = Rules(frozenset(told["skip_ports"]), bool(told["loopback"]))
            return cls(Config(**wishes), rules)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{VARIABLE}: {error}; leave it to `pyeno run --in-process` to set it"
            ) from None


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def from_environment(environment: Mapping[str, str]) -> Settings | None:
    """None where this program was not launched for ENO.  Raises ConfigError."""
    text = environment.get(VARIABLE)
    return None if text is None else Settings.decode(text)
