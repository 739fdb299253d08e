"""Two hosts, and what runs on them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from legacy.hosts import Done, Running, Side
from legacy.software import Client, Server
from wire.netns import Namespace, Wire, sweep

from pyeno import mounts


@pytest.fixture(scope="session")
def wire() -> Iterator[Wire]:
    sweep(mounts.cgroup_root())
    with Wire() as wire:
        yield wire


@pytest.fixture
def address(wire: Wire, family: str) -> str:
    """Of the host that listens."""
    return wire.b.ip4 if family == "IPv4" else wire.b.ip6


@pytest.fixture
def serve(wire: Wire, tmp_path: Path) -> Callable[[Server, Side], Running]:
    """Start a server on host b; to be entered."""

    def started(server: Server, side: Side) -> Running:
        side = side._replace(user=server.user)
        return Running(side, wire.b, server.program, tmp_path).ready(server.port)

    return started


@pytest.fixture
def ask(wire: Wire, tmp_path: Path) -> Callable[..., Done]:
    """Let a program run to its end on host a, or another one."""

    def asked(
        side: Side, program: Any, stdin: bytes | None = None, host: Namespace | None = None
    ) -> Done:
        with Running(side, host or wire.a, program, tmp_path, stdin) as running:
            return running.done(relayed=side.eno)

    return asked


__all__ = ["Client", "address", "ask", "serve", "wire"]
