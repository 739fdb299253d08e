"""The answers of a TEP without rekeying, urgent data, resumption and compiled code."""

from typing import TYPE_CHECKING

from pyeno.errors import LocalProtocolError

if TYPE_CHECKING:
    from pyeno.pump import Lock, Pump
    from pyeno.tcpcrypt.sessions import Session


class Defaults:
    """What :class:`TepConnection` adds to :class:`Essential`, for a TEP that has none
    of it; override what it has, all of one section together."""

    aead: int | None = None
    peer_key: bytes | None = None

    def last_words(self) -> bytes:
        return b""

    # -- rekeying --------------------------------------------------------------

    generation: int = 0
    remote_generation: int = 0
    unanswered: bool = False

    def rekey(self) -> None:
        raise LocalProtocolError(
            "rekey: this TEP has no rekeying that an application may initiate"
        )

    # -- urgent data -----------------------------------------------------------

    urgent_index: int | None = None
    urgent_byte: int | None = None
    read_index: int = 0
    oob_inline: bool = True

    # -- resumption from the kernel's session cache ------------------------------

    def resume(self, session: "Session") -> None:
        raise LocalProtocolError("resume: this TEP resumes no sessions of the kernel's cache")

    def next_session(self) -> "Session | None":
        return None

    # -- speed -------------------------------------------------------------------

    def meanwhile(self) -> None:
        """Nothing to be made ahead."""

    def dataless(self, head: bytes) -> tuple[int, bool]:
        return 0, True

    def pump(self, fd: int, writing: "Lock", reading: "Lock") -> "Pump | None":
        return None

    def arm(self, pump: "Pump") -> None:
        """There is none."""
