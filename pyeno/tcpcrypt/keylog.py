"""The key log: traffic keys in a file, for debugging only.

"Implementations MAY support debugging modes that allow applications to
extract their own session keys" (RFC 8547 section 5).  One line per direction
[8547:5-6] [8548:3.3-5, 8-3]
and generation, found again by Init1's N_A or, in a resumed session, by its
resumption identifier (RFC 8548 section 3.5):

    TCPCRYPT <N_A or identifier> <aead> <ab|ba> <generation> <traffic key>

all hexadecimal but the direction and the decimal generation.  The file is
created readable by its owner alone.
"""

import os
from collections.abc import Callable
from os import PathLike

from pyeno.constants import Role
from pyeno.tcpcrypt.agreement import Secret
from pyeno.tcpcrypt.keyschedule import Generations

Log = Callable[[Generations, Secret, bool], None]
"""Told each new traffic key, and whether it is this host's."""


def _nowhere(generations: Generations, key: Secret, outgoing: bool) -> None:
    """No key log is wanted."""


def logged(log: Log) -> bool:
    """Whether it is told for anybody's sake."""
    return log is not _nowhere


class KeyLog:
    """Appends the keys of one session to ``path``."""

    def __init__(
        self, path: str | PathLike[str], name: bytes, aead: int, original_role: Role
    ) -> None:
        self._path = path
        self._prefix = f"TCPCRYPT {name.hex()} {aead:04x}"
        self._original_role = original_role

    @classmethod
    def of_session(
        cls, path: str | PathLike[str] | None, name: bytes, aead: int, original_role: Role
    ) -> Log:
        """What to tell its traffic keys; without a ``path`` it costs nothing."""
        return _nowhere if path is None else cls(path, name, aead, original_role).log

    def log(self, generations: Generations, key: Secret, outgoing: bool) -> None:
        """One direction's traffic key."""
        direction = "ab" if outgoing is (self._original_role is Role.A) else "ba"
        self.write(direction, generations.generation, key)

    def write(self, direction: str, generation: int, key: Secret) -> None:
        """One traffic key: "ab" is what the original host A sends with."""
        line = f"{self._prefix} {direction} {generation} {key.export().hex()}\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
