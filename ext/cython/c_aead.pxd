from libc.stdint cimport uint8_t, uint16_t

cdef extern from "aead.h" nogil:
    enum:
        AEAD_OK
        AEAD_FAIL
        AEAD_NO_MEMORY
        AEAD_PROVIDER
    ctypedef enum aead_provider "enum aead_provider":
        AEAD_NONE
        AEAD_LIBSODIUM
        AEAD_LIBCRYPTO
        AEAD_HOOKS
    ctypedef struct aead_hooks "struct aead_hooks":
        void *(*create)(uint16_t aead, const uint8_t *key, size_t key_len)
        int (*seal)(void *state, uint8_t *text, size_t len, const uint8_t *nonce,
                    const uint8_t *ad)
        int (*open)(void *state, uint8_t *out, const uint8_t *text, size_t len,
                    const uint8_t *nonce, const uint8_t *ad)
        void (*destroy)(void *state)
    ctypedef struct aead_plan "struct aead_plan":
        aead_provider small
        aead_provider large
        size_t cut
    ctypedef struct cipher_t "struct cipher":
        const aead_hooks *ops
    ctypedef struct aead_t "struct aead":
        cipher_t small
    const char *aead_bind_libcrypto(const char *name)
    void aead_bind_hooks(const aead_hooks *hooks)
    int aead_set_plan(uint16_t aead, aead_plan plan)
    int aead_init(aead_t *a, uint16_t aead, const uint8_t *traffic_key)
    void aead_wipe(aead_t *a)
