"""The compiled twin of pyeno/_pure/option.py: ext/wire/eno.h for Python.

An Option is one allocation that holds the parsed C struct; the Python values
are made when they are asked for.
"""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from libc.string cimport memcmp, memset

from eno cimport *

from operator import index

from pyeno._values import Suboption
from pyeno._wording import bad_global, bad_tep, describe, ill_formed, overlong_header, refused


@cython.final
cdef class Option:
    """One SYN-form ENO option, taken apart; made by parse() and never changed."""

    cdef eno_syn syn

    def __init__(self):
        raise TypeError("Option: made by parse(), not by hand")

    @property
    def raw(self):
        """The whole option as received, kind and length bytes included."""
        return self.syn.option[:self.syn.len]

    @property
    def global_suboption(self):
        """The first global suboption; 0 if none was sent (section 4.2)."""
        return self.syn.global_byte

    @property
    def explicit_global(self):
        """Whether a global suboption was sent at all (section 4.2)."""
        return self.syn.explicit_global != 0

    @property
    def a(self):
        """The application-aware bit (section 4.2)."""
        return self.syn.global_byte & ENO_GLOBAL_A != 0

    @property
    def b(self):
        """The passive role bit: True is role B (sections 4.2, 4.3)."""
        return self.syn.global_byte & ENO_GLOBAL_B != 0

    @property
    def z(self):
        """The reserved bits z1-z3 in their place, 0x00-0x1c; to be ignored (section 4.2)."""
        return self.syn.global_byte & ENO_GLOBAL_Z

    @property
    def vacuous(self):
        """Whether there is no TEP suboption (section 4.6)."""
        return self.syn.count == 0

    @property
    def teps(self):
        """The TEP suboptions in the order sent; a new tuple of Suboption each time."""
        cdef int i
        return tuple([suboption(&self.syn, &self.syn.sub[i]) for i in range(self.syn.count)])

    def __eq__(self, other):
        if not isinstance(other, Option):
            return NotImplemented
        cdef eno_syn *mine = &self.syn
        cdef eno_syn *theirs = &(<Option>other).syn
        return mine.len == theirs.len and memcmp(mine.option, theirs.option, mine.len) == 0

    def __hash__(self):
        return hash(self.raw)

    def __repr__(self):
        return describe(self.raw, self.global_suboption, tuple([s.tep for s in self.teps]))


cdef object new = tuple.__new__


cdef object suboption(const eno_syn *syn, const eno_suboption *sub):
    cdef const eno_u8 *data = &syn.option[sub.data_at]
    # past the Python code of a NamedTuple's own __new__
    return new(Suboption, (sub.tep_byte & ENO_GLT, sub.tep_byte & ENO_V != 0,
                           data[:sub.data_len], sub.length_byte != 0))


def parse(option, /):
    """Take a whole SYN-form ENO option apart (RFC 8547 sections 4.1, 4.2, 4.4).

    Raises IllFormedOptionError with reason and offset.
    """
    cdef Option made = Option.__new__(Option)
    cdef eno_syn *syn = &made.syn
    cdef Py_ssize_t size = load(option, syn, "option")
    if eno_syn_parse(syn) != ENO_NEGOTIATED:
        raise ill_formed(syn.option[:min(size, ENO_OPTION_MAX)], size, syn.reason, syn.at - 1)
    return made


def data_of(option, tep, /):
    """The suboption data of a TEP in a SYN-form ENO option (RFC 8547 section 4.4), or None.

    As parse() and a search of its ``teps``; of a repeated TEP it is the first.
    """
    cdef eno_syn syn
    cdef const eno_suboption *sub
    cdef Py_ssize_t size
    cdef int i
    memset(&syn, 0, sizeof(syn))
    size = load(option, &syn, "option")
    if eno_syn_parse(&syn) != ENO_NEGOTIATED:
        raise ill_formed(syn.option[:min(size, ENO_OPTION_MAX)], size, syn.reason, syn.at - 1)
    for i in range(syn.count):
        sub = &syn.sub[i]
        if sub.tep_byte & ENO_GLT == tep:
            return (&syn.option[sub.data_at])[:sub.data_len]
    return None


def find(tcp_options, /):
    """All ENO options among a TCP header's option bytes (at most 40), in order.

    An EOL or an impossible length ends the search, as in TCP implementations.
    A SYN with more than one counts as having none (RFC 8547 section 4.1).
    """
    cdef eno_search search = [0, 0, 0]
    cdef Py_buffer view
    cdef const eno_u8 *options
    cdef eno_u8 at = 0, seen = 0
    acquire(tcp_options, &view, "tcp_options")
    try:
        if view.len > ENO_OPTION_MAX:
            raise overlong_header(view.len)
        options = <const eno_u8 *>view.buf
        found = []
        while eno_search_step(&search, options, <eno_u8>view.len):
            if search.count != seen:
                seen = search.count
                found.append(options[at:search.at])
            at = search.at
        return tuple(found)
    finally:
        PyBuffer_Release(&view)


cdef int put(eno_encoder *encoder, int place, object item, bint last) except -1:
    cdef Py_buffer view
    cdef eno_refusal refusal
    cdef Py_ssize_t size
    tep, v, data, length_byte = (
        item if isinstance(item, Suboption) else (item, False, b"", False)
    )
    tep = index(tep)
    if not ENO_TEP_MIN <= tep <= ENO_GLT:
        raise bad_tep(place, tep)
    cdef eno_u8 tep_byte = <eno_u8>tep | (ENO_V if v else 0)
    cdef bint introduced = length_byte
    acquire(data, &view, "data")
    size = view.len
    refusal = eno_put_suboption(encoder, tep_byte, <const eno_u8 *>view.buf, size,
                                introduced, last)
    PyBuffer_Release(&view)
    if refusal != ENO_WRITTEN:
        raise refused(place, tep, refusal, size)
    return 0


def encode(suboptions, *, global_suboption=None):
    """Build a SYN-form ENO option (RFC 8547 sections 4.1, 4.2, 4.4).

    ``suboptions`` are Suboption values or plain TEP identifiers, in increasing
    priority.  Length bytes are inserted only where needed.  ValueError says
    which suboption cannot be sent, and why.
    """
    cdef eno_encoder encoder
    cdef int place = 0
    items = list(suboptions)
    eno_encode_begin(&encoder)
    if global_suboption is not None:
        value = index(global_suboption)
        if not 0 <= value < ENO_TEP_MIN:
            raise bad_global(value)
        eno_put_global(&encoder, value)
    for item in items:
        place += 1
        put(&encoder, place - 1, item, place == len(items))
    return encoder.option[:encoder.len]
