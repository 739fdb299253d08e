from libc.stdint cimport uint8_t, uint64_t

cdef extern from "keyschedule.h" nogil:
    ctypedef struct span "struct bytes":
        const uint8_t *at
        size_t len
    ctypedef struct schedule_t "struct tcpcrypt_schedule":
        uint8_t next_ss[32]
        uint8_t mk[32]
        uint8_t session_id[33]
    ctypedef struct generations_t "struct tcpcrypt_generations":
        uint8_t mk[32]
        uint64_t j
        uint8_t traffic_key_len
    int tcpcrypt_hmac(uint8_t *out, span key, const span *parts, size_t count)
    int tcpcrypt_cprf(uint8_t *out, size_t len, const uint8_t *key, uint8_t constant, span sn)
    int tcpcrypt_derive(schedule_t *s, const uint8_t *ss, span sn, uint8_t tep_byte)
    void tcpcrypt_generations_init(generations_t *g, const uint8_t *mk, uint8_t constant,
                                   uint8_t traffic_key_len)
    int tcpcrypt_traffic_key(const generations_t *g, uint8_t *out)
    int tcpcrypt_first_keys(const uint8_t *mk, uint8_t len, uint8_t *ab, uint8_t *ba)
    int tcpcrypt_advance(generations_t *g)
