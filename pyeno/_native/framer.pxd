# The types of the compiled framer, for the modules that work on them directly.

cimport cython

from c_framer cimport opener_t, seal_job_t, sealer_t
from libc.stdint cimport int64_t, uint8_t


@cython.final
cdef class Sealer:
    cdef sealer_t s
    cdef int aead
    cdef bint live, busy
    cdef int check(self, deed) except -1
    cdef int urgent_field(self, object urgent, size_t size) except -2
    cdef int run(self, seal_job_t *job) except -1
    cdef void paced(self, int64_t now)
    cdef size_t sized(self, size_t size)


@cython.final
cdef class Opener:
    cdef opener_t o
    cdef Py_buffer storage
    cdef size_t offered
    cdef int aead
    cdef bint stored, lent, pinned, live, busy
    cdef void forget(self)
    cdef void leave_buffer(self)
    cdef void rest(self)
    cdef int tell(self) except -1
    cdef int check(self) except -1
    cdef int reserve(self, size_t size) except -1
    cdef Py_ssize_t run(self, uint8_t *out, size_t room, size_t size) except -1
    cdef size_t available(self, size_t size)
    cdef void commit(self, size_t size)
    cdef size_t work(self, uint8_t *out, size_t room, size_t size)
