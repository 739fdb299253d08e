from libc.stdint cimport uint16_t

cdef extern from "tcpcrypt.h" nogil:
    enum:
        CONST_KEY_A
        CONST_KEY_B
        CONST_RESUME
        K_LEN
        X25519_LEN
        RESUME_LEN
        SN_MAX
        SESSION_ID_LEN
        AE_NONCE_LEN
        AE_TAG_LEN
        TRAFFIC_KEY_MAX
        FRAME_HEADER_LEN
        URGENT_LEN
        FRAME_OVERHEAD
        FRAME_DATA_MAX
    size_t tcpcrypt_key_len(uint16_t aead)
