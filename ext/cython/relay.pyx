"""The relay's engine for Python; see relay.pyi.

Here are only hand-overs between Python's objects and relay.h.
"""

cimport cython
from cpython.bytes cimport PyBytes_AsString
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from c_aead cimport AEAD_OK
from c_framer cimport opener_t
from c_keyschedule cimport generations_t, span
from c_relay cimport (
    NOWHERE, RELAY_CLOSED, counters_t, ended_t, keys_t, listed_t, offer_t, relay_add,
    relay_count, relay_disown, relay_free, relay_keys_init, relay_keys_wipe, relay_list,
    relay_new, relay_news, relay_run, relay_stop, relay_t, relay_take_ended,
)
from c_sodium cimport bind_sodium
from c_tcpcrypt cimport AE_NONCE_LEN
from pyeno._native.framer cimport Opener, Sealer
from pyeno._native.keyschedule cimport Generations

import os

import pyeno._complaints as say

include "providers.pxi"

bind_sodium()
bind_providers(_crypto.direct_plan)

cdef enum:
    AT_ONCE = 64


cdef void tell_log(void *owner, const generations_t *g, int sending) noexcept with gil:
    cdef Generations generations
    if g is NULL:  # there will be no more
        Py_DECREF(<object>owner)
        return
    generations = Generations.__new__(Generations)
    generations.g = g[0]
    generations.live = True
    try:
        key = generations.traffic_key()
        (<object>owner)(generations, key, bool(sending))
        key.wipe()
    except Exception:  # a full disk ends no connection
        pass
    finally:
        generations.wipe()


cdef bytes part(const opener_t *o, size_t at, size_t end):
    return (<const char *>o.buffer)[at:end] if end > at else b""


@cython.final
cdef class Keys:
    cdef keys_t k
    cdef bytes unread, unopened
    cdef bint live

    def __init__(
        self, Sealer sealer not None, Opener opener not None, Generations sending not None,
        Generations receiving not None, *, bint paced, rekey_bytes, uint64_t rekey_at,
        advanced_at, uint32_t empty_unanswered, log=None
    ):
        cdef keys_t *k = &self.k
        if self.live:
            raise TypeError("__init__() of Keys in use")
        sealer.check(None)
        opener.check()
        sending.check()
        receiving.check()
        if sealer.s.generation != sending.g.j or opener.o.generation != receiving.g.j:
            raise ValueError("keys: a rekeying is under way")
        memset(k, 0, sizeof(keys_t))
        k.sealer, k.opener = sealer.s, opener.o
        k.sending, k.receiving = sending.g, receiving.g
        k.paced, k.empty_unanswered = paced, empty_unanswered
        k.budget = 0 if rekey_bytes is None else rekey_bytes
        k.rekey_at = rekey_at
        k.advanced_at = NOWHERE if advanced_at < 0 else advanced_at
        k.empty_rekeys = opener.o.empty_rekeys
        k.opener.oob_inline = 1
        self.unread = part(&opener.o, opener.o.ready, opener.o.ready_end)
        self.unopened = part(&opener.o, opener.o.at, opener.o.end)
        if relay_keys_init(k, sealer.aead) != AEAD_OK:
            memset(k, 0, sizeof(keys_t))
            raise say.provider()
        if log is not None:
            Py_INCREF(log)
            k.log, k.owner = tell_log, <void *>log
        self.live = True

    def __dealloc__(self):
        if self.live:
            relay_keys_wipe(&self.k)


cdef span span_of(bytes data):
    return span(<const uint8_t *>PyBytes_AsString(data), len(data))


cdef uint32_t milliseconds(double seconds):
    return <uint32_t>min(max(seconds * 1000, 1.0), 4e9)


@cython.final
cdef class Loop:
    cdef relay_t *r
    cdef bint gone

    def __cinit__(self, size_t connections_max):
        self.r = relay_new(connections_max)
        if self.r is NULL:
            raise OSError(errno, os.strerror(errno))

    def __dealloc__(self):
        if self.r is not NULL and not self.gone:
            relay_free(self.r)

    cdef int check(self) except -1:
        if self.gone:
            raise ValueError("this engine is another process's (fork)")
        return 0

    def run(self):
        self.check()
        with nogil:
            relay_run(self.r)

    def stop(self):
        self.check()
        relay_stop(self.r)

    def fileno(self):
        self.check()
        return relay_news(self.r)

    def add(
        self, int near, int far, uint64_t token, Keys keys=None, bytes unsent=b"", liveness=None
    ):
        cdef offer_t offer
        cdef int status
        self.check()
        memset(&offer, 0, sizeof(offer))
        offer.near, offer.far, offer.token = near, far, token
        offer.unsent = span_of(unsent)
        if keys is not None:
            if not keys.live:
                raise ValueError("keys: they were handed over already")
            offer.keys = &keys.k
            offer.unopened, offer.unread = span_of(keys.unopened), span_of(keys.unread)
        if liveness is not None:
            offer.interval_ms = milliseconds(liveness[0])
            offer.timeout_ms = milliseconds(liveness[1])
        status = relay_add(self.r, &offer)
        if status:
            raise OSError(errno, os.strerror(errno))
        if keys is not None:
            keys.live = False

    def ended(self):
        cdef ended_t some[AT_ONCE]
        cdef size_t n = AT_ONCE, i
        self.check()
        found = []
        while n == AT_ONCE:
            n = relay_take_ended(self.r, some, AT_ONCE)
            for i in range(n):
                found.append((
                    some[i].token, some[i].bytes_out, some[i].bytes_in, some[i].end,
                    some[i].error,
                ))
        return found

    def counters(self):
        cdef counters_t c
        cdef int end
        self.check()
        relay_count(self.r, &c)
        ends = tuple([c.ended[end] for end in range(RELAY_CLOSED + 1)])
        return c.active, c.total, c.bytes_out, c.bytes_in, ends

    def pairs(self):
        cdef counters_t c
        cdef listed_t *some
        cdef size_t n, i
        self.check()
        relay_count(self.r, &c)
        some = <listed_t *>malloc((c.active + 1) * sizeof(listed_t))
        if some is NULL:
            raise MemoryError("no memory for a list of connections")
        try:
            n = relay_list(self.r, some, c.active)
            return [(some[i].token, some[i].bytes_out, some[i].bytes_in) for i in range(n)]
        finally:
            free(some)

    def disown(self):
        if not self.gone:
            self.gone = True
            relay_disown(self.r)
