from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from c_framer cimport opener_t, sealer_t
from c_keyschedule cimport generations_t, span

cdef extern from "relay_keys.h" nogil:
    ctypedef void relay_log(void *owner, const generations_t *g, int sending)
    ctypedef struct keys_t "struct relay_keys":
        sealer_t sealer
        opener_t opener
        generations_t sending
        generations_t receiving
        uint64_t budget
        uint64_t rekey_at
        uint64_t advanced_at
        uint64_t empty_rekeys
        uint32_t empty_unanswered
        uint8_t paced
        uint8_t answer_due
        uint8_t announcing
        relay_log *log
        void *owner
    const uint64_t NOWHERE
    int relay_keys_init(keys_t *k, uint16_t aead)
    void relay_keys_wipe(keys_t *k)

cdef extern from "relay.h" nogil:
    enum:
        RELAY_CLOSED
    ctypedef struct relay_t "struct relay":
        pass
    ctypedef struct offer_t "struct relay_offer":
        int near
        int far
        uint64_t token
        keys_t *keys
        span unsent
        span unopened
        span unread
        uint32_t interval_ms
        uint32_t timeout_ms
    ctypedef struct ended_t "struct relay_ended":
        uint64_t token
        uint64_t bytes_out
        uint64_t bytes_in
        int end
        int error
    ctypedef struct counters_t "struct relay_counters":
        uint64_t active
        uint64_t total
        uint64_t bytes_out
        uint64_t bytes_in
        uint64_t *ended
    ctypedef struct listed_t "struct relay_listed":
        uint64_t token
        uint64_t bytes_out
        uint64_t bytes_in
    relay_t *relay_new(size_t most)
    int relay_add(relay_t *r, const offer_t *offer)
    void relay_run(relay_t *r)
    void relay_stop(relay_t *r)
    int relay_news(const relay_t *r)
    size_t relay_take_ended(relay_t *r, ended_t *out, size_t max)
    void relay_count(relay_t *r, counters_t *out)
    size_t relay_list(relay_t *r, listed_t *out, size_t max)
    void relay_free(relay_t *r)
    void relay_disown(relay_t *r)
