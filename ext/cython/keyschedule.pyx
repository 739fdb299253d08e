"""Session secrets, master keys, traffic keys; see keyschedule.pyi."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from c_keyschedule cimport (
    generations_t, schedule_t, span, tcpcrypt_advance, tcpcrypt_cprf, tcpcrypt_derive,
    tcpcrypt_first_keys, tcpcrypt_generations_init, tcpcrypt_hmac, tcpcrypt_traffic_key,
)
from c_sodium cimport bind_sodium
from c_tcpcrypt cimport (
    AE_NONCE_LEN, CONST_KEY_A, CONST_KEY_B, CONST_RESUME, K_LEN, RESUME_LEN, SESSION_ID_LEN,
    SN_MAX, tcpcrypt_key_len,
)
from c_wipe cimport wipe
from pyeno._native.secret cimport Secret, secret_data, secret_new

import pyeno._complaints as say
from pyeno.constants import N_A_LEN, Role

bind_sodium()

cdef object ROLE_A = Role.A, ROLE_B = Role.B  # an attribute of an Enum costs a call

cdef enum:
    PARTS = 5  # n_a, transcript, init1, init2, es


cdef inline span nothing():
    return span(NULL, 0)


cdef int check_status(int status) except -1:
    if status:
        raise say.no_memory()
    return 0


cdef int check_identity(object tep_byte, object aead, object original_role) except -1:
    if not 0 <= tep_byte <= 0xFF:
        raise say.out_of_range("tep_byte", tep_byte, 0, 0xFF)
    if not (0 <= aead <= 0xFFFF and tcpcrypt_key_len(aead)):
        raise say.unknown_aead(aead)
    if original_role is not ROLE_A and original_role is not ROLE_B:
        raise say.role(original_role)
    return 0


@cython.final
cdef class Generations:
    def __init__(self):
        raise TypeError("Generations come from KeySchedule.outgoing() and incoming()")

    def __dealloc__(self):
        wipe(&self.g, sizeof(self.g))

    def __repr__(self):
        state = f"generation {self.g.j}" if self.live else "wiped"
        return f"<Generations: {state}>"

    cdef int check(self) except -1:
        if not self.live:
            raise say.wiped("Generations")
        return 0

    @property
    def generation(self):
        return self.g.j

    def traffic_key(self):
        self.check()
        cdef Secret key = secret_new(self.g.traffic_key_len)
        check_status(tcpcrypt_traffic_key(&self.g, key.data))
        return key

    def advance(self):
        self.check()
        check_status(tcpcrypt_advance(&self.g))

    def wipe(self):
        wipe(self.g.mk, K_LEN)
        self.live = False


@cython.final
cdef class KeySchedule:
    cdef schedule_t s
    cdef bint live
    cdef readonly int aead
    cdef readonly object original_role

    def __init__(self):
        raise TypeError("a KeySchedule comes from KeySchedule.extract() or resume()")

    def __dealloc__(self):
        wipe(&self.s, sizeof(self.s))

    def __repr__(self):
        state = f"original role {self.original_role.value}" if self.live else "wiped"
        return f"<KeySchedule: {state}>"

    cdef int check(self) except -1:
        if not self.live:
            raise say.wiped("KeySchedule")
        return 0

    @staticmethod
    def extract(
        Secret es not None, *, n_a, transcript, init1, init2, tep_byte, aead, original_role
    ):
        cdef Py_buffer views[4]
        cdef span parts[5]
        cdef int held = 0
        cdef Secret prk = secret_new(K_LEN)
        check_identity(tep_byte, aead, original_role)
        parts[4] = span(secret_data(es, "es", -1), es.size)
        try:
            # [8547:4.8-2, 5.1-16, 5.1-17, 5.1-18] [8548:3.3-7]
            for part in (n_a, transcript, init1, init2):
                PyObject_GetBuffer(part, &views[held], PyBUF_SIMPLE)
                parts[held] = span(<const uint8_t *>views[held].buf, views[held].len)
                held += 1
            if parts[0].len != N_A_LEN:
                raise say.length("n_a", parts[0].len, N_A_LEN)
            # PRK = Extract(N_A, eno_transcript | Init1 | Init2 | ES)
            check_status(tcpcrypt_hmac(prk.data, parts[0], &parts[1], PARTS - 1))
        finally:
            while held:
                held -= 1
                PyBuffer_Release(&views[held])
        schedule = make(prk.data, nothing(), tep_byte, aead, original_role)
        es.wipe()
        return schedule

    @staticmethod
    def resume(Secret ss not None, *, sn, tep_byte, aead, original_role):
        cdef const uint8_t *key = secret_data(ss, "ss", K_LEN)
        cdef Py_buffer view
        check_identity(tep_byte, aead, original_role)
        PyObject_GetBuffer(sn, &view, PyBUF_SIMPLE)
        try:
            if view.len > SN_MAX:
                raise say.at_most("sn", view.len, SN_MAX)
            schedule = make(
                key, span(<const uint8_t *>view.buf, view.len), tep_byte, aead, original_role
            )
        finally:
            PyBuffer_Release(&view)
        ss.wipe()
        return schedule

    @property
    def session_id(self):
        return (<const char *>self.s.session_id)[:SESSION_ID_LEN]

    cdef Generations direction(self, bint of_a):
        cdef Generations generations = Generations.__new__(Generations)
        self.check()
        tcpcrypt_generations_init(
            &generations.g,
            self.s.mk,
            CONST_KEY_A if of_a else CONST_KEY_B,
            <uint8_t>(tcpcrypt_key_len(self.aead) + AE_NONCE_LEN),
        )
        generations.live = True
        return generations

    cpdef Generations outgoing(self):
        return self.direction(self.original_role is ROLE_A)  # [8548:3.3-11, 3.3-12, 3.5-34]

    cpdef Generations incoming(self):
        return self.direction(self.original_role is not ROLE_A)

    def directions(self):
        cdef Generations sending = self.outgoing(), receiving = self.incoming()
        cdef Secret key = secret_new(sending.g.traffic_key_len)
        cdef Secret peer_key = secret_new(key.size)
        cdef bint as_a = self.original_role is ROLE_A
        check_status(
            tcpcrypt_first_keys(
                self.s.mk,
                <uint8_t>key.size,
                key.data if as_a else peer_key.data,
                peer_key.data if as_a else key.data,
            )
        )
        return sending, key, receiving, peer_key

    def next_secret(self):
        self.check()
        cdef Secret secret = secret_new(K_LEN)
        memcpy(secret.data, self.s.next_ss, K_LEN)
        return secret

    def resumption_id(self):
        cdef uint8_t name[18]
        self.check()
        # [8548:3.5-5]
        check_status(tcpcrypt_cprf(name, RESUME_LEN, self.s.next_ss, CONST_RESUME, nothing()))
        return (<const char *>name)[:RESUME_LEN]

    def wipe(self):
        wipe(self.s.mk, K_LEN)
        wipe(self.s.next_ss, K_LEN)
        self.live = False


cdef KeySchedule make(
    const uint8_t *ss, span sn, uint8_t tep_byte, int aead, object original_role
):
    cdef KeySchedule schedule = KeySchedule.__new__(KeySchedule)
    check_status(tcpcrypt_derive(&schedule.s, ss, sn, tep_byte))
    schedule.aead = aead
    schedule.original_role = original_role
    schedule.live = True
    return schedule
