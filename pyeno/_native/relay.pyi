from typing import final

from pyeno._native.framer import Opener, Sealer
from pyeno._native.keyschedule import Generations
from pyeno._values import Buffer

@final
class Keys:
    """One tcpcrypt connection's, to be handed over to a :class:`Loop`.

    They are copies: whoever hands them over wipes its own, or frames of two owners
    would share frame IDs (RFC 8548 section 3.6).
    """

    def __init__(
        self,
        sealer: Sealer,
        opener: Opener,
        sending: Generations,
        receiving: Generations,
        *,
        paced: bool,
        rekey_bytes: int | None,
        rekey_at: int,
        advanced_at: int,
        empty_unanswered: int,
        log: object = None,
    ) -> None:
        """``log(generations, key, sending)`` is told each new traffic key."""

@final
class Loop:
    """The engine's core: see relay.h. Every method but ``run`` may be called by any thread."""

    def __init__(self, connections_max: int) -> None:
        """OSError where there are no descriptors."""
    def run(self) -> None:
        """What the engine's thread does, without the GIL, until ``stop``."""
    def stop(self) -> None: ...
    def fileno(self) -> int:
        """Readable when something ended."""
    def add(
        self,
        near: int,
        far: int,
        token: int,
        keys: Keys | None = None,
        unsent: Buffer = b"",
        liveness: tuple[float, float] | None = None,
    ) -> None:
        """Two descriptors, which are its own from then on; OSError: nothing was taken
        (EAGAIN: there are ``connections_max`` already).

        ``unsent``: stream bytes that go to ``far`` first. ``liveness``: see
        ``Config.keepalive``.
        """
    def ended(self) -> list[tuple[int, int, int, int, int]]:
        """(token, bytes out, bytes in, end, errno) of each, once."""
    def counters(self) -> tuple[int, int, int, int, tuple[int, ...]]:
        """Pairs there are, and were; bytes out and in; how many came to each end."""
    def pairs(self) -> list[tuple[int, int, int]]:
        """(token, bytes out, bytes in) of each there is."""
    def disown(self) -> None:
        """In a child of fork(): let go of all, which stays with the parent."""
