"""select() and selectors tell the truth about connections whose keys are not agreed yet.

Init messages make such a socket readable for the kernel; a program that then
calls a blocking recv() would wait for what has not been sent.
"""

import time
from collections.abc import Iterable
from functools import wraps
from types import ModuleType
from typing import Any

from pyeno.inprocess.sock import InProcessSocket


def amend_select(module: ModuleType) -> None:
    """Replace select.select()."""
    module.select = _truthful(module.select)  # type: ignore[attr-defined]


def amend_selectors(selectors: ModuleType) -> None:
    """Amend the select() of every selector of the standard library."""
    for name in ("SelectSelector", "PollSelector", "EpollSelector"):
        selector = getattr(selectors, name)
        selector.select = _filtered(selector.select, selectors.EVENT_READ)


def _true(item: Any) -> bool:
    return not isinstance(item, InProcessSocket) or item.truly_readable()


def _truthful(original: Any) -> Any:
    @wraps(original)
    def select(
        rlist: Iterable[Any], wlist: Iterable[Any], xlist: Iterable[Any],
        timeout: float | None = None, /,
    ) -> tuple[list[Any], list[Any], list[Any]]:  # fmt: skip
        rlist, wlist, xlist = list(rlist), list(wlist), list(xlist)
        until = _until(timeout)
        while True:
            found: tuple[list[Any], list[Any], list[Any]] = original(
                rlist, wlist, xlist, _left(until)
            )
            readable = [item for item in found[0] if _true(item)]
            if len(readable) == len(found[0]) or readable or found[1] or found[2]:
                return readable, found[1], found[2]
            if until is not None and time.monotonic() >= until:
                return readable, [], []

    return select


def _filtered(original: Any, read: int) -> Any:
    @wraps(original)
    def select(self: Any, timeout: float | None = None) -> list[tuple[Any, int]]:
        until = None if timeout is None else _until(timeout)
        while True:
            found = original(self, timeout)
            kept = [
                (key, events)
                for key, given in found
                if (events := given if _true(key.fileobj) else given & ~read)
            ]
            timeout = _left(until)
            if kept or not found or (timeout is not None and timeout <= 0):
                return kept

    return select


def _until(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _left(until: float | None) -> float | None:
    return None if until is None else max(0.0, until - time.monotonic())
