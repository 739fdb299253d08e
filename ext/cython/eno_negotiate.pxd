"""ext/wire/eno_negotiate.h, eno_offer.h and eno_tep_data.h."""

from eno cimport ENO_OPTION_MAX, eno_reason, eno_syn, eno_u8

cdef extern from "eno_tep_data.h" nogil:
    struct eno_tep_table:
        pass

cdef extern from "eno_offer.h" nogil:
    struct eno_offering:
        eno_u8 option[80]
    eno_u8 eno_offer(eno_offering *o, const eno_tep_table *table, const eno_u8 *teps,
                     eno_u8 count, eno_u8 value, eno_u8 room)

cdef extern from "eno_negotiate.h" nogil:
    enum:
        TCPCRYPT_RESUME_HALF
    struct eno_outcome:
        eno_u8 reason, tep_byte, local_b, peer_aware, resumed
    eno_reason eno_choose(const eno_syn *remote, const eno_u8 *teps, eno_u8 count,
                          bint self_aware, bint mandatory_aware, const eno_tep_table *table,
                          eno_u8 room, eno_u8 *option, eno_u8 *len)
    void eno_ignore_other_halves(const eno_syn *local, eno_syn *remote, const eno_u8 *half)
    void eno_negotiate(const eno_syn *local, const eno_syn *remote, bint mandatory_aware,
                       const eno_tep_table *table, eno_outcome *out)
