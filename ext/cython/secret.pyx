"""Opaque secret bytes in memory of their own, wiped at the end of their life."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from pyeno._native.secret cimport Secret
from sodium cimport sodium, sodium_load

from pyeno.errors import LocalProtocolError

include "loaded.pxi"


cdef class Secret:
    """Bytes that stay out of logs and reprs; ``export`` is the one way out."""

    def __cinit__(self, data):
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            _allocate(self, view.len)
            memcpy(self.data, view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    def __dealloc__(self):
        if self.data != NULL:
            sodium.memzero(self.data, self.size)
            free(self.data)

    @staticmethod
    def random(Py_ssize_t size):
        cdef Secret secret
        if size < 0:
            raise ValueError(f"Secret.random: size {size}; ask for 0 bytes or more")
        secret = new_secret(NULL, size)
        sodium.random(secret.data, size)
        return secret

    def __len__(self):
        return self.size

    def __repr__(self):
        return f"<Secret: {'wiped' if self.gone else f'{self.size} bytes'}>"

    @property
    def wiped(self):
        return bool(self.gone)

    def export(self):
        return (<const char *>self.bytes_of())[: self.size]

    def wipe(self):
        sodium.memzero(self.data, self.size)
        self.gone = True

    cdef const unsigned char *bytes_of(self) except NULL:
        if self.gone:
            raise LocalProtocolError("secret: used after it was wiped")
        return self.data


cdef int _allocate(Secret self, Py_ssize_t size) except -1:
    self.data = <unsigned char *>malloc(size + 1)
    if self.data == NULL:
        raise MemoryError()
    self.size = size
    return 0


cdef Secret new_secret(const unsigned char *data, Py_ssize_t size):
    """A secret from C: no Python object ever holds the bytes."""
    cdef Secret secret = Secret.__new__(Secret, b"")
    free(secret.data)
    secret.data = NULL
    _allocate(secret, size)
    if data != NULL:
        memcpy(secret.data, data, size)
    return secret
