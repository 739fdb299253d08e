"""ext/bpf/loader.h for Python: file descriptors in, file descriptors out.

Every function raises OSError with the kernel's errno.  What to load, in which
order, and what to undo after a failure, is pyeno/attach.py's business.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport free, malloc
from libc.string cimport strlen

from loader cimport (
    ENO_ABI_VERSION, ENO_TAG_LEN, eno_btf_load, eno_get_link_info, eno_get_program_info,
    eno_link_create, eno_link_detach, eno_link_info, eno_map_create, eno_map_name,
    eno_map_read, eno_map_value_size, eno_map_write, eno_open_pinned, eno_pin,
    eno_program_by_id, eno_program_info, eno_program_load, eno_program_name, eno_query,
)

import errno
import os

cdef enum:
    MAPS_MAX = 16
    IDS_MAX = 64

ABI_VERSION = ENO_ABI_VERSION


cdef int check(int result, str what) except -1:
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")
    return result


def map_names():
    names, i = [], 0
    while eno_map_name(i) != NULL:
        names.append(eno_map_name(i).decode())
        i += 1
    return tuple(names)


def program_names():
    names, i = [], 0
    while eno_program_name(i) != NULL:
        names.append(eno_program_name(i).decode())
        i += 1
    return tuple(names)


def load_btf():
    return check(eno_btf_load(), "loading BTF")


def create_map(int index, int btf):
    if not 0 <= index < len(map_names()):
        raise IndexError(index)
    return check(eno_map_create(index, btf), "creating map " + map_names()[index])


def read_map(str name, int map):
    """The value of an array of one; ValueError if that map is another version's."""
    value = PyBytes_FromStringAndSize(NULL, eno_map_value_size(map_names().index(name)))
    result = eno_map_read(map, <char *>value, len(value))
    if result == -errno.EPROTONOSUPPORT:
        raise ValueError(f"map {name}: another layout")
    check(result, "reading map " + name)
    return value


def write_map(str name, int map, bytes value):
    check(eno_map_write(map, <const char *>value, len(value)), "writing map " + name)


def load_program(int index, int btf, maps):
    """Raises OSError whose third argument is the verifier's log, if it gave one."""
    cdef int fds[MAPS_MAX]
    cdef int fd, i
    cdef char *log
    cdef size_t log_size = 1 << 20
    if not 0 <= index < len(program_names()) or len(maps) != len(map_names()):
        raise IndexError(index)
    for i in range(len(maps)):
        fds[i] = maps[i]
    log = <char *>malloc(log_size)
    if log == NULL:
        raise MemoryError
    log[0] = 0
    try:
        with nogil:
            fd = eno_program_load(index, btf, fds, log, log_size)
        if fd < 0:
            raise OSError(
                -fd,
                f"loading program {program_names()[index]}: {os.strerror(-fd)}",
                PyBytes_FromStringAndSize(log, strlen(log)).decode("ascii", "replace"),
            )
        return fd
    finally:
        free(log)


def create_link(int index, int program, int cgroup):
    if not 0 <= index < len(program_names()):
        raise IndexError(index)
    return check(eno_link_create(index, program, cgroup),
                 "attaching " + program_names()[index])


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


def query(int index, int cgroup, bint effective):
    """Ids of the programs at a program's hook, ancestors' included if effective."""
    cdef unsigned int ids[IDS_MAX]
    cdef unsigned int count = IDS_MAX
    cdef unsigned int i
    if not 0 <= index < len(program_names()):
        raise IndexError(index)
    check(eno_query(index, cgroup, effective, ids, &count), "asking what is attached")
    return tuple([ids[i] for i in range(count)])
