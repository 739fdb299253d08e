cdef extern from "keyschedule.h" nogil:
    struct tcpcrypt_bytes:
        const unsigned char *at
        size_t len

    void tcpcrypt_extract(unsigned char *prk, tcpcrypt_bytes salt,
                          const tcpcrypt_bytes *parts, size_t count)
    void tcpcrypt_cprf(unsigned char *out, size_t len, const unsigned char *key,
                       unsigned char constant, tcpcrypt_bytes suffix)
    size_t tcpcrypt_key_len(unsigned aead)

    enum:
        CONST_NEXTK
        CONST_SESSID
        CONST_REKEY
        CONST_KEY_A
        CONST_KEY_B
        CONST_RESUME
        K_LEN
        AE_NONCE_LEN
