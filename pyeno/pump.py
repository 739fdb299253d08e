"""The usual case of sending and receiving, compiled; see ``pyeno/_native/pump.pyi``.

Its twin is what :mod:`pyeno.sockets` does anyway, step by step: the pure
backend has no pump, and a socket behaves alike with one and without.
"""

import threading
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from pyeno._backend import backend

if TYPE_CHECKING:
    from pyeno._native.pump import Lock as Lock
    from pyeno._native.pump import Pump as Pump
    from pyeno.tcpcrypt.framer import Opener, Sealer


@cache
def _compiled() -> ModuleType:
    """Loaded with the first connection, not with the package."""
    return import_module("pyeno._native.pump")


def create_lock() -> "Lock":
    """As threading.Lock(), of the kind that the pump takes without a call."""
    if backend == "pure":
        return threading.Lock()  # type: ignore[return-value]
    lock: Lock = _compiled().Lock()
    return lock


def create_pump(
    sealer: "Sealer", opener: "Opener", fd: int, writing: "Lock", reading: "Lock", paced: bool
) -> "Pump | None":
    """None where nothing is compiled."""
    if backend == "pure":
        return None
    pump: Pump = _compiled().Pump(sealer, opener, fd, writing, reading, paced=paced)
    return pump
