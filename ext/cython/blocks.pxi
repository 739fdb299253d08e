# Buffers for what openers receive, taken from a few that all connections of the
# process share: most connections hold nothing most of the time, and the block used
# last is still in the processor's cache.  The GIL is held here.
#
# A block is a bytearray whose export an opener holds, so that nobody can resize
# it; what outgrows it moves to a larger one.  One of which somebody else has a
# view is never used again.

cdef enum:
    BLOCK = 1 << 18
    BLOCKS_KEPT = 8

cdef list blocks = []


cdef object blocks_take(size_t need):
    cdef size_t capacity = BLOCK
    if need <= BLOCK and blocks:
        return blocks.pop()
    while capacity < need:
        capacity *= 2
    return PyByteArray_FromStringAndSize(NULL, capacity)


cdef void blocks_give(object block):
    if len(<bytearray>block) == BLOCK and len(blocks) < BLOCKS_KEPT:
        blocks.append(block)


# resizing asks whether anybody has a view; by one byte it moves nothing
cdef bint shared(object block):
    cdef Py_ssize_t size = len(<bytearray>block)
    try:
        PyByteArray_Resize(block, size - 1)
        PyByteArray_Resize(block, size)
    except BufferError:
        return True
    return False
