from typing import final

from pyeno._values import Buffer

@final
class Secret:
    """Opaque bytes outside Python's heap, wiped by ``wipe()`` or with the object.

    Handing a wiped secret to anything raises ``LocalProtocolError``.
    """

    def __init__(self, data: Buffer) -> None:
        """A copy of ``data``; whoever holds the original wipes that."""
    @staticmethod
    def random(size: int) -> Secret:
        """``size`` bytes from the system's generator; ``ValueError`` below 1."""
    def __len__(self) -> int:
        """Bytes, also after wiping."""
    @property
    def wiped(self) -> bool: ...
    def export(self) -> bytes:
        """The bytes in the clear: for key logs and tests only."""
    def wipe(self) -> None:
        """Overwrite the bytes; may be repeated."""
