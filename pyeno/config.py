"""What an application may decide about a connection: one frozen value.

A ``Config`` is checked whole when it is made, so that no later stage meets a
value it cannot use; every message names the field and what is allowed.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from os import PathLike
from typing import Any, Literal, TypeVar

from pyeno import tep
from pyeno._crypto import default_aeads, providers
from pyeno._tepdata import RULES_MAX
from pyeno._values import TepData
from pyeno.constants import (
    ENO_OPTION_MAX,
    FRAME_DATA_MAX,
    RESUME_NONCE_MAX,
    Aead,
    Tep,
)
from pyeno.errors import ConfigError, TepError
from pyeno.tep.definition import Definition
from pyeno.tep.offer import option_size, table_entry

SECONDS_MAX = 10**9
"""A time that a program may mean; beyond it clocks overflow."""

TOKEN_LEN = 8
"""bytes of SHA-256 that tell policies apart in the session cache"""
Wish = TypeVar("Wish", Definition, Aead)
_TEPS = {int(number): number for number in Tep}


def _listed(
    field: str,
    wishes: object,
    find: Callable[[object], Wish | None],
    names: Callable[[], object],
) -> tuple[Wish, ...]:
    """TEPs or AEADs, each by number, decimal or hexadecimal text, or name."""
    if isinstance(wishes, str | int):
        wishes = wishes.split(",") if isinstance(wishes, str) else [wishes]
    if not isinstance(wishes, Iterable):
        raise ConfigError(f"{field}: expected a sequence, not {type(wishes).__name__}")
    found = tuple(_found(field, wish, find, names) for wish in wishes)
    if not found:
        raise ConfigError(f"{field}: empty; name at least one of {_joined(names)}")
    if len(set(found)) != len(found):
        raise ConfigError(f"{field}: {wishes!r} names one twice; name each once")
    return found


def _found(
    field: str, wish: object, find: Callable[[object], Wish | None], names: Callable[[], object]
) -> Wish:
    one = find(wish)
    if one is None:
        raise ConfigError(f"{field}: unknown {wish!r}; allowed: {_joined(names)}")
    return one


def _joined(names: Callable[[], Any]) -> str:
    return ", ".join(sorted(names()))


def _find_tep(wish: object) -> Definition | None:
    definition = tep.find(wish)
    refused = tep.refusal(wish) if definition is None else None
    if refused is not None:
        raise ConfigError(f"teps: {wish!r}: {refused}")
    return definition


def _find_aead(wish: object) -> Aead | None:
    names = aead_names()
    if isinstance(wish, str):
        key = wish.strip().lower().replace("_", "-")
        if key in names:
            return names[key]
        try:
            wish = int(key, 0)
        except ValueError:
            return None
    return next(
        (aead for aead in names.values() if isinstance(wish, int) and aead == wish), None
    )


def _carried(definition: Definition, config: "Config") -> TepData | None:
    """Its suboption data, if it has any, once it can be offered under this policy."""
    lack = definition.lack()
    if lack is not None:
        raise ConfigError(f"teps: {lack}")
    if config.keepalive is not None and not definition.rekeys:
        raise ConfigError(
            f"keepalive: {definition.name} has no rekeying that a peer must answer (RFC 8548 "
            "section 3.9); leave out keepalive, or that TEP"
        )
    try:
        return table_entry(definition, config)
    except TepError as error:
        raise ConfigError(f"teps: {error}") from error.__cause__


def _check_room(carried: Sequence[TepData | None]) -> None:
    """RFC 8547 section 4.1: kind, length, a global suboption, and these in 40 bytes."""
    size = sum(map(option_size, carried))
    if size > ENO_OPTION_MAX - 3:
        raise ConfigError(
            f"teps: {len(carried)} TEPs take {size} bytes, which do not fit one option; at "
            f"most {ENO_OPTION_MAX - 3}"
        )
    count = sum(entry is not None for entry in carried)
    if count > RULES_MAX:
        raise ConfigError(f"teps: {count} have suboption data; at most {RULES_MAX} at once")


def aead_names() -> dict[str, Aead]:
    """The AEADs this machine can compute, by name."""
    return {aead.name.lower().replace("_", "-"): aead for aead in providers()}


def _integer(field: str, value: object, low: int, high: int | None) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):  # type: ignore[operator]
        span = f"{low} or more" if high is None else f"{low} to {high}"
        raise ConfigError(f"{field}: {value!r}; allowed: an integer, {span}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Policy of one connection or listener.

    Raises :class:`pyeno.ConfigError` for any value it cannot keep.
    """

    teps: tuple[int, ...] = (Tep.TCPCRYPT_ECDHE_Curve25519,)  # [8548:3.2-1, 5-10, 5-12]
    """TEPs to offer and accept, most preferred first (RFC 8547 section 4.5);
    numbers, ``"0x23"`` or names, those of plug-ins included.  The default does not
    disable urgent data. [8547:5-18]"""
    aeads: tuple[Aead, ...] = ()
    """AEADs to advertise as host A and to prefer as host B, most preferred
    first (RFC 8548 section 3.3); empty: what is fastest here. [8548:3.3-13]"""
    app_aware: bool | Literal["mandatory"] = False  # [8547:4.2-6, 4.2-8]
    """The application-aware bit; ``"mandatory"`` disables encryption unless
    the peer sets it too (RFC 8547 section 4.2)."""
    require: bool = False  # [8547:4.7-23]
    """Refuse a connection whose encryption is disabled."""
    role_b: bool = False  # [8547:4.2-4, 4.2-5]
    """Active opener: send b = 1, for a simultaneous open (section 4.3)."""
    resume: bool = True
    """Propose and agree to resume sessions (RFC 8548 section 3.5); with False
    keys are always exchanged afresh. [8548:3.5-35, 3.5-36, 3.5-37]"""
    cache: bool = True
    """Allow session secrets of this connection to be cached (section 3.5).
    [8548:3.5-35, 3.5-36, 3.5-38]"""
    resumption_nonce_len: int = RESUME_NONCE_MAX
    """Bytes of the resumption nonce, 0 to 8.  Fewer than 8 only where no secret
    can come back, say with a virtual machine's snapshot (section 3.5).
    [8548:3.5-3, 3.5-4]"""
    session_lifetime: int = 3600
    """Seconds a cached session may wait to be resumed."""
    session_scope: str = ""
    """A name: sessions are resumed only by connections that have the same one,
    and the same ``teps``, ``aeads``, ``app_aware`` and ``require``."""
    rekey_bytes: int | None = 1 << 36
    """Initiate rekeying after this many bytes sent under one key set
    (RFC 8548 section 3.8); ``None``: never."""
    frame_size: int | Literal["auto"] = "auto"
    """Application bytes in one frame at most."""
    handshake_timeout: float = 15.0
    """Seconds the peer has to complete the key exchange, whatever the
    socket's own timeout."""
    keepalive: float | tuple[float, float] | None = None
    """Seconds without a fresh frame after which the peer must prove that it is
    alive by answering a rekeying (RFC 8548 section 3.9), in as many seconds or in
    those of ``(interval, timeout)``; ``None``: never."""
    keylog: str | PathLike[str] | None = None
    """A file to append traffic keys to, for debugging (RFC 8547 section 5).
    Whoever can read it can read the connection."""
    tls_key: str | PathLike[str] | None = None
    """A file with the P-256 key that TLS signs with as host B, so that peers recognize this
    host; ``None``: a new one every so often, of which nothing is kept."""
    session_token: bytes = field(init=False, repr=False, compare=False)
    """What keeps its sessions from connections under another policy: eight bytes."""

    data_teps: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """Which of ``teps`` have suboption data."""

    def __post_init__(self) -> None:
        definitions = _listed("teps", self.teps, _find_tep, tep.names)
        aeads = _listed(  # [8547:5-5]
            "aeads", self.aeads or default_aeads(), _find_aead, aead_names
        )
        if not isinstance(self.app_aware, bool) and self.app_aware != "mandatory":
            raise ConfigError(
                f"app_aware: {self.app_aware!r}; allowed: False, True, 'mandatory'"
            )
        for name in ("require", "role_b", "resume", "cache"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name}: {getattr(self, name)!r}; allowed: True, False")
        _integer("resumption_nonce_len", self.resumption_nonce_len, 0, RESUME_NONCE_MAX)
        _integer("session_lifetime", self.session_lifetime, 1, (1 << 32) - 1)
        if not isinstance(self.session_scope, str):
            raise ConfigError(f"session_scope: {self.session_scope!r}; allowed: a string")
        if self.rekey_bytes is not None:
            _integer("rekey_bytes", self.rekey_bytes, 1, 1 << 62)
        if self.frame_size != "auto":
            _integer("frame_size", self.frame_size, 1, FRAME_DATA_MAX)
        seconds = self.handshake_timeout
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not seconds > 0:
            raise ConfigError(f"handshake_timeout: {seconds!r}; allowed: seconds above 0")
        _check_keepalive(self.keepalive)
        teps = tuple(_TEPS.get(each.identifier, each.identifier) for each in definitions)
        object.__setattr__(self, "teps", teps)
        object.__setattr__(self, "aeads", aeads)
        carried = [_carried(each, self) for each in definitions]
        _check_room(carried)
        data_teps = tuple(entry.tep for entry in carried if entry is not None)
        object.__setattr__(self, "data_teps", data_teps)
        if self.keylog is not None and not isinstance(self.keylog, str | PathLike):
            raise ConfigError(f"keylog: {self.keylog!r}; allowed: a path or None")
        if self.keylog is not None:
            _check_appendable(self.keylog)
        if self.tls_key is not None:
            _check_tls_key(self.tls_key)
        numbers = tuple(sorted(teps)), tuple(sorted(aeads))
        token = _token(*numbers, self.self_aware, self.require, self.session_scope)
        object.__setattr__(self, "session_token", token)

    @property
    def self_aware(self) -> int:
        """The value of TCP_ENO_SELF_AWARE: 0, 1, or 2 for mandatory."""
        return 2 if self.app_aware == "mandatory" else int(self.app_aware)

    @property
    def liveness(self) -> tuple[float, float] | None:
        """``keepalive`` as (interval, timeout)."""
        wish = self.keepalive
        return wish if wish is None or isinstance(wish, tuple) else (wish, wish)

    @property
    def frame_data(self) -> int:
        """Application bytes in one frame at most, as a number."""
        return FRAME_DATA_MAX if self.frame_size == "auto" else self.frame_size

    def but(self, **changes: Any) -> "Config":
        """A copy with these fields changed, checked anew."""
        return replace(self, **changes)


def _check_keepalive(wish: Any) -> None:
    if wish is None:
        return
    parts = wish if isinstance(wish, tuple) and len(wish) == 2 else (wish,)
    for seconds in parts:
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not number or not 0 < seconds <= SECONDS_MAX:
            raise ConfigError(
                f"keepalive: {wish!r}; allowed: None, seconds above 0 and at most "
                f"{SECONDS_MAX}, or a tuple of two such: (interval, timeout)"
            )


@lru_cache
def _token(
    teps: tuple[int, ...], aeads: tuple[int, ...], aware: int, require: bool, scope: str
) -> bytes:
    numbers = (*teps, 0, *aeads, 0, aware, require)
    policy = ",".join(f"{number:d}" for number in numbers) + ";" + scope
    return hashlib.sha256(policy.encode("utf-8", "surrogatepass")).digest()[:TOKEN_LEN]


def _check_appendable(path: str | PathLike[str]) -> None:
    """Now, not in the middle of a key exchange."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    except OSError as error:
        raise ConfigError(f"keylog: cannot append to {path}: {error.strerror}") from None


def _check_tls_key(path: Any) -> None:
    if not isinstance(path, str | PathLike):
        raise ConfigError(f"tls_key: {path!r}; allowed: a path or None")
    from pyeno.tls import keys

    keys.load(keys.look(path))


@cache
def _default() -> Config:
    """One for all, since checking its fields takes longer than a connection may."""
    return Config()


def as_config(config: object) -> Config:
    """The default for ``None``, the value itself for a ``Config``."""
    if config is None:
        return _default()
    if not isinstance(config, Config):
        raise TypeError(f"config: expected pyeno.Config or None, not {type(config).__name__}")
    return config
