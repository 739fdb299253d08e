"""The application-aware bit as a switch (RFC 8547 sections 4.2 and 8.4).

"Software implementing the enhancement always sets a = 1 in its own global
suboption, but only activates the new behavior when the other end of the
connection also sets a = 1."
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from pyeno.auth.binding import info_of
from pyeno.constants import Reason


class WhyNot(Enum):
    """Why a connection is not to be authenticated."""

    NOT_ENCRYPTED = "not-encrypted"
    SELF_NOT_AWARE = "self-not-aware"
    PEER_NOT_AWARE = "peer-not-aware"


_WORDS = {
    WhyNot.NOT_ENCRYPTED: "the connection is not encrypted",
    WhyNot.SELF_NOT_AWARE: "this host did not set the application-aware bit: "
    "Config(app_aware=True) does",
    WhyNot.PEER_NOT_AWARE: "the peer did not set the application-aware bit: its application "
    "does not authenticate, or somebody in the middle cleared it",
}


@dataclass(frozen=True)
class NotAuthenticated:
    """Nothing was proved, and why; false in conditions."""

    why: WhyNot
    reason: Reason | None = None
    """why encryption is disabled; None while it is enabled, or before there is a connection"""

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        slug = f" ({self.reason.slug})" if self.reason is not None else ""
        return f"not authenticated: {_WORDS[self.why]}{slug}"


def unaware(connection: Any) -> NotAuthenticated | None:
    """Why not to authenticate, None where both ends set a = 1. [8547:10-2]"""
    info = info_of(connection)
    if not info.encrypted:
        return NotAuthenticated(WhyNot.NOT_ENCRYPTED, info.reason)
    if not info.self_aware:
        return NotAuthenticated(WhyNot.SELF_NOT_AWARE)
    if not info.peer_aware:
        return NotAuthenticated(WhyNot.PEER_NOT_AWARE)
    return None
