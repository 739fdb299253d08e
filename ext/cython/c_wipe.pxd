cdef extern from "wipe.h" nogil:
    void wipe(void *data, size_t len)
    void wipe_stack()
    void wipe_freed()
    void wipe_free(void *data, size_t len)
