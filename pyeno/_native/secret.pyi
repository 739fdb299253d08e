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
    @staticmethod
    def from_option(fileno: int, level: int, name: int, size: int) -> Secret:
        """A socket option of ``size`` bytes, read straight into secret memory;
        ``OSError`` where getsockopt() fails or gives another size."""
    @staticmethod
    def split_option(
        fileno: int, level: int, name: int, head: int, size: int
    ) -> tuple[bytes, Secret]:
        """A socket option of ``head`` bytes for everybody and ``size`` bytes of secret;
        raises as ``from_option``."""
    def to_option(self, fileno: int, level: int, name: int, prefix: Buffer) -> None:
        """Set a socket option to ``prefix`` and the secret, from memory that is
        wiped at once; ``OSError`` where setsockopt() fails."""
    def __len__(self) -> int:
        """Bytes, also after wiping."""
    @property
    def wiped(self) -> bool: ...
    def export(self) -> bytes:
        """The bytes in the clear: for key logs and tests only."""
    def wipe(self) -> None:
        """Overwrite the bytes; may be repeated."""
