from libc.stdint cimport uint32_t, uint64_t, int64_t

cdef extern from "aead.h" nogil:
    struct tcpcrypt_aead:
        const tcpcrypt_aead_ops *ops
        void *seal_ctx
        void *open_ctx
        size_t key_len
        unsigned char state[512]

    struct tcpcrypt_aead_ops:
        int (*setup)(tcpcrypt_aead *a, const unsigned char *key) noexcept
        int (*seal)(tcpcrypt_aead *a, const unsigned char *nonce, const unsigned char *ad,
                    size_t ad_len, unsigned char *buf, size_t len) noexcept
        int (*open)(tcpcrypt_aead *a, const unsigned char *nonce, const unsigned char *ad,
                    size_t ad_len, unsigned char *buf, size_t len) noexcept
        void (*clear)(tcpcrypt_aead *a) noexcept

    int tcpcrypt_libcrypto_load()
    const tcpcrypt_aead_ops *tcpcrypt_provider(unsigned aead, const char *name)

cdef extern from "keyschedule.h" nogil:
    size_t tcpcrypt_key_len(unsigned aead)

cdef extern from "framer.h" nogil:
    enum:
        AE_NONCE_LEN
        AE_TAG_LEN
        FRAME_DATA_MAX
        FRAME_HEADER_LEN

    struct tcpcrypt_key:
        tcpcrypt_aead aead

    struct tcpcrypt_sealer:
        tcpcrypt_key key
        uint64_t offset
        uint32_t frame_data
        unsigned char rekey
        unsigned char finished

    struct tcpcrypt_opener:
        tcpcrypt_key key
        tcpcrypt_key next
        uint64_t offset
        uint64_t urgent_index
        unsigned char urgent_seen
        unsigned char finished

    enum tcpcrypt_opened:
        OPENED_FRAME
        OPENED_PARTIAL
        OPENED_REKEY
        OPENED_SHORT
        OPENED_FAIL
        OPENED_NO_URGENT
        OPENED_URGENT_BEYOND
        OPENED_AFTER_FINP

    struct tcpcrypt_frame:
        size_t len
        size_t data_at
        size_t data_len
        unsigned clen
        unsigned urgent

    int tcpcrypt_key_setup(tcpcrypt_key *k, const tcpcrypt_aead_ops *ops,
                           const unsigned char *traffic, size_t key_len)
    void tcpcrypt_key_clear(tcpcrypt_key *k)
    size_t tcpcrypt_sealed_len(const tcpcrypt_sealer *s, size_t len)
    int64_t tcpcrypt_seal(tcpcrypt_sealer *s, unsigned char *out, size_t room,
                          const unsigned char *data, size_t len, int fin, int urgent,
                          size_t *taken)
    tcpcrypt_opened tcpcrypt_open(tcpcrypt_opener *o, unsigned char *stream, size_t len,
                                  tcpcrypt_frame *f)
