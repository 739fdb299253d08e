"""SIGTERM and SIGHUP as Ctrl-C, for commands that have something to take down."""

import signal
from typing import NoReturn


def end_as_interrupted() -> None:
    """What was ignored when we started stays so: nohup means it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: object) -> NoReturn:
    # as Ctrl-C: everything is taken down on the way out
    raise KeyboardInterrupt
