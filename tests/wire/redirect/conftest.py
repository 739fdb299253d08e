"""Two namespaces without ENO, a cgroup for programs in one of them, a relay for it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from wire.netns import PREFIX, Namespace, Wire
from wire.redirecting import Program, Relay

from pyeno import mounts


@pytest.fixture(scope="session")
def cable(cgroup: Path) -> Iterator[Wire]:
    with Wire() as wire:
        yield wire


@pytest.fixture
def a(cable: Wire) -> Namespace:
    """Where the programs and the relay are."""
    return cable.a


@pytest.fixture
def b(cable: Wire) -> Namespace:
    return cable.b


@pytest.fixture
def programs(cgroup: Path) -> Iterator[Path]:
    """A cgroup for programs; its parent is the root, as the tests' own is."""
    path = mounts.cgroup_root() / f"{PREFIX}-{os.getpid()}-programs"
    path.mkdir()
    try:
        yield path
    finally:
        path.rmdir()


@pytest.fixture
def relay(a: Namespace, programs: Path) -> Iterator[Relay]:
    with Relay(a, [programs]) as relay:
        yield relay


@pytest.fixture
def program(a: Namespace, programs: Path) -> Iterator[Program]:
    with Program(a, programs) as program:
        yield program
