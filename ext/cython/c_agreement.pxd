cdef extern from "agreement.h" nogil:
    enum:
        X25519_LEN
    int tcpcrypt_x25519_public(unsigned char *public_key, const unsigned char *private_key)
    int tcpcrypt_x25519(unsigned char *es, const unsigned char *private_key,
                        const unsigned char *public_key)
