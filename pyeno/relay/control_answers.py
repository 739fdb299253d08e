"""What a relay answers: to ``pyeno status``, and to ``pyeno ss``."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from pyeno import namespaces
from pyeno.errors import KernelError
from pyeno.relay.control import Answers, answering
from pyeno.relay.relay import Relay
from pyeno.relay.settings import Settings


def answers(
    relay: Relay, settings: Callable[[], Settings], about: Callable[[], dict[str, Any]]
) -> Answers:
    """``about``: what else ``status`` has to say."""
    began = time.time()

    def status() -> dict[str, Any]:
        now = settings()
        return about() | {
            "pid": os.getpid(),
            "since": began,
            "cgroups": [str(path) for path in now.cgroups],
            "fail": now.fail,
            "counters": relay.counters(),
        }

    def programs() -> dict[str, Any]:
        """Of each connection the relay's own ends, the program's, and the relay's
        towards the program where it is needed to tell programs apart."""
        ends = [
            (record.local, record.peer, record.program, record.near)
            for record in relay.connections()
            if record.local is not None and record.program is not None
        ]
        return {"netns": namespaces.identity("/proc/self/ns/net"), "ends": ends}

    return {"status": status, "programs": programs}


@contextlib.contextmanager
def announced(relay: Relay, settings: Settings) -> Iterator[None]:
    """Let others know of a relay without a name, if /run/pyeno can be written to."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(KernelError):
            told = answers(relay, lambda: settings, dict)
            stack.enter_context(answering(f"run-{os.getpid()}", told))
        yield
