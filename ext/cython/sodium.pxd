cdef extern from "sodium.h" nogil:
    ctypedef unsigned char u8

    struct tcpcrypt_sodium:
        void (*memzero)(void *p, size_t len)
        void (*random)(void *p, size_t len)

    tcpcrypt_sodium sodium
    const char *sodium_load(const char *path)
