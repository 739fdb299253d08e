"""Opaque secret bytes in C memory; see secret.pyi.

The bytes live outside Python's heap and are wiped with sodium_memzero() by
wipe() or with the object, whichever comes first.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.errno cimport errno
from libc.stdlib cimport calloc
from libc.string cimport memcpy

from c_sodium cimport bind_sodium, sodium
from c_wipe cimport wipe, wipe_free
import pyeno._complaints as say

cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
    int setsockopt(int fd, int level, int name, const void *value, socklen_t size)

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

    @staticmethod
    def from_option(int fileno, int level, int name, Py_ssize_t size):
        cdef Secret secret
        cdef socklen_t given
        if size < 1:
            raise say.out_of_range("size", size, 1, 65535)
        secret = secret_new(size)
        given = <socklen_t>size
        if getsockopt(fileno, level, name, secret.data, &given):
            raise say.refused_option("getsockopt", errno)
        if given != size:
            raise say.short_option(given, size)
        return secret

    @staticmethod
    def split_option(int fileno, int level, int name, Py_ssize_t head, Py_ssize_t size):
        cdef Secret whole, secret
        if head < 0:
            raise say.out_of_range("head", head, 0, 65535)
        if size < 1:
            raise say.out_of_range("size", size, 1, 65535)
        secret = secret_new(size)
        whole = Secret.from_option(fileno, level, name, head + size)
        memcpy(secret.data, whole.data + head, size)
        return (<const char *>whole.data)[:head], secret

    def to_option(self, int fileno, int level, int name, prefix):
        cdef const unsigned char *data = secret_data(self, "secret", -1)
        cdef Py_buffer view
        cdef unsigned char *value
        cdef Py_ssize_t size
        cdef int status, code
        PyObject_GetBuffer(prefix, &view, PyBUF_SIMPLE)
        size = view.len + self.size
        value = <unsigned char *>calloc(1, size or 1)
        if value is not NULL:
            if view.len:
                memcpy(value, view.buf, view.len)
            memcpy(value + view.len, data, self.size)
        PyBuffer_Release(&view)
        if value is NULL:
            raise say.no_memory()
        status = setsockopt(fileno, level, name, value, <socklen_t>size)
        code = errno
        wipe_free(value, size)
        if status:
            raise say.refused_option("setsockopt", code)

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
