"""ext/wire/eno.h and eno_encode.h, and how a Python buffer becomes a struct eno_syn."""

from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
)
from libc.string cimport memcpy

cdef extern from "eno.h" nogil:
    ctypedef unsigned char eno_u8
    enum:
        ENO_KIND, ENO_HEADER_LEN, ENO_OPTION_MAX, ENO_SUBOPTION_MAX
        ENO_V, ENO_GLT, ENO_TEP_MIN
        ENO_GLOBAL_B, ENO_GLOBAL_A, ENO_GLOBAL_Z
    enum eno_reason:
        ENO_NEGOTIATED, ENO_REASON_COUNT
    struct eno_suboption:
        eno_u8 tep_byte, data_at, data_len, length_byte
    # "global" is a keyword to Cython, hence the second name
    struct eno_syn:
        eno_u8 option[40]
        eno_u8 len, at, reason, explicit_global, count
        eno_u8 global_byte "global"
        eno_suboption sub[38]
    struct eno_search:
        eno_u8 at, first, count
    eno_reason eno_syn_parse(eno_syn *syn)
    int eno_search_step(eno_search *search, const eno_u8 *options, eno_u8 len)

cdef extern from "eno_encode.h" nogil:
    enum eno_refusal:
        ENO_WRITTEN
    struct eno_encoder:
        eno_u8 option[40]
        eno_u8 len
    void eno_encode_begin(eno_encoder *encoder)
    void eno_put_global(eno_encoder *encoder, eno_u8 value)
    eno_refusal eno_put_suboption(eno_encoder *encoder, eno_u8 tep_byte, const eno_u8 *data,
                                  unsigned long len, bint length_byte, bint last)


cdef inline int acquire(object source, Py_buffer *view, str name) except -1:
    """Borrow a contiguous buffer; the caller releases it."""
    if not PyObject_CheckBuffer(source):
        raise TypeError(f"{name}: give a bytes-like object, not {type(source).__name__}")
    return PyObject_GetBuffer(source, view, PyBUF_SIMPLE)


cdef inline Py_ssize_t load(object source, eno_syn *syn, str name) except -1:
    """Copy a whole option into a zeroed struct; an overlong one is cut, yet stays overlong."""
    cdef Py_buffer view
    cdef Py_ssize_t size
    acquire(source, &view, name)
    size = view.len
    memcpy(syn.option, view.buf, min(size, <Py_ssize_t>ENO_OPTION_MAX))
    syn.len = <eno_u8>min(size, <Py_ssize_t>ENO_OPTION_MAX + 1)
    PyBuffer_Release(&view)
    return size
