"""What a relay answers: to ``pyeno status``, and to ``pyeno ss``."""

import os
import time
from collections.abc import Callable
from typing import Any

from pyeno import namespaces
from pyeno.relay.control import Answers
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
