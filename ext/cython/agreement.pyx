"""Key agreement; see agreement.pyi.

Curve25519 is libsodium's, called from C.  The other curves are OpenSSL's, by
`cryptography`: here their secrets are carried over and wiped.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AsString
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from c_agreement cimport tcpcrypt_x25519, tcpcrypt_x25519_public
from c_sodium cimport bind_sodium, sodium
from c_tcpcrypt cimport X25519_LEN
from c_wipe cimport wipe, wipe_freed, wipe_stack
from pyeno._native.secret cimport Secret, secret_data, secret_new

import pyeno._complaints as say
from pyeno.constants import ECDHE, Tep

bind_sodium()


cdef object curve_of(object tep):
    """Only who uses such a curve waits for `cryptography` to be imported."""
    from pyeno._curves import CURVES

    return CURVES[tep]


cdef object load(object curve, const uint8_t *private, size_t size):
    """OpenSSL's copy of a private key; no other is left."""
    cdef bytes head = curve.head
    cdef bytearray buffer = bytearray(head + bytes(size) + curve.tail)
    cdef char *key = <char *>buffer + len(head)
    memcpy(key, private, size)
    key[0] &= <uint8_t>curve.mask
    try:
        return curve.load(buffer)
    except ValueError:
        raise say.private_key() from None
    finally:
        wipe(key, size)
        wipe_stack()
        wipe_freed()


cdef Secret agree(object curve, object key, object point):
    """ES, carried over from the bytes object that `cryptography` makes of it."""
    cdef Secret es
    cdef bytes made
    try:
        made = curve.exchange(key, point)
        es = secret_new(len(made))
        memcpy(es.data, PyBytes_AsString(made), es.size)
        wipe(PyBytes_AsString(made), es.size)
    except ValueError:
        raise say.low_order() from None
    finally:
        wipe_stack()
        wipe_freed()
    return es


@cython.final
cdef class KeyPair:
    cdef object tep
    cdef object curve
    cdef object key  # `cryptography`'s, or for Curve25519 a Secret
    cdef readonly bytes public

    def __init__(self, tep, Secret private not None):
        cdef const uint8_t *octets
        cdef uint8_t made[32]
        cdef Secret own
        if tep not in ECDHE:
            raise say.unknown_scheme(tep)
        octets = secret_data(private, "private key", ECDHE[tep].secret_len)
        if tep == Tep.TCPCRYPT_ECDHE_Curve25519:
            own = secret_new(X25519_LEN)
            memcpy(own.data, octets, X25519_LEN)
            tcpcrypt_x25519_public(made, own.data)
            curve, key, public = None, own, (<const char *>made)[:X25519_LEN]
        else:
            curve = curve_of(tep)
            key = load(curve, octets, private.size)
            public = curve.public(key)
        self.tep, self.curve, self.key, self.public = tep, curve, key, public

    def __repr__(self):
        return "<KeyPair: wiped>" if self.key is None else f"<KeyPair: TEP {self.tep:#04x}>"

    def __reduce__(self):
        raise TypeError("a KeyPair cannot be pickled or copied")

    def exchange(self, public):
        cdef Py_buffer view
        if self.key is None:
            raise say.wiped("KeyPair")
        PyObject_GetBuffer(public, &view, PyBUF_SIMPLE)
        try:
            if view.len != ECDHE[self.tep].public_len:
                raise say.public_key_len(view.len, ECDHE[self.tep].public_len)
            remote = (<const char *>view.buf)[:view.len]
        finally:
            PyBuffer_Release(&view)
        return self.x25519(remote) if self.curve is None else self.ecdh(remote)

    cdef Secret x25519(self, bytes remote):
        cdef Secret es = secret_new(X25519_LEN)
        cdef const uint8_t *key = secret_data(self.key, "private key", X25519_LEN)
        if tcpcrypt_x25519(es.data, key, <const uint8_t *>PyBytes_AsString(remote)):
            raise say.low_order()
        return es

    cdef Secret ecdh(self, bytes remote):
        cdef Secret es
        if self.curve.starts and remote[0] not in self.curve.starts:
            raise say.not_compressed(remote[0])
        try:
            point = self.curve.decode(remote)
        except ValueError:
            raise say.not_on_curve() from None
        es = agree(self.curve, self.key, point)
        # "MUST check whether the computed Diffie-Hellman shared secret is the all-zero
        # value and abort if so"; OpenSSL's status is not relied on [8548:5-7]
        if not self.curve.starts and sodium.is_zero(es.data, es.size):
            raise say.low_order()
        return es

    def wipe(self):
        if isinstance(self.key, Secret):
            self.key.wipe()
        self.key = None  # OpenSSL clears what it frees with a key
