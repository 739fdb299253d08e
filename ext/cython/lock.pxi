# The locks of a link, one per direction, that compiled code takes without a call.

cdef extern from "pythread.h" nogil:
    ctypedef void *PyThread_type_lock
    PyThread_type_lock PyThread_allocate_lock()
    void PyThread_free_lock(PyThread_type_lock lock)
    int PyThread_acquire_lock(PyThread_type_lock lock, int wait)
    void PyThread_release_lock(PyThread_type_lock lock)
    ctypedef enum PyLockStatus:
        PY_LOCK_FAILURE
        PY_LOCK_ACQUIRED
        PY_LOCK_INTR
    PyLockStatus PyThread_acquire_lock_timed(
        PyThread_type_lock lock, long long microseconds, int interruptible
    )


@cython.final
cdef class Lock:
    cdef PyThread_type_lock lock
    cdef bint held

    def __cinit__(self):
        self.lock = PyThread_allocate_lock()
        if self.lock is NULL:
            raise MemoryError("no memory for a lock")

    def __dealloc__(self):
        if self.lock is not NULL:
            if self.held:
                PyThread_release_lock(self.lock)
            PyThread_free_lock(self.lock)

    cdef bint take_now(self):
        if self.held or not PyThread_acquire_lock(self.lock, 0):
            return False
        self.held = True
        return True

    cdef void give(self):
        self.held = False
        PyThread_release_lock(self.lock)

    def acquire(self, blocking=True, double timeout=-1):
        cdef int64_t until, left = -1
        cdef PyLockStatus status
        if self.take_now():
            return True
        if not blocking:
            return False
        if timeout >= 0:
            left = <int64_t>(timeout * 1e6)
            until = clock_us() + left
        while True:
            with nogil:
                status = PyThread_acquire_lock_timed(self.lock, left, 1)
            if status == PY_LOCK_ACQUIRED:
                self.held = True
                return True
            if status == PY_LOCK_FAILURE:
                return False
            PyErr_CheckSignals()
            if timeout >= 0:
                left = max(until - clock_us(), <int64_t>0)

    def release(self):
        if not self.held:
            raise RuntimeError("release unlocked lock")
        self.give()

    def locked(self):
        return self.held

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *_):
        self.release()
