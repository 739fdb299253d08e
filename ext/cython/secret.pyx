"""Opaque secret bytes in C memory; see secret.pyi.

The bytes live outside Python's heap and are wiped with sodium_memzero() by
wipe() or with the object, whichever comes first.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memcpy

from c_sodium cimport bind_sodium, sodium
from c_wipe cimport wipe, wipe_free
import pyeno._complaints as say

bind_sodium()


@cython.final
cdef class Secret:
    def __init__(self, data):
        cdef Py_buffer view
        cdef Secret fresh
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            fresh = secret_new(view.len)
            if view.len:
                memcpy(fresh.data, view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
        # the new bytes in, what there was before out with `fresh`
        self.data, fresh.data = fresh.data, self.data
        self.size, fresh.size = fresh.size, self.size
        self.gone = False

    def __dealloc__(self):
        wipe_free(self.data, self.size)

    @staticmethod
    def random(Py_ssize_t size):
        cdef Secret secret
        if size < 1:
            raise say.out_of_range("size", size, 1, 65535)
        secret = secret_new(size)
        sodium.randombytes_buf(secret.data, size)
        return secret

    def __len__(self):
        return self.size

    def __repr__(self):
        return "<Secret: wiped>" if self.gone else f"<Secret: {self.size} bytes>"

    def __reduce__(self):
        raise TypeError("a Secret cannot be pickled or copied")

    @property
    def wiped(self):
        return self.gone

    def export(self):
        return (<const char *>secret_data(self, "secret", -1))[: self.size]

    def wipe(self):
        if self.data is not NULL:
            wipe(self.data, self.size)
        self.gone = True
