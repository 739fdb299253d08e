"""What a host has to know of a TEP before it has a connection (RFC 8547 section 5).

Two rules are the same for every TEP here, since the kernel half keeps them: an
identifier repeated in one option makes that TEP invalid (section 4.5), and no
SYN carries data, data that came with one being discarded (section 4.7).
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyeno._values import Outcome
from pyeno.constants import ENO_GLT, ENO_TEP_MIN, SESSION_ID_MIN, Role
from pyeno.errors import TepError

if TYPE_CHECKING:
    from pyeno.config import Config
    from pyeno.tep.interface import TepConnection

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""What users may write for a TEP; no number, and no list of several."""


class Definition(ABC):
    """One TEP: its identifier, its suboption data, what it can do, its connections."""

    identifier: int
    """``glt``, 0x20 to 0x6f (section 11, table 3)"""
    name: str
    """what users write: lower-case letters, digits and hyphens"""
    urgent: bool = False
    """Urgent data are carried, authenticated; else sending any is refused, and none is
    ever received (section 5)."""
    rekeys: bool = False
    """``rekey()`` makes the peer answer, which ``Config.keepalive`` takes."""
    resumes: bool = False
    """Sessions are resumed from the kernel's cache; its resumption suboptions are
    the kernel half's then (RFC 8548 section 3.5)."""

    def __repr__(self) -> str:
        return f"<TEP {self.identifier:#04x} {self.name}>"

    @property
    def whose(self) -> str:
        """What an error names it by."""
        return f"TEP {self.identifier:#04x} ({self.name})"

    def suboption(self, config: "Config", role: Role) -> bytes | None:
        """The suboption data this host sends as host A, or B, 1 to 16 bytes; None: v = 0
        (section 4.1).  Asked once a socket, so that all connections of a listener send
        the same.  All of an option has 20 bytes in most SYNs (section 7)."""
        return None

    def lengths(self, role: Role) -> range:
        """How many bytes of data are valid from the host of this role, v = 0 being none;
        others make the TEP invalid (section 4.5).  What is in them ``create()`` judges."""
        return range(1)

    def lack(self) -> str | None:
        """Why this machine cannot do it, and what mends that; None: it can."""
        return None

    def provider(self) -> str:
        """Who computes it, for ``pyeno doctor``."""
        return type(self).__module__.partition(".")[0]

    @abstractmethod
    def create(self, outcome: Outcome, config: "Config") -> "TepConnection":
        """The connection the negotiation led to; raises RemoteProtocolError where the
        peer's suboption data break the TEP's rules."""


def failure(whose: str, call: Callable[..., object], error: Exception) -> TepError:
    """What a TEP's own code raised, for ``raise … from error``: its kind alone is told,
    since its text may contain anything; the traceback has it."""
    method = getattr(call, "__name__", type(call).__name__)
    return TepError(f"{whose}: {method}() raised {type(error).__name__}; connection aborted")


def check_session_id(whose: str, session_id: object, tep_byte: int) -> bytes:
    """A session ID, if RFC 8547 section 5.1 allows it; raises TepError.
    [8547:5.1-8, 5.1-9, 5.1-13]

    Its value never enters a message.
    """
    if not isinstance(session_id, bytes):
        raise TepError(
            f"{whose}: the session ID is {type(session_id).__name__}, not bytes; connection "
            "aborted"
        )
    if len(session_id) < SESSION_ID_MIN:
        raise TepError(
            f"{whose}: the session ID has {len(session_id)} bytes; {SESSION_ID_MIN} at least "
            "(RFC 8547 section 5.1); connection aborted"
        )
    if session_id[0] != tep_byte:
        raise TepError(
            f"{whose}: the session ID begins {session_id[0]:#04x}; the negotiated TEP, v "
            f"included, is {tep_byte:#04x} (RFC 8547 section 5.1); connection aborted"
        )
    return session_id


def number(tep_byte: int) -> int:
    """The identifier alone, without v."""
    return tep_byte & ENO_GLT


def within(identifier: object, highest: int) -> bool:
    """Whether it is an identifier at all."""
    whole = isinstance(identifier, int) and not isinstance(identifier, bool)
    return whole and ENO_TEP_MIN <= identifier <= highest  # type: ignore[operator]
