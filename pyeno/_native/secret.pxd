# The one extension type that stages hand to each other.
cdef class Secret:
    cdef unsigned char *data
    cdef Py_ssize_t size
    cdef bint gone

    cdef const unsigned char *bytes_of(self) except NULL


cdef Secret new_secret(const unsigned char *data, Py_ssize_t size)
