"""TCP encryption protocols: any TEP, by one interface (RFC 8547 section 5).

:class:`TepConnection` is what sockets drive; :class:`Definition` is what they
know before; :func:`registry` maps identifiers to definitions, tcpcrypt's,
TLS's and plug-ins' alike.  Who writes a TEP builds on :class:`BaseConnection`
and proves it with :mod:`pyeno.tep.testing`: see docs/teps.md.
"""

from typing import TYPE_CHECKING, Any

from pyeno.tep.definition import Definition
from pyeno.tep.interface import Essential, TepConnection
from pyeno.tep.offer import table_entry
from pyeno.tep.plugins import Refusal
from pyeno.tep.registry import (
    BUILT_IN,
    create_connection,
    find,
    get,
    name,
    names,
    refusal,
    refusals,
    registry,
)

if TYPE_CHECKING:
    from pyeno.tep.base import BaseConnection
    from pyeno.tep.defaults import Defaults

__all__ = [
    "BUILT_IN", "BaseConnection", "Defaults", "Definition", "Essential", "Refusal",
    "TepConnection", "create_connection", "find", "get", "name", "names", "refusal",
    "refusals", "registry", "table_entry",
]  # fmt: skip


def __getattr__(attribute: str) -> Any:
    """What only TEPs import comes with the first of them."""
    if attribute in ("BaseConnection", "Defaults"):
        from pyeno.tep import base

        return getattr(base, attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
