# The Opener of framer.pyx: the TCP stream to application data.

@cython.final
cdef class Opener:
    def __init__(self, aead, Secret key not None, offset):
        cdef uint64_t start = stream_offset(offset)
        cdef aead_t fresh
        if self.live:
            raise TypeError("__init__() of an Opener in use")
        make_aead(&fresh, aead, key)
        memset(&self.o, 0, sizeof(self.o))
        self.o.aead = fresh
        self.o.oob_inline = 1
        self.o.offset = start
        self.aead = aead
        self.offered = 0
        self.live = True

    def __dealloc__(self):
        self.forget()

    def __repr__(self):
        return f"<Opener: stream offset {self.o.offset}>" if self.live else "<Opener: wiped>"

    cdef void forget(self):
        opener_wipe(&self.o)
        wipe_stack()  # providers leave parts of keys there
        self.offered = 0
        self.leave_buffer()

    cdef void leave_buffer(self):
        if self.stored:
            self.stored = False
            if self.pinned:
                PyBuffer_Release(&self.storage)
            else:
                block_give(&self.storage, self.lent)
            self.lent = False

    # between messages a connection has no buffer
    cdef void rest(self):
        if self.stored and not self.offered and opener_rest(&self.o):
            self.leave_buffer()

    # an error is told once everything authenticated before it has been read
    cdef int tell(self) except -1:
        if self.o.fault and not opener_pending(&self.o):
            raise say.stream(self.o.fault, self.o.fault_offset, self.o.fault_clen)
        return 0

    cdef int check(self) except -1:
        if self.busy:
            raise say.busy("Opener")
        if not self.live:
            raise say.wiped("Opener")
        return self.tell()

    @property
    def offset(self):
        return self.o.offset

    @property
    def generation(self):
        return self.o.generation

    @property
    def finished(self):
        return self.o.finp != 0 and not self.o.fault

    @property
    def buffered(self):
        return opener_buffered(&self.o)

    @property
    def pending(self):
        return opener_pending(&self.o)

    @property
    def rekey_wanted(self):
        return self.o.rekey_wanted != 0

    @property
    def urgent_index(self):
        return self.o.urgent_index if self.o.urgent_seen else None

    @property
    def urgent_byte(self):
        return self.o.urgent_byte if self.o.urgent_seen and self.live else None

    @property
    def read_index(self):
        return opener_read_index(&self.o)

    @property
    def empty_rekeys(self):
        return self.o.empty_rekeys

    @property
    def oob_inline(self):
        return self.o.oob_inline != 0

    @oob_inline.setter
    def oob_inline(self, bint wish):
        if self.busy:
            raise say.busy("Opener")
        self.o.oob_inline = wish

    cdef int reserve(self, size_t size) except -1:
        cdef size_t need = opener_make_room(&self.o, size)
        cdef Py_buffer fresh
        if not need:
            return 0
        block_take(&fresh, need)
        opener_move(&self.o, <uint8_t *>fresh.buf, fresh.len)
        self.leave_buffer()
        self.storage = fresh
        self.stored = True
        return 0

    def feed(self, data):
        cdef Py_buffer view
        self.check()
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            if view.len:
                self.reserve(view.len)
                memmove(self.o.buffer + self.o.end, view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
        self.offered = 0
        opener_commit(&self.o, view.len)

    def room(self, Py_ssize_t size):
        self.check()
        if size < 1:
            raise say.out_of_range("size", size, 1, 0x7FFFFFFF)
        self.reserve(size)
        self.offered = size
        self.lent = True
        return memoryview(<object>self.storage.obj)[self.o.end : self.o.end + size]

    def received(self, Py_ssize_t size):
        self.check()
        if size < 0 or <size_t>size > self.offered:
            raise say.not_in_room(size, self.offered)
        self.offered = 0
        opener_commit(&self.o, size)

    cdef Py_ssize_t run(self, uint8_t *out, size_t room, size_t size) except -1:
        cdef size_t got = self.work(out, room, size)
        if not got:
            self.tell()
        return got

    cdef size_t available(self, size_t size):
        return opener_available(&self.o, size)

    cdef void commit(self, size_t size):
        opener_commit(&self.o, size)

    cdef size_t work(self, uint8_t *out, size_t room, size_t size):
        cdef size_t got
        cdef uint64_t generation = self.o.generation
        self.busy = True
        if size >= RELEASE_FROM and opener_buffered(&self.o) >= RELEASE_FROM:
            with nogil:
                got = opener_read(&self.o, out, room, size)
        else:
            got = opener_read(&self.o, out, room, size)
        self.busy = False
        if self.o.generation != generation:
            wipe_stack()
        self.rest()
        return got

    def read(self, Py_ssize_t size):
        cdef size_t room
        cdef Py_ssize_t got
        self.check()
        if size < 0:
            raise say.out_of_range("size", size, 0, 0x7FFFFFFF)
        room = opener_available(&self.o, size)
        out = PyBytes_FromStringAndSize(NULL, room)
        got = self.run(<uint8_t *>PyBytes_AsString(out), room, size)
        # fewer: an urgent field, or a frame that may not be opened yet
        return out if <size_t>got == room else out[:got]

    def read_into(self, out):
        cdef Py_buffer view
        self.check()
        PyObject_GetBuffer(out, &view, PyBUF_WRITABLE)
        try:
            return self.run(<uint8_t *>view.buf, view.len, view.len)
        finally:
            PyBuffer_Release(&view)

    def peek(self, Py_ssize_t size):
        cdef const uint8_t *data
        cdef size_t got
        self.check()
        if size < 0:
            raise say.out_of_range("size", size, 0, 0x7FFFFFFF)
        got = opener_peek(&self.o, &data, size)
        return PyBytes_FromStringAndSize(<const char *>data, got) if got else b""

    def open_ahead(self):
        self.check()
        self.busy = True
        with nogil:
            opener_open_ahead(&self.o)
        self.busy = False
        wipe_stack()
        self.tell()

    def rekey(self, Secret key not None):
        self.check()
        if self.o.next.small.ops is not NULL:
            raise say.rekeyed_already()
        make_aead(&self.o.next, self.aead, key)
        self.o.rekey_wanted = 0

    def wipe(self):
        if self.busy:
            raise say.busy("Opener")
        self.forget()
        self.live = False
