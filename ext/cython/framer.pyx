"""Sealer and Opener: frames over whole buffers, no Python object per frame."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AsString
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memmove

from c_framer cimport *
from pyeno._native.secret cimport Secret
from sodium cimport sodium, sodium_load

import pyeno._complaints as say
from pyeno._pure.foreign import foreign_aead

include "loaded.pxi"

import _hashlib  # noqa: F401  brings libcrypto where the interpreter shares one

tcpcrypt_libcrypto_load()

cdef enum:
    GIL_FREE = 2048
    BUFFER_FIRST = 4096

cdef uint64_t OFFSET_MAX = <uint64_t>-1


# -- the provider for hosts without a libcrypto to share ----------------------

cdef int _foreign_seal(tcpcrypt_aead *a, const unsigned char *nonce, const unsigned char *ad,
                       size_t ad_len, unsigned char *buf, size_t size) noexcept with gil:
    try:
        sealed = (<object>a.seal_ctx).encrypt(
            (<const char *>nonce)[:12], (<const char *>buf)[:size], (<const char *>ad)[:ad_len]
        )
        memcpy(buf, PyBytes_AsString(sealed), size + AE_TAG_LEN)
        return 0
    except BaseException:
        return -1


cdef int _foreign_open(tcpcrypt_aead *a, const unsigned char *nonce, const unsigned char *ad,
                       size_t ad_len, unsigned char *buf, size_t size) noexcept with gil:
    try:
        opened = (<object>a.seal_ctx).decrypt(
            (<const char *>nonce)[:12], (<const char *>buf)[:size], (<const char *>ad)[:ad_len]
        )
        memcpy(buf, PyBytes_AsString(opened), size - AE_TAG_LEN)
        return 0
    except BaseException:
        sodium.memzero(buf, size)
        return -1


cdef void _foreign_clear(tcpcrypt_aead *a) noexcept with gil:
    if a.seal_ctx != NULL:
        Py_DECREF(<object>a.seal_ctx)
        a.seal_ctx = NULL


cdef int _foreign_setup(tcpcrypt_aead *a, const unsigned char *key) noexcept with gil:
    return 0  # the object is put there by _setup(), which knows the AEAD


cdef tcpcrypt_aead_ops _foreign
_foreign.setup = _foreign_setup
_foreign.seal = _foreign_seal
_foreign.open = _foreign_open
_foreign.clear = _foreign_clear


def offers(int aead, str name):
    """Whether this library can compute this AEAD here."""
    if name == "cryptography":
        return tcpcrypt_key_len(aead) != 0
    encoded = name.encode()
    return tcpcrypt_provider(aead, encoded) != NULL


cdef int _setup(tcpcrypt_key *key, int aead, Secret traffic) except -1:
    """Take a traffic key apart; nothing changes on failure."""
    cdef size_t key_len = tcpcrypt_key_len(aead)
    cdef const unsigned char *material = traffic.bytes_of()
    cdef const tcpcrypt_aead_ops *ops
    from pyeno._crypto import providers
    if not key_len:
        raise say.unknown_aead(aead)
    if <size_t>traffic.size != key_len + AE_NONCE_LEN:
        raise say.key_length(traffic.size, key_len + AE_NONCE_LEN)
    name = providers()[aead]
    if name == "cryptography":
        cipher = foreign_aead(aead, (<const char *>material)[:key_len])
        tcpcrypt_key_setup(key, &_foreign, material, key_len)
        Py_INCREF(cipher)
        key.aead.seal_ctx = <void *>cipher
        return 0
    encoded = name.encode()
    ops = tcpcrypt_provider(aead, encoded)
    if ops == NULL or tcpcrypt_key_setup(key, ops, material, key_len):
        raise MemoryError(f"{name} could not set up AEAD 0x{aead:04x}")
    return 0


# -- sealing -----------------------------------------------------------------

cdef class Sealer:
    """Seals application bytes into frames of one direction's TCP stream."""

    cdef tcpcrypt_sealer s
    cdef int aead
    cdef bint busy

    def __cinit__(self, int aead, Secret key not None, uint64_t offset, *,
                  int frame_size=FRAME_DATA_MAX):
        if not 1 <= frame_size <= FRAME_DATA_MAX:
            raise say.frame_size(frame_size, FRAME_DATA_MAX)
        _setup(&self.s.key, aead, key)
        self.aead = aead
        self.s.offset = offset
        self.s.frame_data = frame_size

    def __dealloc__(self):
        tcpcrypt_key_clear(&self.s.key)

    def __repr__(self):
        return f"<Sealer: stream offset {self.s.offset}>"

    @property
    def offset(self):
        return self.s.offset

    @property
    def finished(self):
        return bool(self.s.finished)

    def seal(self, data, *, bint fin=False, urgent=None):
        cdef Py_buffer view
        cdef size_t total
        cdef int field = -1
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            if urgent is not None:
                if not 0 <= urgent < view.len <= self.s.frame_data - 2:
                    raise say.urgent_field(urgent, view.len)
                field = urgent
            total = tcpcrypt_sealed_len(&self.s, view.len) + (2 if field >= 0 else 0)
            frames = PyBytes_FromStringAndSize(NULL, total)
            _seal(self, <unsigned char *>PyBytes_AsString(frames), total, &view, fin, field)
            return frames
        finally:
            PyBuffer_Release(&view)

    def seal_into(self, out, data, *, bint fin=False):
        cdef Py_buffer view, room
        PyObject_GetBuffer(out, &room, PyBUF_WRITABLE)
        try:
            PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
            try:
                return _seal(self, <unsigned char *>room.buf, room.len, &view, fin, -1)
            finally:
                PyBuffer_Release(&view)
        finally:
            PyBuffer_Release(&room)

    def rekey(self, Secret key not None):
        cdef tcpcrypt_key fresh
        _sealable(self)
        sodium.memzero(&fresh, sizeof(fresh))
        _setup(&fresh, self.aead, key)
        tcpcrypt_key_clear(&self.s.key)
        self.s.key = fresh
        self.s.rekey = 1
        sodium.memzero(&fresh, sizeof(fresh))

    def wipe(self):
        if self.busy:
            raise say.framer_busy()
        tcpcrypt_key_clear(&self.s.key)


cdef int _sealable(Sealer self) except -1:
    if self.busy:
        raise say.framer_busy()
    if self.s.key.aead.ops == NULL:
        raise say.framer_wiped()
    if self.s.finished:
        raise say.sealed_after_fin()
    return 0


cdef object _seal(Sealer self, unsigned char *out, size_t room, Py_buffer *view, bint fin,
                  int urgent):
    cdef size_t taken = 0
    cdef int64_t written
    _sealable(self)
    if tcpcrypt_sealed_len(&self.s, view.len) + 2 > OFFSET_MAX - self.s.offset:
        raise say.offset_exhausted()
    if view.len < GIL_FREE:
        written = tcpcrypt_seal(&self.s, out, room, <unsigned char *>view.buf, view.len, fin,
                                urgent, &taken)
    else:
        self.busy = True
        with nogil:
            written = tcpcrypt_seal(&self.s, out, room, <unsigned char *>view.buf, view.len,
                                    fin, urgent, &taken)
        self.busy = False
    if written < 0:
        raise MemoryError("the AEAD provider failed to seal")
    if not written:
        raise say.no_room(room)
    return taken, written


# -- opening -----------------------------------------------------------------

cdef class Opener:
    """Puts one direction's TCP stream together and opens its frames.

    ``buffer`` holds, in order: what is left of the frame opened last
    (``ready`` bytes at ``ready_at``), and stream bytes not yet opened
    (``head`` to ``tail``).  It is never resized, only replaced, so that a view
    somebody kept from ``room`` stays harmless.
    """

    cdef tcpcrypt_opener o
    cdef int aead
    cdef bint busy
    cdef object buffer
    cdef object failure
    cdef Py_ssize_t capacity, ready_at, ready, head, tail
    cdef readonly bint rekey_wanted

    def __cinit__(self, int aead, Secret key not None, uint64_t offset):
        _setup(&self.o.key, aead, key)
        self.aead = aead
        self.o.offset = offset
        self.buffer = bytearray()

    def __dealloc__(self):
        tcpcrypt_key_clear(&self.o.key)
        tcpcrypt_key_clear(&self.o.next)

    def __repr__(self):
        return f"<Opener: stream offset {self.o.offset}>"

    @property
    def offset(self):
        return self.o.offset

    @property
    def finished(self):
        return bool(self.o.finished)

    @property
    def buffered(self):
        return self.tail - self.head

    @property
    def pending(self):
        return self.ready

    @property
    def urgent_index(self):
        return self.o.urgent_index if self.o.urgent_seen else None

    def feed(self, data):
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            _openable(self)
            _make_room(self, view.len)
            memcpy(PyByteArray_AsString(self.buffer) + self.tail, view.buf, view.len)
            self.tail += view.len
        finally:
            PyBuffer_Release(&view)

    def room(self, Py_ssize_t size):
        _openable(self)
        if size < 1:
            raise ValueError(f"room: {size} bytes; ask for 1 or more")
        _make_room(self, size)
        return memoryview(self.buffer)[self.tail :]

    def received(self, Py_ssize_t size):
        _openable(self)
        if not 0 <= size <= self.capacity - self.tail:
            raise ValueError(f"received: {size} bytes; room had {self.capacity - self.tail}")
        self.tail += size

    def read(self, Py_ssize_t size):
        cdef Py_ssize_t most, got
        if size < 0:
            raise ValueError(f"read: {size} bytes; ask for 0 or more")
        most = _readable(self, size)
        data = PyBytes_FromStringAndSize(NULL, most)
        got = _read(self, <unsigned char *>PyBytes_AsString(data), most)
        return data if got == most else data[:got]

    def read_into(self, out):
        cdef Py_buffer room
        PyObject_GetBuffer(out, &room, PyBUF_WRITABLE)
        try:
            return _read(self, <unsigned char *>room.buf, room.len)
        finally:
            PyBuffer_Release(&room)

    def rekey(self, Secret key not None):
        cdef tcpcrypt_key fresh
        _openable(self)
        sodium.memzero(&fresh, sizeof(fresh))
        _setup(&fresh, self.aead, key)
        tcpcrypt_key_clear(&self.o.next)
        self.o.next = fresh
        self.rekey_wanted = False
        sodium.memzero(&fresh, sizeof(fresh))

    def wipe(self):
        if self.busy:
            raise say.framer_busy()
        tcpcrypt_key_clear(&self.o.key)
        tcpcrypt_key_clear(&self.o.next)


cdef int _openable(Opener self) except -1:
    if self.busy:
        raise say.framer_busy()
    if self.o.key.aead.ops == NULL:
        raise say.framer_wiped()
    return 0


cdef int _make_room(Opener self, Py_ssize_t size) except -1:
    """``size`` bytes after ``tail``, moving or replacing the buffer."""
    cdef Py_ssize_t start = self.ready_at if self.ready else self.head
    cdef Py_ssize_t kept = self.tail - start
    cdef Py_ssize_t capacity
    cdef char *old = PyByteArray_AsString(self.buffer)
    if size <= self.capacity - self.tail and (kept or not start):
        return 0
    if size <= self.capacity - kept:
        memmove(old, old + start, kept)
    else:
        capacity = max(kept + size, BUFFER_FIRST)
        fresh = bytearray(capacity)
        memcpy(PyByteArray_AsString(fresh), old + start, kept)
        self.buffer, self.capacity = fresh, capacity
    self.ready_at = 0
    self.head -= start
    self.tail -= start
    return 0


cdef Py_ssize_t _readable(Opener self, Py_ssize_t size):
    """At most this much can come out of what is buffered, up to ``size``."""
    cdef const unsigned char *at = <unsigned char *>PyByteArray_AsString(self.buffer)
    cdef Py_ssize_t head = self.head, most = self.ready, clen
    while most < size and self.tail - head >= FRAME_HEADER_LEN:
        clen = (<Py_ssize_t>at[head + 1] << 8) | at[head + 2]
        if clen <= AE_TAG_LEN or self.tail - head < FRAME_HEADER_LEN + clen:
            break
        most += clen - AE_TAG_LEN - 1
        head += FRAME_HEADER_LEN + clen
    return min(most, size)


cdef Py_ssize_t _read(Opener self, unsigned char *out, Py_ssize_t size) except -1:
    """Open frames until ``out`` is full, no frame is whole, or one is bad: then
    what came before it is delivered first and the error raised next time."""
    cdef Py_ssize_t done = 0, take
    cdef unsigned char *stream
    _openable(self)
    if self.failure is not None:
        raise self.failure
    while True:
        stream = <unsigned char *>PyByteArray_AsString(self.buffer)
        take = min(self.ready, size - done)
        memcpy(out + done, stream + self.ready_at, take)
        self.ready_at += take
        self.ready -= take
        done += take
        if self.ready or (done == size and done) or self.rekey_wanted:
            return done
        if not _open_next(self, stream):
            break
    if self.failure is not None and not done:
        raise self.failure
    return done


cdef bint _open_next(Opener self, unsigned char *stream) except? True:
    """One frame; False if none could be opened."""
    cdef tcpcrypt_frame f
    cdef tcpcrypt_opened result
    cdef Py_ssize_t size = self.tail - self.head
    if size < GIL_FREE:
        result = tcpcrypt_open(&self.o, stream + self.head, size, &f)
    else:
        self.busy = True
        with nogil:
            result = tcpcrypt_open(&self.o, stream + self.head, size, &f)
        self.busy = False
    if result == OPENED_FRAME:
        self.ready_at = self.head + f.data_at
        self.ready = f.data_len
        self.head += f.len
        return True
    if result == OPENED_REKEY:
        self.rekey_wanted = True
    elif result != OPENED_PARTIAL:
        self.failure = _failure(self.o.offset, result, &f)
    return False


cdef object _failure(uint64_t offset, tcpcrypt_opened result, tcpcrypt_frame *f):
    if result == OPENED_SHORT:
        return say.short_frame(offset, f.clen)
    if result == OPENED_FAIL:
        return say.unauthentic_frame(offset, f.clen)
    if result == OPENED_NO_URGENT:
        return say.no_urgent_field(offset - f.len)
    if result == OPENED_URGENT_BEYOND:
        return say.urgent_beyond(offset - f.len, f.urgent, f.data_len)
    return say.after_fin(offset)
