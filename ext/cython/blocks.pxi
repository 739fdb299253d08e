# Buffers for what openers receive, taken from a few that all connections of the
# process share: most connections hold nothing most of the time, and the block used
# last is still in the processor's cache.  The GIL is held here.
#
# A block is a bytearray whose export is held, so that nobody can resize it; what
# outgrows it moves to a larger one.  One of which somebody else has a view is never
# used again.

cdef enum:
    BLOCK = 1 << 19  # what a transport of pyeno.aio asks for at once fits
    BLOCKS_KEPT = 8

cdef Py_buffer blocks[BLOCKS_KEPT]
cdef int blocks_kept = 0


cdef int block_take(Py_buffer *block, size_t need) except -1:
    global blocks_kept
    cdef size_t capacity = BLOCK
    if need <= BLOCK and blocks_kept:
        blocks_kept -= 1
        block[0] = blocks[blocks_kept]
        return 0
    while capacity < need:
        capacity *= 2
    PyObject_GetBuffer(PyByteArray_FromStringAndSize(NULL, capacity), block, PyBUF_WRITABLE)
    return 0


# lent: somebody was given views of it
cdef int block_give(Py_buffer *block, bint lent) except -1:
    global blocks_kept
    if block.len != BLOCK or blocks_kept == BLOCKS_KEPT or (lent and block_shared(block)):
        PyBuffer_Release(block)
        return 0
    blocks[blocks_kept] = block[0]
    blocks_kept += 1
    return 0


# Resizing asks whether anybody has a view; by one byte it moves nothing.
cdef bint block_shared(Py_buffer *block) except -1:
    cdef bint shared = False
    owner = <object>block.obj
    PyBuffer_Release(block)
    try:
        PyByteArray_Resize(owner, BLOCK - 1)
        PyByteArray_Resize(owner, BLOCK)
    except BufferError:
        shared = True
    PyObject_GetBuffer(owner, block, PyBUF_WRITABLE)
    return shared
