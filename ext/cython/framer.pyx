"""Sealing and opening frames; see framer.pyi.

Here are only buffers, locks and exceptions; the protocol is in framer.c, the
wording of refusals in pyeno.say.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.bytearray cimport PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport UINT64_MAX, uint8_t, uint64_t
from libc.string cimport memmove, memset

from c_aead cimport AEAD_OK, AEAD_NO_MEMORY, aead_init, aead_t, aead_wipe
from c_framer cimport (
    NO_URGENT, opener_available, opener_buffered, opener_commit, opener_make_room, opener_move,
    opener_pending, opener_read, opener_t, opener_wipe, seal_job_t, sealer_rekey, sealer_seal,
    sealer_size, sealer_t, sealer_wipe,
)
from c_sodium cimport bind_sodium
from c_tcpcrypt cimport (
    AE_NONCE_LEN, FRAME_DATA_MAX, FRAME_OVERHEAD, URGENT_LEN, tcpcrypt_key_len,
)
from pyeno._native.secret cimport Secret, secret_data

import pyeno._complaints as say

include "providers.pxi"

bind_sodium()
bind_providers()

cdef enum:
    # work worth giving the GIL away for
    RELEASE_FROM = 2048
    BUFFER_MIN = 1024


cdef int make_aead(aead_t *a, object aead, Secret key) except -1:
    cdef int status
    if not (0 <= aead <= 0xFFFF and tcpcrypt_key_len(aead)):
        raise say.unknown_aead(aead)
    status = aead_init(
        a, aead, secret_data(key, "traffic key", tcpcrypt_key_len(aead) + AE_NONCE_LEN)
    )
    if status != AEAD_OK:
        raise say.no_memory() if status == AEAD_NO_MEMORY else say.provider()
    return 0


cdef uint64_t stream_offset(object offset) except? 1:
    if not 0 <= offset <= UINT64_MAX:
        raise say.out_of_range("offset", offset, 0, UINT64_MAX)
    return offset


@cython.final
cdef class Sealer:
    cdef sealer_t s
    cdef int aead
    cdef bint live, busy

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

    def wipe(self):
        if self.busy:
            raise say.busy("Sealer")
        sealer_wipe(&self.s)
        self.live = False


@cython.final
cdef class Opener:
    cdef opener_t o
    # The buffer is a bytearray whose export is held here, so that nobody can
    # resize it; what outgrows it moves to a new one, and views of the old one
    # keep that alive.
    cdef Py_buffer storage
    cdef size_t offered
    cdef int aead
    cdef bint stored, live, busy

    def __init__(self, aead, Secret key not None, offset):
        cdef uint64_t start = stream_offset(offset)
        cdef aead_t fresh
        if self.live:
            raise TypeError("__init__() of an Opener in use")
        make_aead(&fresh, aead, key)
        memset(&self.o, 0, sizeof(self.o))
        self.o.aead = fresh
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
        if self.stored:
            self.stored = False
            PyBuffer_Release(&self.storage)

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

    cdef int reserve(self, size_t size) except -1:
        cdef size_t need = opener_make_room(&self.o, size)
        cdef size_t capacity = BUFFER_MIN
        cdef Py_buffer fresh
        if not need:
            return 0
        while capacity < need:
            capacity *= 2
        block = PyByteArray_FromStringAndSize(NULL, capacity)
        PyObject_GetBuffer(block, &fresh, PyBUF_WRITABLE)
        opener_move(&self.o, <uint8_t *>fresh.buf, capacity)
        if self.stored:
            PyBuffer_Release(&self.storage)
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
        return memoryview(<object>self.storage.obj)[self.o.end : self.o.end + size]

    def received(self, Py_ssize_t size):
        self.check()
        if size < 0 or <size_t>size > self.offered:
            raise say.not_in_room(size, self.offered)
        self.offered = 0
        opener_commit(&self.o, size)

    cdef Py_ssize_t run(self, uint8_t *out, size_t room, size_t size) except -1:
        cdef size_t got
        self.busy = True
        if size >= RELEASE_FROM and opener_buffered(&self.o) >= RELEASE_FROM:
            with nogil:
                got = opener_read(&self.o, out, room, size)
        else:
            got = opener_read(&self.o, out, room, size)
        self.busy = False
        if not got:
            self.tell()
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
        self.offered = 0
        self.live = False
