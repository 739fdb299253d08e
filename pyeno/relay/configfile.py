"""The configuration file of ``pyeno relay``: TOML to frozen, checked values.

    text ──tomllib──▶ tables ──KEYS──▶ fields of Settings, Config, ServiceSettings

The values are judged by those classes alone; here each is tried by itself, so
that an error can name the file, the line and the key as well as what is
allowed.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from pyeno import mounts
from pyeno.config import Config
from pyeno.errors import ConfigError, KernelError
from pyeno.relay import configfile_lines
from pyeno.relay.configfile_only import left_alone
from pyeno.relay.configfile_service import ServiceSettings
from pyeno.relay.settings import Settings

Key = configfile_lines.Path

# a relay never opens simultaneously; the keys of a whole host's connections go nowhere
_NOT_FOR_RELAYS: Final = {"role_b", "keylog", "handshake_timeout"}
KEYS: Final[dict[Key, tuple[type, str]]] = {
    ("cgroups",): (Settings, "cgroups"),
    ("fail",): (Settings, "fail"),
    ("outbound", "enabled"): (Settings, "outbound"),
    ("inbound", "enabled"): (Settings, "inbound"),
    ("inbound", "ports"): (Settings, "inbound_ports"),
    ("skip", "ports"): (Settings, "skip_ports"),
    ("skip", "networks"): (Settings, "skip_networks"),
    ("only", "ports"): (Settings, "skip_ports"),
    ("only", "networks"): (Settings, "skip_networks"),
    ("require", "ports"): (Settings, "require_ports"),
    ("require", "networks"): (Settings, "require_networks"),
    ("limits", "connections_max"): (Settings, "connections_max"),
    ("limits", "handshake_timeout"): (Config, "handshake_timeout"),
    ("limits", "workers"): (Settings, "workers"),
    ("limits", "drain_seconds"): (ServiceSettings, "drain_seconds"),
    ("log", "format"): (ServiceSettings, "log_format"),
    ("log", "connections"): (ServiceSettings, "log_connections"),
    ("log", "errors_per_minute"): (ServiceSettings, "errors_per_minute"),
    ("metrics", "address"): (ServiceSettings, "metrics"),
} | {
    ("encryption", field.name): (Config, field.name)
    for field in fields(Config)
    if field.init and field.name not in _NOT_FOR_RELAYS
}
"""Every key there is, and the field that it sets."""
TABLES: Final = {path[:size] for path in KEYS for size in range(1, len(path))}
LISTS: Final[dict[Key, tuple[type, ...]]] = {
    ("cgroups",): (str,),
    ("inbound", "ports"): (int,),
    ("skip", "ports"): (int,),
    ("skip", "networks"): (str,),
    ("only", "ports"): (int,),
    ("only", "networks"): (str,),
    ("require", "ports"): (int,),
    ("require", "networks"): (str,),
    ("encryption", "teps"): (str, int),
    ("encryption", "aeads"): (str, int),
}
"""What has to be a list, and of what."""
NONE: Final[dict[Key, str]] = {
    ("inbound", "ports"): "all",
    ("only", "ports"): "all",
    ("only", "networks"): "all",
    ("encryption", "rekey_bytes"): "never",
    ("encryption", "keepalive"): "never",
    ("encryption", "tls_key"): "ephemeral",
}
"""A word for None, which TOML has none for."""
_NAMES: Final = {str: "strings", int: "integers"}


class Configuration(NamedTuple):
    """What one file says."""

    settings: Settings
    service: ServiceSettings


def load(path: Path) -> Configuration:
    """Read and check a file.  Raises ConfigError, which names file, line and key."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; allowed: a TOML file") from None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: byte {error.start} is not UTF-8") from None
    return parse(text.replace("\r\n", "\n"), str(path))


def parse(text: str, name: str) -> Configuration:
    """The same of a text; ``name`` is what errors call it."""
    return _Reader(text, name).read()


class _Reader:
    """One text, and where errors in it are."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name
        self.lines: dict[Key, int] = {}

    def read(self) -> Configuration:
        try:
            tables = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise self._misspelt(error) from None
        self.lines = configfile_lines.find(self.text)
        given: dict[type, dict[str, Any]] = {Config: {}, Settings: {}, ServiceSettings: {}}
        only: dict[str, Any] = {}
        for path, value in self._leaves(tables):
            kind, field = KEYS[path]
            checked = self._checked(path, kind, field, value)
            (only if path[0] == "only" else given[kind])[field] = checked
        if not given[Settings].get("cgroups"):
            self._fail(("cgroups",), "missing or empty; allowed: a list of cgroup2 directories")
        given[Settings]["config"] = self._whole(Config, given[Config])
        settings = left_alone(self._whole(Settings, given[Settings]), only)
        return Configuration(settings, self._whole(ServiceSettings, given[ServiceSettings]))

    # -- keys ------------------------------------------------------------------

    def _leaves(self, table: dict[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
        for word, value in table.items():
            path = (*above, word)
            if path in KEYS:
                yield path, value
            elif path not in TABLES:
                self._unknown(path)
            elif not isinstance(value, dict):
                self._fail(path, f"{value!r}; allowed: a table, [{word}]")
            else:
                yield from self._leaves(value, path)

    def _unknown(self, path: Key) -> NoReturn:
        """Say which one was meant: of its table first, then of any."""
        known = [key for key in (*KEYS, *TABLES) if key[:-1] == path[:-1]]
        words = {key[-1]: key for key in known}
        elsewhere = {key[-1]: key for key in KEYS}
        for names in (words, elsewhere):
            for near in difflib.get_close_matches(path[-1], names, 1):
                self._fail(path, f"unknown key; did you mean {'.'.join(names[near])}?")
        self._fail(path, f"unknown key; allowed: {', '.join(sorted(words))}")

    # -- values ----------------------------------------------------------------

    def _checked(self, path: Key, kind: type, field: str, given: Any) -> Any:
        """The value, if its class takes it."""
        if path in NONE and given == NONE[path]:
            return None
        value = tuple(given) if isinstance(given, list) else given
        if path in LISTS:
            self._check_list(path, given)
        try:
            value = _directories(value) if path == ("cgroups",) else value
            kind(**{field: value})
        except KernelError as error:
            self._fail(path, str(error.strerror))
        except ConfigError as error:
            what = _in_toml(str(error).removeprefix(f"{field}: "))
            self._fail(path, what.replace("None", repr(NONE.get(path))))
        return value

    def _check_list(self, path: Key, value: Any) -> None:
        kinds = LISTS[path]
        if isinstance(value, list) and all(type(one) in kinds for one in value):
            return
        word = f", or {NONE[path]!r}" if path in NONE else ""
        names = " and ".join(_NAMES[kind] for kind in kinds)
        self._fail(path, f"{_in_toml(repr(value))}; allowed: a list of {names}{word}")

    def _whole(self, kind: type, given: dict[str, Any]) -> Any:
        """Values that are good each by itself may not go together."""
        try:
            return kind(**given)
        except ConfigError as error:
            named, _, what = str(error).partition(": ")
            field = named.split(",")[0]
            self._fail(next(key for key in KEYS if KEYS[key] == (kind, field)), _in_toml(what))

    # -- errors ----------------------------------------------------------------

    def _fail(self, path: Key, what: str) -> NoReturn:
        line = configfile_lines.line_of(self.lines, path)
        raise ConfigError(f"{self.name}:{line}: {'.'.join(path)}: {what}")

    def _misspelt(self, error: tomllib.TOMLDecodeError) -> ConfigError:
        what, _, where = str(error).partition(" (at ")
        found = re.match(r"line (\d+), column (\d+)", where)
        line, column = found.groups() if found else (self.text.count("\n") + 1, 1)
        return ConfigError(f"{self.name}:{line}:{column}: {what}; allowed: TOML 1.0")


def _in_toml(what: str) -> str:
    """Python's words in TOML's."""
    return re.sub(r"\b(True|False)\b", lambda word: word[0].lower(), what)


def _directories(names: tuple[str, ...]) -> tuple[Path, ...]:
    """Of cgroups, below the root of cgroup2; they must exist."""
    root = mounts.cgroup_root()
    return tuple(mounts.cgroup_directory(str(root / name)) for name in names)
