"""The key schedule (RFC 8548 sections 3.3, 3.4, 3.5); secrets stay in C."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer

from c_keyschedule cimport (
    AE_NONCE_LEN,
    CONST_KEY_A,
    CONST_KEY_B,
    CONST_NEXTK,
    CONST_REKEY,
    CONST_RESUME,
    CONST_SESSID,
    K_LEN,
    tcpcrypt_bytes,
    tcpcrypt_cprf,
    tcpcrypt_extract,
    tcpcrypt_key_len,
)
from pyeno._native.secret cimport Secret, new_secret
from sodium cimport sodium, sodium_load

from pyeno._complaints import schedule_wiped, unknown_aead
from pyeno.constants import Role

include "loaded.pxi"

cdef enum:
    RESUME_LEN = 18


cdef class Generations:
    """mk[j] of one direction and the traffic keys made from it."""

    cdef unsigned char mk[32]
    cdef unsigned char constant
    cdef unsigned aead
    cdef readonly object generation
    cdef bint gone

    def __dealloc__(self):
        sodium.memzero(self.mk, sizeof(self.mk))

    def __init__(self):
        raise TypeError("Generations come from KeySchedule.outgoing() and incoming()")

    def __repr__(self):
        return f"<Generations: generation {self.generation}>"

    def traffic_key(self):
        """k_ab[j] or k_ba[j] = CPRF(mk[j], CONST_KEY_x, ae_key_len + ae_nonce_len)"""
        cdef unsigned char key[64]
        cdef size_t size = tcpcrypt_key_len(self.aead) + AE_NONCE_LEN
        cdef tcpcrypt_bytes nothing
        if self.gone:
            raise schedule_wiped()
        nothing.at, nothing.len = NULL, 0
        tcpcrypt_cprf(key, size, self.mk, self.constant, nothing)
        secret = new_secret(key, size)
        sodium.memzero(key, sizeof(key))
        return secret

    def advance(self):
        """mk[j] = CPRF(mk[j-1], CONST_REKEY, K_LEN); mk[j-1] is gone."""
        cdef unsigned char mk[32]
        cdef tcpcrypt_bytes nothing
        if self.gone:
            raise schedule_wiped()
        nothing.at, nothing.len = NULL, 0
        tcpcrypt_cprf(mk, K_LEN, self.mk, CONST_REKEY, nothing)
        self.mk = mk
        sodium.memzero(mk, sizeof(mk))
        self.generation += 1

    def wipe(self):
        sodium.memzero(self.mk, sizeof(self.mk))
        self.gone = True


cdef class KeySchedule:
    """Session i of a session chain: ss[i] and sn[i], and what follows from them."""

    cdef unsigned char ss[32]
    cdef unsigned char mk[32]
    cdef readonly object aead
    cdef readonly object original_role
    cdef readonly bytes session_id
    cdef bint gone

    def __init__(self):
        raise TypeError("KeySchedule: use KeySchedule.extract() or KeySchedule.resume()")

    def __dealloc__(self):
        sodium.memzero(self.ss, sizeof(self.ss))
        sodium.memzero(self.mk, sizeof(self.mk))

    def __repr__(self):
        return f"<KeySchedule: original role {self.original_role.value}>"

    @staticmethod
    def extract(Secret es not None, *, n_a, transcript, init1, init2, int tep_byte, int aead,
                original_role):
        """PRK = Extract(N_A, eno_transcript | Init1 | Init2 | ES); ss[0] = PRK"""
        cdef KeySchedule made = _new(aead, original_role)
        cdef const unsigned char *secret = es.bytes_of()
        cdef Py_buffer views[4]
        cdef tcpcrypt_bytes parts[4]
        cdef tcpcrypt_bytes salt
        cdef int held = 0
        try:
            for part in (n_a, transcript, init1, init2):
                PyObject_GetBuffer(part, &views[held], PyBUF_SIMPLE)
                held += 1
            salt.at, salt.len = <const unsigned char *>views[0].buf, views[0].len
            for i in range(3):
                parts[i].at = <const unsigned char *>views[i + 1].buf
                parts[i].len = views[i + 1].len
            parts[3].at, parts[3].len = secret, es.size
            tcpcrypt_extract(made.ss, salt, parts, 4)
        finally:
            for i in range(held):
                PyBuffer_Release(&views[i])
        es.wipe()
        _derive(made, tep_byte, b"")
        return made

    @staticmethod
    def resume(Secret ss not None, *, bytes sn, int tep_byte, int aead, original_role):
        """Session i > 0 from the cached ss[i] and sn[i] = nonce_a | nonce_b; wipes ``ss``."""
        cdef KeySchedule made = _new(aead, original_role)
        cdef const unsigned char *secret = ss.bytes_of()
        if ss.size != K_LEN:
            raise ValueError(f"resume: ss is {ss.size} bytes, K_LEN is {K_LEN}")
        for i in range(K_LEN):
            made.ss[i] = secret[i]
        ss.wipe()
        _derive(made, tep_byte, sn)
        return made

    def outgoing(self):
        """What this host encrypts with, by its original role (section 3.5)."""
        return _generations(self, CONST_KEY_A if self.original_role is Role.A else CONST_KEY_B)

    def incoming(self):
        """What this host decrypts with."""
        return _generations(self, CONST_KEY_B if self.original_role is Role.A else CONST_KEY_A)

    def next_secret(self):
        """ss[i+1] = CPRF(ss[i], CONST_NEXTK, K_LEN)"""
        return _from_ss(self, CONST_NEXTK, K_LEN)

    def resumption_id(self):
        """resume[i+1] = CPRF(ss[i+1], CONST_RESUME, 18): names the next session."""
        cdef Secret ss = self.next_secret()
        cdef unsigned char made[18]
        cdef tcpcrypt_bytes nothing
        nothing.at, nothing.len = NULL, 0
        tcpcrypt_cprf(made, RESUME_LEN, ss.bytes_of(), CONST_RESUME, nothing)
        return (<const char *>made)[:RESUME_LEN]

    def wipe(self):
        sodium.memzero(self.ss, sizeof(self.ss))
        sodium.memzero(self.mk, sizeof(self.mk))
        self.gone = True


cdef KeySchedule _new(int aead, original_role):
    cdef KeySchedule made
    if not tcpcrypt_key_len(aead):
        raise unknown_aead(aead)
    if not isinstance(original_role, Role):
        raise TypeError(f"original_role: expected Role, not {type(original_role).__name__}")
    made = KeySchedule.__new__(KeySchedule)
    made.aead = aead
    made.original_role = original_role
    return made


cdef int _derive(KeySchedule self, int tep_byte, bytes sn) except -1:
    """mk[0] and the session ID of section 3.4."""
    cdef unsigned char hashed[32]
    cdef tcpcrypt_bytes suffix
    suffix.at = <const unsigned char *><const char *>sn
    suffix.len = len(sn)
    tcpcrypt_cprf(self.mk, K_LEN, self.ss, CONST_REKEY, suffix)
    tcpcrypt_cprf(hashed, K_LEN, self.ss, CONST_SESSID, suffix)
    self.session_id = bytes((tep_byte,)) + (<const char *>hashed)[:32]
    return 0


cdef Secret _from_ss(KeySchedule self, unsigned char constant, size_t size):
    cdef unsigned char made[32]
    cdef tcpcrypt_bytes nothing
    if self.gone:
        raise schedule_wiped()
    nothing.at, nothing.len = NULL, 0
    tcpcrypt_cprf(made, size, self.ss, constant, nothing)
    secret = new_secret(made, size)
    sodium.memzero(made, sizeof(made))
    return secret


cdef Generations _generations(KeySchedule self, unsigned char constant):
    cdef Generations made
    if self.gone:
        raise schedule_wiped()
    made = Generations.__new__(Generations)
    made.mk = self.mk
    made.constant = constant
    made.aead = self.aead
    made.generation = 0
    return made
