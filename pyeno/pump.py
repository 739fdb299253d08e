"""The usual case of sending and receiving, compiled; see ``pyeno/_native/pump.pyi``.

Its twin is what :mod:`pyeno.sockets` does anyway, step by step: the pure
backend has no pump, and a socket behaves alike with one and without.
"""

import threading
from typing import TYPE_CHECKING

from pyeno._backend import backend

if TYPE_CHECKING:
    from pyeno._native.pump import Lock as Lock
    from pyeno._native.pump import Pump as Pump
    from pyeno.tcpcrypt.framer import Opener, Sealer


if backend == "native":
    from pyeno._native import pump as _compiled


def create_lock() -> "Lock":
    """As threading.Lock(), of the kind that the pump takes without a call."""
    if backend == "pure":
        return threading.Lock()  # type: ignore[return-value]
    return _compiled.Lock()


def create_pump(
    sealer: "Sealer", opener: "Opener", fd: int, writing: "Lock", reading: "Lock", paced: bool
) -> "Pump | None":
    """None where nothing is compiled."""
    if backend == "pure":
        return None
    return _compiled.Pump(sealer, opener, fd, writing, reading, paced=paced)
