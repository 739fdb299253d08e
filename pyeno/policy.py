"""What this host negotiates, whatever its programs ask for: the administrator's word.

"System administrators MAY configure which TEPs a host will negotiate" (RFC 8548 section 5).
The BPF programs look it up for every connection of a socket that wants ENO, in a map whose
one value is ``struct eno_policy`` of ext/wire/eno_abi.h.
"""

import os
from pathlib import Path
from typing import Any, Final, NamedTuple, TypedDict

from pyeno import fastopen, tep
from pyeno.constants import ENO_GLT, ENO_TEP_MIN
from pyeno.errors import ConfigError

MAP: Final = "eno_policy"
FAST_OPEN_MAP: Final = "eno_fast_open"
PORT_MAX: Final = 65535
ALL_TEPS: Final = frozenset(range(ENO_TEP_MIN, ENO_GLT + 1))
_NO_CONNECT, _NO_LISTEN = 1, 2
_FLAGS, _SYNS, _SET = 4, 4, 16
SYNS_MAX: Final = 255


class Changes(TypedDict, total=False):
    """The fields of a :class:`Policy` to change."""

    connect: bool
    listen: bool
    teps: tuple[int, ...] | None
    skip_ports: tuple[int, ...]
    syns: int


class Policy(NamedTuple):
    """Binding for every process; as it is made without arguments it forbids nothing."""

    connect: bool = True
    """sockets may send ENO when they connect"""
    listen: bool = True
    """listeners may answer it"""
    teps: tuple[int, ...] | None = None
    """the TEPs that may be negotiated; None: all"""
    skip_ports: tuple[int, ...] = ()
    """no ENO to these ports of others, nor on these ports of this host"""
    syns: int = 3
    """how many SYNs of a connection offer ENO, before it is tried without (RFC 8547
    section 4.6); 0: all"""

    def __str__(self) -> str:
        teps = "all" if self.teps is None else " ".join(map(tep.name, self.teps))
        return ", ".join(
            (
                f"connect {'yes' if self.connect else 'no'}",
                f"listen {'yes' if self.listen else 'no'}",
                f"TEPs {teps}",
                f"skipped ports {' '.join(map(str, self.skip_ports)) or 'none'}",
                f"in {f'{self.syns} SYNs' if self.syns else 'every SYN'}",
            )
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        teps = None if self.teps is None else [f"0x{number:02x}" for number in self.teps]
        return self._asdict() | {"teps": teps, "skip_ports": list(self.skip_ports)}

    def but(self, changes: Changes) -> "Policy":
        """A copy with these fields changed; ConfigError for a value that cannot be meant."""
        changed = self._replace(**changes)
        if changed.teps is not None:
            if not changed.teps or not ALL_TEPS.issuperset(changed.teps):
                raise _bad_teps(changed.teps)
            changed = changed._replace(teps=tuple(sorted(set(changed.teps))))
        for port in changed.skip_ports:
            if not 1 <= port <= PORT_MAX:
                raise _bad_port(port)
        if not 0 <= changed.syns <= SYNS_MAX:
            raise _bad_syns(changed.syns)
        return changed._replace(skip_ports=tuple(sorted(set(changed.skip_ports))))

    def encode(self) -> bytes:
        """struct eno_policy; sets are little-endian numbers, bit n for member n."""
        flags = (0 if self.connect else _NO_CONNECT) | (0 if self.listen else _NO_LISTEN)
        forbidden = () if self.teps is None else ALL_TEPS.difference(self.teps)
        return (
            flags.to_bytes(_FLAGS, "little")
            + self.syns.to_bytes(_SYNS, "little")
            + sum(1 << number for number in forbidden).to_bytes(_SET, "little")
            + sum(1 << port for port in self.skip_ports).to_bytes((PORT_MAX + 1) // 8, "little")
        )


def decode(value: bytes) -> Policy:
    """The way back of :meth:`Policy.encode`."""
    head = _FLAGS + _SYNS
    flags = int.from_bytes(value[:_FLAGS], "little")
    forbidden = _members(value[head : head + _SET])
    return Policy(
        connect=not flags & _NO_CONNECT,
        listen=not flags & _NO_LISTEN,
        teps=tuple(sorted(ALL_TEPS - forbidden)) if forbidden else None,
        skip_ports=tuple(sorted(_members(value[head + _SET :]))),
        syns=int.from_bytes(value[_FLAGS:head], "little"),
    )


def _members(value: bytes) -> set[int]:
    filled = ((at, byte) for at, byte in enumerate(value) if byte)
    return {8 * at + bit for at, byte in filled for bit in range(8) if byte >> bit & 1}


# -- as an administrator writes it ---------------------------------------------------


def parse_teps(text: str) -> tuple[int, ...] | None:
    """``all``, or names and numbers separated by commas; ConfigError."""
    if text.strip().lower() == "all":
        return None
    return tuple(_parse_tep(word.strip()) for word in text.split(","))


def _parse_tep(word: str) -> int:
    known = tep.find(word)
    if known is not None:
        return known.identifier
    refused = tep.refusal(word)
    if refused is not None and refused.identifier is None:
        raise ConfigError(f"teps: {word!r}: {refused}")
    try:
        number = int(word, 0)
    except ValueError:
        raise _bad_teps(word) from None
    if number not in ALL_TEPS:
        raise _bad_teps(word)
    return number


def parse_ports(text: str) -> tuple[int, ...]:
    """Port numbers separated by commas; ConfigError."""
    ports = []
    for word in text.split(","):
        if not word.strip().isdecimal() or not 1 <= int(word) <= PORT_MAX:
            raise _bad_port(word)
        ports.append(int(word))
    return tuple(ports)


def parse_syns(text: str) -> int:
    """0 to 255; ConfigError."""
    if not text.isdecimal() or int(text) > SYNS_MAX:
        raise _bad_syns(text)
    return int(text)


def _bad_syns(asked: object) -> ConfigError:
    return ConfigError(f"syns: {asked!r}; allowed: 0 (all) to {SYNS_MAX}")


def _bad_teps(asked: object) -> ConfigError:
    names = ", ".join(sorted(tep.names()))
    return ConfigError(
        f"teps: {asked!r}; allowed: 'all', or at least one of {names} and numbers from "
        f"{ENO_TEP_MIN:#x} to {ENO_GLT:#x} (to forbid all: --no-connect --no-listen)"
    )


def _bad_port(asked: object) -> ConfigError:
    return ConfigError(f"skip-port: {asked!r}; allowed: ports from 1 to {PORT_MAX}, as 22,443")


# -- in the maps that are pinned, or about to be -------------------------------------


def read(native: Any, pin: Path) -> Policy | None:
    """What is in force; None if what is pinned is another version's."""
    try:
        descriptor = native.open_pinned(pin / "maps" / MAP)
    except FileNotFoundError:
        return None
    try:
        return decode(native.read_map(MAP, descriptor))
    except ValueError:
        return None
    finally:
        os.close(descriptor)


def write(native: Any, pin: Path, policy: Policy) -> None:
    """Put it into force, for connections opened from now on."""
    _write(native, pin, MAP, policy.encode())


def refresh_fast_open(native: Any, pin: Path) -> None:
    """Tell the programs whether TCP Fast Open may be on for all listeners.

    Asked before and after: what is switched on meanwhile must not be forgotten.
    """
    if not fastopen.for_all_listeners():
        _write(native, pin, FAST_OPEN_MAP, bytes(4))
    if fastopen.for_all_listeners():
        _write(native, pin, FAST_OPEN_MAP, (1).to_bytes(4, "little"))


def _write(native: Any, pin: Path, name: str, value: bytes) -> None:
    descriptor = native.open_pinned(pin / "maps" / name)
    try:
        native.write_map(name, descriptor, value)
    finally:
        os.close(descriptor)
