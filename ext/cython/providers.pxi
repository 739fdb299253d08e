# The compiled framer's AEAD providers: the plan of pyeno._crypto carried out,
# and `cryptography` behind the hooks of aead.h.

from cpython.buffer cimport PyBUF_READ, PyBUF_WRITE
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint16_t
from libc.string cimport memcpy

from c_aead cimport (
    AEAD_FAIL, AEAD_HOOKS, AEAD_LIBCRYPTO, AEAD_LIBSODIUM, AEAD_PROVIDER, aead_bind_hooks,
    aead_bind_libcrypto, aead_hooks, aead_plan, aead_provider, aead_set_plan,
)
from c_tcpcrypt cimport AE_TAG_LEN, FRAME_HEADER_LEN
from c_wipe cimport wipe_stack

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

import pyeno._crypto as _crypto
from pyeno.constants import Aead


@cython.final
cdef class Held:
    """A key held by `cryptography`, which keeps a reference to the bytes."""

    cdef object cipher
    cdef bytearray key
    cdef bint leaves_key  # on the stack

    def __dealloc__(self):
        if self.key is not None:
            self.key[:] = bytes(len(self.key))


cdef void *held_create(uint16_t aead, const uint8_t *key, size_t key_len) noexcept with gil:
    cdef Held held
    try:
        held = Held()
        held.key = bytearray(<size_t>key_len)
        memcpy(<char *>held.key, key, key_len)
        held.leaves_key = aead == Aead.CHACHA20_POLY1305
        kind = ChaCha20Poly1305 if held.leaves_key else AESGCM
        held.cipher = kind(held.key)
        Py_INCREF(held)
        return <void *>held
    except BaseException:
        return NULL


cdef int held_seal(
    void *state, uint8_t *text, size_t size, const uint8_t *nonce, const uint8_t *ad
) noexcept with gil:
    try:
        (<Held>state).cipher.encrypt_into(
            (<const char *>nonce)[:AE_NONCE_LEN],
            PyMemoryView_FromMemory(<char *>text, size, PyBUF_READ),
            (<const char *>ad)[:FRAME_HEADER_LEN],
            PyMemoryView_FromMemory(<char *>text, size + AE_TAG_LEN, PyBUF_WRITE),
        )
        return AEAD_OK
    except BaseException:
        return AEAD_PROVIDER
    finally:
        if (<Held>state).leaves_key:
            wipe_stack()


cdef int held_open(
    void *state, uint8_t *out, const uint8_t *text, size_t size, const uint8_t *nonce,
    const uint8_t *ad
) noexcept with gil:
    try:
        (<Held>state).cipher.decrypt_into(
            (<const char *>nonce)[:AE_NONCE_LEN],
            PyMemoryView_FromMemory(<char *>text, size + AE_TAG_LEN, PyBUF_READ),
            (<const char *>ad)[:FRAME_HEADER_LEN],
            PyMemoryView_FromMemory(<char *>out, size, PyBUF_WRITE),
        )
        return AEAD_OK
    except InvalidTag:
        return AEAD_FAIL
    except BaseException:
        return AEAD_PROVIDER
    finally:
        if (<Held>state).leaves_key:
            wipe_stack()


cdef void held_destroy(void *state) noexcept with gil:
    Py_DECREF(<object>state)


cdef aead_hooks held_hooks = aead_hooks(held_create, held_seal, held_open, held_destroy)


cdef aead_provider provider_code(str name) except *:
    if name == _crypto.LIBSODIUM:
        return AEAD_LIBSODIUM
    return AEAD_LIBCRYPTO if name == _crypto.LIBCRYPTO else AEAD_HOOKS


# plan: who computes an AEAD, for those who use this module
cdef int bind_providers(object plan_of) except -1:
    cdef const char *missing
    cdef aead_plan codes
    libcrypto = _crypto.loaded_libcrypto()
    if libcrypto is not None:
        missing = aead_bind_libcrypto(libcrypto.encode())
        if missing is not NULL:
            raise ImportError(f"{libcrypto}: {(<bytes>missing).decode()} is missing")
    aead_bind_hooks(&held_hooks)
    for aead in Aead:
        plan = plan_of(aead)
        codes = aead_plan(provider_code(plan.small), provider_code(plan.large), plan.cut)
        if aead_set_plan(aead, codes):
            raise ImportError(f"{aead.name}: {plan} cannot compute it")
    return 0
