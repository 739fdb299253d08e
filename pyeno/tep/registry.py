"""Which TEPs this host can negotiate: those of pyeno, then plug-ins.

Plug-ins are looked for when a TEP is asked for that pyeno does not bring, so
that those who use none pay nothing; one of pyeno's own is found in one look-up.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from pyeno._values import Outcome
from pyeno.constants import ENO_GLT
from pyeno.errors import TepError
from pyeno.tcpcrypt.definition import DEFINITIONS as TCPCRYPT
from pyeno.tep.definition import Definition
from pyeno.tep.interface import TepConnection
from pyeno.tep.plugins import Refusal, plugins
from pyeno.tls.definition import DEFINITION as TLS

if TYPE_CHECKING:
    from pyeno.config import Config

BUILT_IN: dict[int, Definition] = {
    definition.identifier: definition for definition in (*TCPCRYPT, TLS)
}
_NAMED: dict[str, Definition] = {each.name: each for each in BUILT_IN.values()}


def registry() -> Mapping[int, Definition]:
    """Identifier to TEP, plug-ins included."""
    return MappingProxyType({**BUILT_IN, **plugins().definitions})


def refusals() -> tuple[Refusal, ...]:
    """The plug-ins that are installed and may not be used, and why."""
    return plugins().refused


def get(identifier: int) -> Definition | None:
    """The TEP of this identifier."""
    return BUILT_IN.get(identifier) or plugins().definitions.get(identifier)


def find(wish: object) -> Definition | None:
    """The TEP that is meant by a number, decimal or hexadecimal text, or a name."""
    if isinstance(wish, str):
        key = wish.strip().lower().replace("_", "-")
        if key in _NAMED:
            return _NAMED[key]
        try:
            wish = int(key, 0)
        except ValueError:
            return {each.name: each for each in plugins().definitions.values()}.get(key)
    return get(wish) if isinstance(wish, int) else None


def refusal(wish: object) -> Refusal | None:
    """The plug-in that was refused and may be meant by it."""
    key = wish.strip().lower() if isinstance(wish, str) else wish
    for refused in refusals():
        if key in (refused.name, refused.identifier, f"{refused.identifier or 0:#04x}"):
            return refused
    return None


def names() -> dict[str, int]:
    """The TEPs that can be negotiated, by the names users may write."""
    return {each.name: each.identifier for each in registry().values()}


def name(tep_byte: int) -> str:
    """The user's name of a TEP, or its number in hexadecimal."""
    definition = get(tep_byte & ENO_GLT)
    return f"{tep_byte & ENO_GLT:#04x}" if definition is None else definition.name


def create_connection(outcome: Outcome, config: "Config") -> tuple[Definition, TepConnection]:
    """The negotiated TEP and its sans-IO connection.

    Raises RemoteProtocolError where the peer's suboption data break the TEP's rules,
    TepError where the TEP itself is wrong, or not installed.
    """
    definition = get(outcome.tep_byte & ENO_GLT)
    if definition is None:
        raise TepError(
            f"TEP {outcome.tep_byte & ENO_GLT:#04x} was negotiated and is not installed here; "
            "connection aborted"
        )
    return definition, definition.create(outcome, config)
