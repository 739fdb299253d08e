# The type that the compiled modules hand one another.  No method is declared,
# so that they agree on a struct only.

cimport cython
from libc.stdlib cimport calloc

import pyeno._complaints as say


@cython.final
cdef class Secret:
    cdef unsigned char *data
    cdef Py_ssize_t size
    cdef bint gone


cdef inline Secret secret_new(Py_ssize_t size):
    cdef Secret secret = Secret.__new__(Secret)
    # Plain memory, wiped at the end: sodium_malloc() takes four pages and
    # three mappings for each, and a busy server holds many thousands.
    secret.data = <unsigned char *>calloc(1, size or 1)
    if secret.data is NULL:
        raise MemoryError("no memory for a secret")
    secret.size = size
    return secret


# need: the exact size, or -1 for any
cdef inline const unsigned char *secret_data(
    Secret secret, object what, Py_ssize_t need
) except NULL:
    if secret.data is NULL or secret.gone:
        raise say.wiped("Secret")
    if need >= 0 and secret.size != need:
        raise say.length(what, secret.size, need)
    return secret.data
