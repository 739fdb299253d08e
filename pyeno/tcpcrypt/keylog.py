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
from os import PathLike

from pyeno.tcpcrypt.agreement import Secret


class KeyLog:
    """Appends lines to ``path``; with None it does nothing and costs nothing."""

    def __init__(self, path: str | PathLike[str] | None) -> None:
        self._path = path
        self._prefix = ""

    def begin(self, name: bytes, aead: int) -> None:
        """Name the session that the following keys belong to."""
        if self._path is not None:
            self._prefix = f"TCPCRYPT {name.hex()} {aead:04x}"

    def write(self, direction: str, generation: int, key: Secret) -> None:
        """One traffic key: "ab" is what the original host A sends with."""
        if self._path is None:
            return
        line = f"{self._prefix} {direction} {generation} {key.export().hex()}\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
