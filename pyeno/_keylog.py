"""Key logs: files of secrets, for debugging only, that their owner alone can read.

"Implementations MAY support debugging modes that allow applications to extract their
own session keys" (RFC 8547 section 5). [8547:5-6] [8548:3.3-5, 8-3]
"""

import os
from os import PathLike


def append(path: str | PathLike[str], line: bytes) -> None:
    """One line, in one write(); raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
