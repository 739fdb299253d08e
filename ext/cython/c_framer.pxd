from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from c_aead cimport aead_t

cdef extern from "sealer.h" nogil:
    enum:
        NO_URGENT
        IDLE_MS
    ctypedef struct sealer_t "struct sealer":
        aead_t aead
        uint64_t offset
        uint64_t generation
        size_t frame_size
        uint64_t early_until
        int64_t sealed_at
        uint8_t rekey
        uint8_t finished
    ctypedef struct seal_job_t "struct seal_job":
        const uint8_t *data
        size_t len
        uint8_t *out
        size_t room
        int fin
        int urgent
        size_t taken
        size_t written
    void sealer_pace(sealer_t *s, int64_t now)
    size_t sealer_size(const sealer_t *s, size_t len, int urgent)
    int sealer_seal(sealer_t *s, seal_job_t *job)
    void sealer_rekey(sealer_t *s, aead_t *key)
    void sealer_wipe(sealer_t *s)

cdef extern from "opener.h" nogil:
    ctypedef struct opener_t "struct opener":
        aead_t aead
        aead_t next
        uint8_t *buffer
        size_t capacity
        size_t ready
        size_t ready_end
        size_t at
        size_t end
        uint64_t offset
        uint64_t generation
        uint64_t urgent_index
        uint64_t empty_rekeys
        uint64_t fault_offset
        uint32_t fault_clen
        uint8_t fault
        uint8_t urgent_byte
        uint8_t oob_inline
        uint8_t urgent_seen
        uint8_t finp
        uint8_t rekey_wanted
    size_t opener_pending(const opener_t *o)
    uint64_t opener_read_index(const opener_t *o)
    size_t opener_buffered(const opener_t *o)
    size_t opener_make_room(opener_t *o, size_t len)
    void opener_move(opener_t *o, uint8_t *buffer, size_t capacity)
    int opener_rest(opener_t *o)
    void opener_commit(opener_t *o, size_t len)
    size_t opener_available(const opener_t *o, size_t size)
    size_t opener_read(opener_t *o, uint8_t *out, size_t room, size_t size)
    size_t opener_peek(const opener_t *o, const uint8_t **data, size_t size)
    void opener_open_ahead(opener_t *o)
    void opener_wipe(opener_t *o)
