"""A relay as a service of the host: signals, a log, a control socket, counters.

SIGHUP             take the configuration file again; a bad one changes nothing
SIGTERM, SIGINT    no new connections; end once those there are have ended, or
                   limits.drain_seconds are over; at once if it comes again
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from pyeno import mounts
from pyeno.errors import KernelError, PyenoError
from pyeno.relay import configfile, control, metrics
from pyeno.relay.configfile import Configuration
from pyeno.relay.control_answers import answers
from pyeno.relay.logs import Log
from pyeno.relay.records import Record
from pyeno.relay.relay import Relay
from pyeno.relay.service_notify import notify, reloading

PINS = Path("/sys/fs/bpf")
_ENDING = (signal.SIGTERM, signal.SIGINT)


class Service:
    """One ``pyeno relay``; :meth:`run` is for the main thread, which gets the signals."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.name = name or path.stem
        mounts.ensure_cgroup2()
        self._given = self._load()
        self._log = _log_of(self._given)
        self._relay = Relay(self._given.settings, self)
        self._draining = False
        self._scraped = contextlib.ExitStack()

    def _load(self) -> Configuration:
        given = configfile.load(self.path)
        # its own: two relays that fail closed do not share one
        pin = PINS / f"pyeno-service-{self.name}"
        return given._replace(settings=given.settings.but(pin=pin))

    def run(self) -> None:
        """Serve until told to end.

        Raises KernelError, which says what mends it, if anything is missing or in use:
        then nothing is attached.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(control.answering(self.name, self._answers()))
            stack.push(self._scraped)
            self._scraped.enter_context(self._metrics(self._given))
            stack.enter_context(self._relay)
            stack.enter_context(self._handling())
            self._ready("began")
            self._relay.run()
        self._log.flush()
        self._log.say("ended")

    def _ready(self, event: str) -> None:
        cgroups = [str(path) for path in self._given.settings.cgroups]
        self._log.say(event, name=self.name, pid=os.getpid(), cgroups=cgroups)
        notify("READY=1", f"STATUS=Serving {', '.join(cgroups)}")

    # -- the relay's observer ----------------------------------------------------

    def opened(self, record: Record) -> None:
        """Both ends are joined."""

    def ended(self, record: Record) -> None:
        """Log it; while draining, was it the last one?"""
        self._log.ended(record)
        if self._draining and self._relay.idle:
            self._relay.stop()

    # -- questions -----------------------------------------------------------------

    def _answers(self) -> control.Answers:
        return answers(self._relay, lambda: self._given.settings, self._about)

    def _about(self) -> dict[str, Any]:
        return {"config": str(self.path.absolute()), "draining": self._draining}

    def _metrics(self, given: Configuration) -> contextlib.AbstractContextManager[None]:
        return metrics.served(given.service.metrics, self._relay.counters)

    # -- signals -------------------------------------------------------------------

    @contextlib.contextmanager
    def _handling(self) -> Iterator[None]:
        handlers = dict.fromkeys(_ENDING, self._end) | {
            signal.SIGHUP: self._reload, signal.SIGALRM: self._stop,
        }  # fmt: skip
        before = {number: signal.signal(number, call) for number, call in handlers.items()}
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, call in before.items():
                signal.signal(number, call)

    def _reload(self, _: int, __: FrameType | None) -> None:
        reloading()
        try:
            self._take(self._load())
        except (PyenoError, OSError) as error:
            what = error.strerror if isinstance(error, KernelError) else str(error)
            self._log.say("reload-refused", error=what)
            notify("READY=1")
        else:
            self._ready("reloaded")

    def _take(self, new: Configuration) -> None:
        """All of it, or nothing."""
        moved = new.service.metrics != self._given.service.metrics
        with contextlib.ExitStack() as scraped:
            if moved:
                scraped.enter_context(self._metrics(new))
            self._relay.reload(new.settings)
            if moved:
                self._scraped.close()
                self._scraped.push(scraped.pop_all())
        self._given = new
        _change(self._log, new)

    def _end(self, number: int, _: FrameType | None) -> None:
        if self._draining:
            self._relay.stop()
            return
        self._draining = True
        seconds = self._given.service.drain_seconds
        notify("STOPPING=1")
        self._log.say("ending", signal=signal.Signals(number).name, drain_seconds=seconds)
        self._relay.drain()
        if seconds and not self._relay.idle:
            signal.setitimer(signal.ITIMER_REAL, seconds)
        else:
            self._relay.stop()

    def _stop(self, _: int, __: FrameType | None) -> None:
        """The connections had their time: reset them."""
        self._log.say("reset", connections=len(self._relay.connections()))
        self._relay.stop()


def _log_of(given: Configuration) -> Log:
    service = given.service
    return Log(
        service.log_format,
        connections=service.log_connections,
        errors_per_minute=service.errors_per_minute,
    )


def _change(log: Log, given: Configuration) -> None:
    service = given.service
    log.change(
        service.log_format,
        connections=service.log_connections,
        errors_per_minute=service.errors_per_minute,
    )
