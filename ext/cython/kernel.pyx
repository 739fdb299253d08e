"""ext/bpf/loader.h for Python: file descriptors in, file descriptors out.

Every function raises OSError with the kernel's errno.  What to load, in which
order, and what to undo after a failure, is the business of pyeno/attach.py, for
the object ENO, and of pyeno/redirect, for REDIRECT.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport free, malloc
from libc.string cimport strlen

from loader cimport (
    ENO_ABI_VERSION, ENO_OBJECT, ENO_OBJECTS, ENO_REDIRECT_OBJECT, ENO_TAG_LEN, eno_btf_load,
    eno_get_link_info, eno_get_program_info, eno_link_create, eno_link_detach, eno_link_info,
    eno_map_create, eno_map_delete, eno_map_key_size, eno_map_lookup, eno_map_name,
    eno_map_read, eno_map_update, eno_map_value_size, eno_map_write, eno_open_pinned, eno_pin,
    eno_program_by_id, eno_program_info, eno_program_load, eno_program_name, eno_query,
    eno_ring, eno_ring_close, eno_ring_next, eno_ring_open, eno_ring_release,
)

import errno
import os

cdef enum:
    MAPS_MAX = 16
    IDS_MAX = 64

ABI_VERSION = ENO_ABI_VERSION
ENO, REDIRECT = ENO_OBJECT, ENO_REDIRECT_OBJECT


cdef int check(int result, str what) except -1:
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")
    return result


cdef int checked(int index, names) except -1:
    if not 0 <= index < len(names):
        raise IndexError(index)
    return index


def map_names(int object=ENO_OBJECT):
    names, i = [], 0
    checked(object, range(ENO_OBJECTS))
    while eno_map_name(object, i) != NULL:
        names.append(eno_map_name(object, i).decode())
        i += 1
    return tuple(names)


def program_names(int object=ENO_OBJECT):
    names, i = [], 0
    checked(object, range(ENO_OBJECTS))
    while eno_program_name(object, i) != NULL:
        names.append(eno_program_name(object, i).decode())
        i += 1
    return tuple(names)


def load_btf(int object=ENO_OBJECT):
    checked(object, range(ENO_OBJECTS))
    return check(eno_btf_load(object), "loading BTF")


def create_map(int index, int btf, int object=ENO_OBJECT):
    names = map_names(object)
    checked(index, names)
    return check(eno_map_create(object, index, btf), "creating map " + names[index])


cdef class Map:
    """A map of an object by its descriptor, which stays the caller's."""

    cdef readonly int fd
    cdef readonly str name
    cdef unsigned int key_size, value_size

    def __init__(self, int fd, int index, int object=ENO_OBJECT):
        names = map_names(object)
        checked(index, names)
        self.fd, self.name = fd, names[index]
        self.key_size = eno_map_key_size(object, index)
        self.value_size = eno_map_value_size(object, index)

    cdef int fits(self, bytes key, bytes value) except -1:
        if len(key) != self.key_size or value is not None and len(value) != self.value_size:
            raise ValueError(
                f"map {self.name}: keys of {self.key_size}, values of {self.value_size} bytes"
            )
        return 0

    def get(self, bytes key not None):
        """The value, None if there is none."""
        self.fits(key, None)
        value = PyBytes_FromStringAndSize(NULL, self.value_size)
        result = eno_map_lookup(self.fd, <const char *>key, <char *>value)
        if result == -errno.ENOENT:
            return None
        check(result, "reading map " + self.name)
        return value

    def put(self, bytes key not None, bytes value not None):
        self.fits(key, value)
        check(eno_map_update(self.fd, <const char *>key, <const char *>value),
              "writing map " + self.name)

    def drop(self, bytes key not None):
        """Whether it was there."""
        self.fits(key, None)
        result = eno_map_delete(self.fd, <const char *>key)
        if result == -errno.ENOENT:
            return False
        check(result, "writing map " + self.name)
        return True


cdef class Ring:
    """What a BPF ring buffer of so many bytes receives; its descriptor stays the caller's."""

    cdef eno_ring ring

    def __init__(self, int fd, size_t size):
        eno_ring_close(&self.ring)
        check(eno_ring_open(&self.ring, fd, size), "mapping the ring buffer")

    def read(self, int most):
        """At most so many records, oldest first."""
        cdef const char *record
        cdef size_t size
        records = []
        while len(records) < most and self.ring.size:
            record = <const char *>eno_ring_next(&self.ring, &size)
            if record == NULL:
                break
            records.append(PyBytes_FromStringAndSize(record, size))
            eno_ring_release(&self.ring)
        return records

    def close(self):
        eno_ring_close(&self.ring)

    def __dealloc__(self):
        eno_ring_close(&self.ring)


def read_map(str name, int map):
    """The value of an array of one; ValueError if that map is another version's."""
    value = PyBytes_FromStringAndSize(NULL, eno_map_value_size(ENO_OBJECT, map_names().index(name)))
    result = eno_map_read(map, <char *>value, len(value))
    if result == -errno.EPROTONOSUPPORT:
        raise ValueError(f"map {name}: another layout")
    check(result, "reading map " + name)
    return value


def write_map(str name, int map, bytes value):
    check(eno_map_write(map, <const char *>value, len(value)), "writing map " + name)


def load_program(int index, int btf, maps, int object=ENO_OBJECT):
    """Raises OSError whose third argument is the verifier's log, if it gave one."""
    cdef int fds[MAPS_MAX]
    cdef int fd, i
    cdef char *log
    cdef size_t log_size = 1 << 20
    names = program_names(object)
    checked(index, names)
    if len(maps) != len(map_names(object)):
        raise IndexError(len(maps))
    for i in range(len(maps)):
        fds[i] = maps[i]
    log = <char *>malloc(log_size)
    if log == NULL:
        raise MemoryError
    log[0] = 0
    try:
        with nogil:
            fd = eno_program_load(object, index, btf, fds, log, log_size)
        if fd < 0:
            raise OSError(
                -fd,
                f"loading program {names[index]}: {os.strerror(-fd)}",
                PyBytes_FromStringAndSize(log, strlen(log)).decode("ascii", "replace"),
            )
        return fd
    finally:
        free(log)


def create_link(int index, int program, int target, int object=ENO_OBJECT):
    names = program_names(object)
    checked(index, names)
    return check(eno_link_create(object, index, program, target), "attaching " + names[index])


def detach_link(int link):
    check(eno_link_detach(link), "detaching")


def pin(int fd, path):
    cdef bytes name = os.fsencode(path)
    check(eno_pin(fd, name), f"pinning {path}")


def open_pinned(path):
    cdef bytes name = os.fsencode(path)
    return check(eno_open_pinned(name), f"opening {path}")


def program_info(int program):
    """(id, tag, name, instructions the verifier walked)"""
    cdef eno_program_info info
    check(eno_get_program_info(program, &info), "asking for a program")
    tag = PyBytes_FromStringAndSize(<char *>info.tag, ENO_TAG_LEN).hex()
    return info.id, tag, info.name.decode(), info.verified_insns


def link_info(int link):
    """(id, program id, cgroup id or 0 if the cgroup is gone)"""
    cdef eno_link_info info
    check(eno_get_link_info(link, &info), "asking for a link")
    return info.id, info.program_id, info.cgroup_id


def program_by_id(unsigned int id):
    return check(eno_program_by_id(id), f"opening program {id}")


def query(int index, int cgroup, bint effective, int object=ENO_OBJECT):
    """Ids of the programs at a program's hook, ancestors' included if effective."""
    cdef unsigned int ids[IDS_MAX]
    cdef unsigned int count = IDS_MAX
    cdef unsigned int i
    checked(index, program_names(object))
    check(eno_query(object, index, cgroup, effective, ids, &count), "asking what is attached")
    return tuple([ids[i] for i in range(count)])
