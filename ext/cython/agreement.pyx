"""X25519 on secrets; see agreement.pyi."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t

from c_agreement cimport tcpcrypt_x25519, tcpcrypt_x25519_public
from c_sodium cimport bind_sodium
from c_tcpcrypt cimport X25519_LEN
from pyeno._native.secret cimport Secret, secret_data, secret_new

import pyeno._complaints as say

bind_sodium()


def x25519_public(Secret private not None):
    cdef uint8_t public[32]
    cdef const uint8_t *key = secret_data(private, "private key", X25519_LEN)
    tcpcrypt_x25519_public(public, key)
    return (<const char *>public)[:X25519_LEN]


def x25519(Secret private not None, public):
    cdef Secret es = secret_new(X25519_LEN)
    cdef const uint8_t *key = secret_data(private, "private key", X25519_LEN)
    cdef Py_buffer view
    cdef int status
    PyObject_GetBuffer(public, &view, PyBUF_SIMPLE)
    try:
        if view.len != X25519_LEN:
            raise say.public_key_len(view.len)
        status = tcpcrypt_x25519(es.data, key, <const uint8_t *>view.buf)
    finally:
        PyBuffer_Release(&view)
    if status:
        raise say.low_order()
    return es
