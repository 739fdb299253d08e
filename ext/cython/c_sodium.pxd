cdef extern from "sodium.h" nogil:
    ctypedef struct sodium_t "struct sodium":
        void (*randombytes_buf)(void *data, size_t len)
        int (*is_zero)(const unsigned char *data, size_t len)
    sodium_t sodium
    const char *sodium_bind(const char *path)


# Every compiled module holds its own table of addresses, filled at import.
cdef inline int bind_sodium() except -1:
    from os import fsencode

    from pyeno._crypto import SODIUM

    cdef bytes path = fsencode(SODIUM)
    cdef const char *missing = sodium_bind(path)
    if missing is not NULL:
        raise ImportError(
            f"libsodium in {SODIUM}: {(<bytes>missing).decode()} is missing; "
            "pip install 'PyNaCl>=1.6.2'"
        )
    return 0
