"""Sealing and opening frames; see framer.pyi.

Here are only buffers, locks and exceptions; the protocol is in sealer.c and
opener.c, the wording of refusals in pyeno.say.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.bytearray cimport PyByteArray_FromStringAndSize, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint64_t
from libc.string cimport memmove, memset

from c_aead cimport AEAD_OK, AEAD_NO_MEMORY, aead_init, aead_t, aead_wipe
from c_framer cimport (
    IDLE_MS, NO_URGENT, opener_available, opener_buffered, opener_commit, opener_make_room,
    opener_move, opener_open_ahead, opener_peek, opener_pending, opener_read, opener_read_index,
    opener_rest, opener_t, opener_wipe, seal_job_t, sealer_pace, sealer_rekey, sealer_seal,
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
bind_providers(_crypto.plan)

cdef enum:
    # work worth giving the GIL away for
    RELEASE_FROM = 2048


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

include "blocks.pxi"
include "sealer.pxi"
include "opener.pxi"
