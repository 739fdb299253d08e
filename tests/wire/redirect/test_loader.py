"""Maps and the ring buffer by their descriptors: sizes and indices are checked first."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyeno._native import kernel as native

pytestmark = pytest.mark.wire

NAMES = native.map_names(native.REDIRECT)


@contextlib.contextmanager
def created(name: str) -> Iterator[int]:
    btf = native.load_btf(native.REDIRECT)
    fd = native.create_map(NAMES.index(name), btf, native.REDIRECT)
    try:
        yield fd
    finally:
        os.close(fd)
        os.close(btf)


def test_elements(cgroup: Path) -> None:
    with created("eno_listeners") as fd:
        found = native.Map(fd, NAMES.index("eno_listeners"), native.REDIRECT)
        key, value = bytes(range(24)), b"\1\0\0\0"
        assert (found.fd, found.name) == (fd, "eno_listeners")
        assert found.get(key) is None
        found.put(key, value)
        assert found.get(key) == value
        assert found.drop(key) and not found.drop(key)
        assert found.get(key) is None


@pytest.mark.parametrize("key", [b"", bytes(23), bytes(25)])
def test_sizes(cgroup: Path, key: bytes) -> None:
    """The kernel would copy as much as the map's keys and values have."""
    with created("eno_listeners") as fd:
        found = native.Map(fd, NAMES.index("eno_listeners"), native.REDIRECT)
        for call in (found.get, found.drop, lambda key: found.put(key, bytes(4))):
            with pytest.raises(ValueError, match="keys of 24, values of 4 bytes"):
                call(key)
        with pytest.raises(ValueError, match="values of 4 bytes"):
            found.put(bytes(24), bytes(5))
        with pytest.raises(TypeError):
            found.put(None, bytes(4))  # type: ignore[arg-type]


def test_full(cgroup: Path) -> None:
    """A hash that forgets nothing says so."""
    with created("eno_owners") as fd:
        owners = native.Map(fd, NAMES.index("eno_owners"), native.REDIRECT)
        with pytest.raises(OSError, match="writing map eno_owners"):
            for number in range(1025):
                owners.put(number.to_bytes(4, "little"), bytes(4))


def test_ring(cgroup: Path) -> None:
    """Nothing written, nothing read; and only ring buffers can be read."""
    with created("eno_events") as fd:
        ring = native.Ring(fd, 1 << 20)
        assert ring.read(10) == []
        ring.close()
        ring.close()
        assert ring.read(10) == []
    with created("eno_owners") as fd, pytest.raises(OSError, match="mapping the ring buffer"):
        native.Ring(fd, 1 << 20)


@pytest.mark.parametrize("which", [-1, 2])
def test_no_such_object(which: int) -> None:
    for call in (native.map_names, native.program_names, native.load_btf):
        with pytest.raises(IndexError):
            call(which)
    with pytest.raises(IndexError):
        native.create_map(0, 0, which)
    with pytest.raises(IndexError):
        native.Map(0, 0, which)


def test_no_such_index() -> None:
    for index in (-1, 99):
        with pytest.raises(IndexError):
            native.create_map(index, 0, native.REDIRECT)
        with pytest.raises(IndexError):
            native.create_link(index, 0, 0, native.REDIRECT)
        with pytest.raises(IndexError):
            native.load_program(index, 0, [0] * len(NAMES), native.REDIRECT)
    with pytest.raises(IndexError):
        native.load_program(0, 0, [0], native.REDIRECT)
