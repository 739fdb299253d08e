# The type that the compiled relay takes keys from.

cimport cython

from c_keyschedule cimport generations_t


@cython.final
cdef class Generations:
    cdef generations_t g
    cdef bint live
    cdef int check(self) except -1
