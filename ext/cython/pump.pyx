"""Application data straight between the framer and the kernel; see pump.pyi.

Only what every call does has its place here.  Whatever else there is to do
(waiting, ends, errors, rekeying, urgent data) is the link's: as soon as
something is not as usual it is called, and does the whole call or its rest.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc

from c_framer cimport NO_URGENT, opener_buffered, opener_pending, seal_job_t
from c_tcpcrypt cimport FRAME_DATA_MAX, FRAME_OVERHEAD
from pyeno._native.framer cimport Opener, Sealer

import os

cdef extern from "<sys/socket.h>" nogil:
    enum:
        MSG_DONTWAIT
        MSG_MORE
        MSG_TRUNC
    ssize_t send(int fd, const void *data, size_t size, int flags)
    ssize_t recv(int fd, void *data, size_t size, int flags)

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    enum:
        CLOCK_MONOTONIC
        CLOCK_MONOTONIC_COARSE
    int clock_gettime(int clock, timespec *now)

cdef enum:
    # frames up to here are sealed on the stack
    SMALL = 4096
    # Sealed bytes handed to the kernel at once: five of the largest frames, which hold
    # a write of 256 KiB; four would leave 72 bytes of it to a call of their own.
    BATCH = 5 * (FRAME_DATA_MAX + FRAME_OVERHEAD)
    # Room that recv() is offered at least and at most: half a processor's cache of the
    # second level, where what was received is opened.
    PULL = 1 << 16
    PULL_MOST = 1 << 18
    # batches kept for the next call
    BATCHES = 4

cdef uint8_t *batches[BATCHES]
cdef int batches_kept = 0


cdef uint8_t *batch_take() except NULL:
    global batches_kept
    cdef uint8_t *batch
    if batches_kept:
        batches_kept -= 1
        return batches[batches_kept]
    batch = <uint8_t *>malloc(BATCH)
    if batch is NULL:
        raise MemoryError("no memory for a batch of frames")
    return batch


cdef void batch_give(uint8_t *batch):
    global batches_kept
    if batches_kept == BATCHES:
        free(batch)
        return
    batches[batches_kept] = batch
    batches_kept += 1


# milliseconds; a tick late at most
cdef int64_t clock_ms() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
    return <int64_t>now.tv_sec * 1000 + now.tv_nsec // 1000000


cdef int64_t clock_us() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000 + now.tv_nsec // 1000


# what is not sent is the link's to send next
cdef struct outgoing:
    const uint8_t *data
    size_t size
    size_t sent
    int flags
    int code


include "lock.pxi"


@cython.final
cdef class Pump:
    cdef Sealer sealer
    cdef Opener opener
    cdef Lock writing, reading
    cdef int fd
    cdef bint paced
    cdef public bint sending, receiving, first
    cdef uint64_t limit
    cdef readonly uint64_t sent
    cdef int64_t look, came

    def __init__(
        self, Sealer sealer not None, Opener opener not None, int fd, Lock writing not None,
        Lock reading not None, *, bint paced
    ):
        self.sealer, self.opener, self.fd, self.paced = sealer, opener, fd, paced
        self.writing, self.reading = writing, reading
        self.sending = self.receiving = self.first = False

    def arm(self, uint64_t limit):
        self.limit = limit
        self.sending = True

    @property
    def heard(self):
        return self.came / 1000

    @property
    def look_at(self):
        return self.look / 1000

    @look_at.setter
    def look_at(self, double moment):
        self.look = <int64_t>(moment * 1000)

    # -- sending -------------------------------------------------------------

    # the lock is held when this says so
    cdef bint usual_out(self, size_t size, bint empty=False) except -1:
        cdef size_t most
        if not self.sending or self.sealer.busy or not self.sealer.live:
            return False
        if not self.writing.take_now():
            return False
        most = self.sealer.sized(size)
        if (
            self.sending
            and self.sealer.live
            and not self.sealer.s.finished
            and (size or empty)
            and clock_ms() < self.look
            and self.sealer.s.offset < self.limit
            and most <= self.limit - self.sealer.s.offset
        ):
            return True
        self.writing.give()
        return False

    # all of it, or what the kernel took; a signal ends send() early, with EINTR or not
    cdef int push(self, outgoing *o) except -1:
        cdef ssize_t n
        while o.sent < o.size:
            with nogil:
                n = send(self.fd, o.data + o.sent, o.size - o.sent, o.flags)
                o.code = errno
            if n >= 0:
                o.sent += n
                self.sent += n
            elif o.code != EINTR:
                return 0
            if o.sent < o.size:
                PyErr_CheckSignals()
        return 0

    # How many bytes of data were sealed.  Where code says that not all were sent, the
    # rest is the link's; `hold`: so are the data, until they come again.
    cdef size_t ship(self, object link, const uint8_t *data, size_t size, uint8_t *room,
                     size_t capacity, bint hold, int *code, bint fin=False) except? 0:
        cdef seal_job_t job
        cdef outgoing o
        job.data, job.len, job.out, job.room = data, size, room, capacity
        job.fin, job.urgent = fin, NO_URGENT
        if self.paced:
            self.sealer.paced(clock_ms())
        self.sealer.run(&job)
        o.data, o.size, o.sent, o.code = room, job.written, 0, 0
        o.flags = MSG_DONTWAIT | MSG_MORE if fin else 0
        try:
            self.push(&o)
        finally:
            if o.sent < o.size:
                self.sending = False
                link.keep_unsent(
                    (<const char *>room)[o.sent : o.size],
                    (<const char *>data)[: job.taken] if hold else b"",
                )
        if self.first:
            self.first = False
            link.first_sent()
        code[0] = o.code if o.sent < o.size else 0
        return job.taken

    cdef size_t ship_all(self, object link, const uint8_t *data, size_t size,
                         int *code) except? 0:
        cdef uint8_t small[SMALL]
        cdef uint8_t *batch
        cdef size_t done = 0
        if size <= SMALL - FRAME_OVERHEAD and size <= self.sealer.s.frame_size:
            return self.ship(link, data, size, small, SMALL, False, code)
        batch = batch_take()
        try:
            while done < size and self.sending:
                if clock_ms() >= self.look:
                    link.look_out()
                else:
                    done += self.ship(link, data + done, size - done, batch, BATCH, False, code)
        finally:
            batch_give(batch)
        return done

    # What became due while the lock was held.  The kernel names the end of a connection
    # to one call only, so the link hears of it although this one has bytes to report.
    cdef int leave(self, object link, int code, size_t done) except -1:
        self.writing.give()
        if code and code != EAGAIN:
            error = link.meaning(OSError(code, os.strerror(code)))
            if not done:
                raise error
        if not self.sending:
            link.answer()
        return 0

    # frame by frame: the bytes of the last one come again if it was not sent whole
    cdef size_t ship_frames(self, object link, const uint8_t *data, size_t size,
                            int *code) except? 0:
        cdef uint8_t small[SMALL]
        cdef uint8_t *batch
        cdef size_t taken, done = 0
        if size <= SMALL - FRAME_OVERHEAD and size <= self.sealer.s.frame_size:
            taken = self.ship(link, data, size, small, SMALL, True, code)
            return 0 if code[0] else taken
        batch = batch_take()
        try:
            while done < size and self.sending:
                taken = self.ship(
                    link, data + done, size - done, batch,
                    self.sealer.s.frame_size + FRAME_OVERHEAD, True, code,
                )
                done += 0 if code[0] else taken
        finally:
            batch_give(batch)
        return done

    def send(self, link, data):
        cdef Py_buffer view
        cdef size_t done = 0
        cdef int code = 0
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            if self.usual_out(view.len):
                try:
                    done = self.ship_frames(link, <const uint8_t *>view.buf, view.len, &code)
                except BaseException:
                    self.writing.give()
                    raise
                self.leave(link, code, done)
        finally:
            PyBuffer_Release(&view)
        return done or link.send(data)

    def sendall(self, link, data):
        cdef Py_buffer view
        cdef size_t taken
        cdef int code = 0
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            if not self.usual_out(view.len):
                return link.sendall(data)
            try:
                taken = self.ship_all(link, <const uint8_t *>view.buf, view.len, &code)
            except BaseException:
                self.writing.give()
                raise
            self.leave(link, code, 0)
            if taken < <size_t>view.len or code:
                link.sendall(memoryview(data).cast("B")[taken:])
        finally:
            PyBuffer_Release(&view)

    # FINp, without waiting; False where the link is to do it, or the rest of it
    def finish(self, link):
        cdef uint8_t small[FRAME_OVERHEAD]
        cdef int code = 0
        if not self.usual_out(0, True):
            return False
        try:
            self.ship(link, NULL, 0, small, FRAME_OVERHEAD, False, &code, True)
        finally:
            self.sending = False
            if self.sealer.s.finished:  # although a signal handler raised, say
                link.fin_sealed()
            self.writing.give()
        return not code

    # -- receiving -----------------------------------------------------------

    cdef bint usual_in(self) except -1:
        if not self.receiving or self.opener.busy or not self.opener.live:
            return False
        if not self.reading.take_now():
            return False
        if self.receiving and self.opener.live and not self.opener.offered:
            return True
        self.reading.give()
        return False

    cdef bint unusual(self):
        return self.opener.o.fault or self.opener.o.rekey_wanted or self.opener.o.finp

    # One recv(); 0 where the link is to look what the matter is.  Whoever ends the
    # connection meanwhile wipes the opener, but cannot take the memory away.
    cdef size_t pull(self, object link) except? 0:
        cdef ssize_t n
        cdef int code
        cdef void *room
        cdef size_t size
        self.opener.reserve(PULL)
        block = <object>self.opener.storage.obj
        self.opener.pinned = True
        room = self.opener.o.buffer + self.opener.o.end
        size = min(self.opener.o.capacity - self.opener.o.end, <size_t>PULL_MOST)
        with nogil:
            n = recv(self.fd, room, size, 0)
            code = errno
        self.opener.pinned = False
        if not self.opener.live:
            return 0
        if n > 0:
            self.opener.commit(n)
            self.came = clock_ms()
            return n
        if n < 0 and code == EINTR:
            PyErr_CheckSignals()
        elif n < 0 and code != EAGAIN:
            raise link.receive_failed(OSError(code, os.strerror(code)))
        return 0

    def recv(self, link, Py_ssize_t size):
        cdef size_t got, room
        if not self.usual_in():
            return link.recv(size)
        try:
            while not self.unusual():
                room = self.opener.available(size)
                if room:
                    out = PyBytes_FromStringAndSize(NULL, room)
                    got = self.opener.work(<uint8_t *>PyBytes_AsString(out), room, size)
                    if got:
                        return out if got == room else out[:got]
                elif opener_buffered(&self.opener.o):
                    self.opener.work(NULL, 0, size)  # frames without data
                    if opener_pending(&self.opener.o):
                        continue
                if not self.unusual() and not self.pull(link):
                    break
        finally:
            self.reading.give()
        return link.recv(size)

    def recv_into(self, link, out):
        cdef Py_buffer view
        cdef size_t got
        PyObject_GetBuffer(out, &view, PyBUF_WRITABLE)
        try:
            if view.len and self.usual_in():
                try:
                    while not self.unusual():
                        got = self.opener.work(<uint8_t *>view.buf, view.len, view.len)
                        if got:
                            return got
                        if not self.unusual() and not self.pull(link):
                            break
                finally:
                    self.reading.give()
        finally:
            PyBuffer_Release(&view)
        return link.recv_into(out)

    # what came and nobody will read: how many bytes, without waiting
    def discard(self):
        cdef ssize_t n
        n = recv(self.fd, NULL, 1 << 30, MSG_DONTWAIT | MSG_TRUNC)
        return n if n > 0 else 0
