# Every module has its own table of libsodium's functions: fill it at import.
from pyeno._crypto import sodium_path


cdef int _load() except -1:
    path = sodium_path().encode()
    missing = sodium_load(path)
    if missing != NULL:
        raise ImportError(
            f"pyeno: {path.decode()} lacks {missing.decode()}; reinstall PyNaCl >= 1.6.2"
        )
    return 0


_load()
