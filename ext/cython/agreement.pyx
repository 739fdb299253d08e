"""ECDHE-Curve25519: the private key and ES never become Python bytes."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memcpy

from c_agreement cimport X25519_LEN, tcpcrypt_x25519, tcpcrypt_x25519_public
from pyeno._native.secret cimport Secret, new_secret
from sodium cimport sodium, sodium_load

from pyeno._complaints import all_zero_secret, private_key_length, public_key_length

include "loaded.pxi"


cdef const unsigned char *_private(Secret private) except NULL:
    if private.size != X25519_LEN:
        raise private_key_length(private.size)
    return private.bytes_of()


def x25519_public(Secret private not None):
    """Pub for a 32-byte private key."""
    cdef unsigned char public[32]
    cdef const unsigned char *key = _private(private)
    tcpcrypt_x25519_public(public, key)
    return (<const char *>public)[:32]


def x25519(Secret private not None, public):
    """ES; RemoteProtocolError if the peer's key forces it to zero."""
    cdef unsigned char es[32]
    cdef unsigned char theirs[32]
    cdef Py_buffer view
    cdef const unsigned char *key = _private(private)
    cdef int failed
    PyObject_GetBuffer(public, &view, PyBUF_SIMPLE)
    try:
        if view.len != X25519_LEN:
            raise public_key_length(view.len)
        memcpy(theirs, view.buf, 32)
    finally:
        PyBuffer_Release(&view)
    with nogil:
        failed = tcpcrypt_x25519(es, key, theirs)
    try:
        if failed:
            raise all_zero_secret()
        return new_secret(es, 32)
    finally:
        sodium.memzero(es, 32)
