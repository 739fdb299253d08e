"""Files that hold a secret key."""

import os
import stat
from os import PathLike
from pathlib import Path
from typing import Final

FILE_MAX: Final = 1 << 16


def read_secret(path: str | PathLike[str]) -> bytes:
    """The contents of a file that only its owner can read.

    Raises ValueError where others can, or where it is too long for a key; OSError.
    """
    with Path(path).open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise ValueError(
                f"{path}: others may use this file (mode {mode:04o}): chmod 600 {path}"
            )
        data = file.read(FILE_MAX + 1)
    if len(data) > FILE_MAX:
        raise ValueError(f"{path}: more than {FILE_MAX} bytes, so no key; check the path")
    return data
