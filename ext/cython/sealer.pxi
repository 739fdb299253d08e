# The Sealer of framer.pyx: application data to frames.

@cython.final
cdef class Sealer:
    def __init__(self, aead, Secret key not None, offset, *, frame_size=FRAME_DATA_MAX):
        cdef uint64_t start = stream_offset(offset)
        if self.live:
            raise TypeError("__init__() of a Sealer in use")
        if not 1 <= frame_size <= FRAME_DATA_MAX:
            raise say.out_of_range("frame_size", frame_size, 1, FRAME_DATA_MAX)
        make_aead(&self.s.aead, aead, key)
        self.s.offset = start
        self.s.frame_size = frame_size
        self.s.generation = 0
        self.s.rekey = self.s.finished = 0
        self.s.early_until = 0
        self.s.sealed_at = -IDLE_MS
        self.aead = aead
        self.live = True

    def __dealloc__(self):
        sealer_wipe(&self.s)

    def __repr__(self):
        return f"<Sealer: stream offset {self.s.offset}>" if self.live else "<Sealer: wiped>"

    cdef int check(self, deed) except -1:
        if self.busy:
            raise say.busy("Sealer")
        if not self.live:
            raise say.wiped("Sealer")
        if deed is not None and self.s.finished:
            raise say.finished(deed)
        return 0

    @property
    def offset(self):
        return self.s.offset

    @property
    def generation(self):
        return self.s.generation

    @property
    def finished(self):
        return self.s.finished != 0

    def pace(self, int64_t now):
        self.check(None)
        self.paced(now)

    cdef void paced(self, int64_t now):
        sealer_pace(&self.s, now)

    cdef size_t sized(self, size_t size):
        return sealer_size(&self.s, size, NO_URGENT)

    # the urgent field must fall inside the one frame (RFC 8548 section 3.7)
    cdef int urgent_field(self, object urgent, size_t size) except -2:
        cdef size_t limit = min(self.s.frame_size, <size_t>FRAME_DATA_MAX - URGENT_LEN)
        if urgent is None:
            return NO_URGENT
        if size > limit:
            raise say.urgent_frame(size, limit)
        if not 0 <= urgent < size:
            raise say.out_of_range("urgent", urgent, 0, <Py_ssize_t>size - 1)
        return urgent

    cdef int run(self, seal_job_t *job) except -1:
        cdef int status
        if job.room > UINT64_MAX - self.s.offset:  # [8548:3.6-6]
            raise say.stream_full(self.s.offset)
        self.busy = True
        if job.len >= RELEASE_FROM:
            with nogil:
                status = sealer_seal(&self.s, job)
        else:
            status = sealer_seal(&self.s, job)
        self.busy = False
        if status != AEAD_OK:
            raise say.provider()
        return 0

    def seal(self, data, *, bint fin=False, urgent=None):
        cdef Py_buffer view
        cdef seal_job_t job
        self.check("seal")
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            job.data = <const uint8_t *>view.buf
            job.len = view.len
            job.fin = fin
            job.urgent = self.urgent_field(urgent, view.len)
            job.room = sealer_size(&self.s, view.len, job.urgent)
            out = PyBytes_FromStringAndSize(NULL, job.room)
            job.out = <uint8_t *>PyBytes_AsString(out)
            self.run(&job)
        finally:
            PyBuffer_Release(&view)
        return out

    def seal_into(self, out, data, *, bint fin=False):
        cdef Py_buffer view, target
        cdef seal_job_t job
        cdef Py_ssize_t need
        self.check("seal")
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            PyObject_GetBuffer(out, &target, PyBUF_WRITABLE)
            try:
                need = FRAME_OVERHEAD + (view.len > 0)
                if target.len < need:
                    raise say.no_room(target.len, need)
                job.data = <const uint8_t *>view.buf
                job.len = view.len
                job.fin = fin
                job.urgent = NO_URGENT
                job.out = <uint8_t *>target.buf
                job.room = min(
                    <size_t>target.len, sealer_size(&self.s, view.len, NO_URGENT)
                )
                self.run(&job)
            finally:
                PyBuffer_Release(&target)
        finally:
            PyBuffer_Release(&view)
        return job.taken, job.written

    def rekey(self, Secret key not None):
        cdef aead_t fresh
        self.check("rekey")
        if self.s.rekey:
            raise say.rekeyed_already()
        make_aead(&fresh, self.aead, key)
        sealer_rekey(&self.s, &fresh)
        wipe_stack()  # providers leave parts of keys there

    def wipe(self):
        if self.busy:
            raise say.busy("Sealer")
        sealer_wipe(&self.s)
        wipe_stack()
        self.live = False
