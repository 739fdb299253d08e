from libc.stdint cimport uint8_t

cdef extern from "agreement.h" nogil:
    void tcpcrypt_x25519_public(uint8_t *public_key, const uint8_t *private_key)
    int tcpcrypt_x25519(uint8_t *es, const uint8_t *private_key, const uint8_t *public_key)
