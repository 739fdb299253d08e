"""The relay: one thread opens and accepts connections, engines move their data."""

import contextlib
import select
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

from pyeno import mounts
from pyeno.errors import ConfigError, KernelError
from pyeno.limits import raise_limit
from pyeno.redirect import Redirection, Rules
from pyeno.relay import far, listeners
from pyeno.relay.attachment import attached, sweep
from pyeno.relay.desk import Desk, Redirecting
from pyeno.relay.inbound import Inbound
from pyeno.relay.listeners import existing
from pyeno.relay.loop import Loop
from pyeno.relay.outbound import Outbound
from pyeno.relay.records import Book, Observer, Record
from pyeno.relay.settings import Settings
from pyeno.relay.traffic import Traffic

LOOK_SECONDS = 1.0
"""how often it looks who is late, and whether there is room again"""
DESCRIPTORS = 6
"""of a plain connection: two sockets, and a pipe in each direction"""
SOCKETS = 2
"""descriptors that every connection takes: without pipes its bytes are copied"""

Redirect = Callable[..., "contextlib.AbstractContextManager[Redirecting]"]


class Relay:
    """Serves the programs of some cgroups until it is told to stop.

        with Relay(settings) as relay:      # attached: programs may start
            relay.run()

    Entering raises :class:`pyeno.KernelError`, which says what is missing; then
    nothing is attached.  stop(), reload(), counters() and connections() may be
    called from other threads and from signal handlers.
    """

    def __init__(
        self,
        settings: Settings,
        observer: Observer | None = None,
        *,
        redirect: Redirect | None = None,
    ) -> None:
        self._settings = settings
        self._book = Book(observer)
        self.loop = self._loop = Loop()
        """for whoever has descriptors that the relay's thread is to watch"""
        self._redirect = redirect or _redirection
        self._stack = ExitStack()
        self._look_at = 0.0
        self._taking = self._accepting = False
        """new connections are taken, and those of programs that were admitted"""

    # -- beginning and end -----------------------------------------------------

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._loop.close)
            mounts.ensure_cgroup2()
            sweep()
            stack.enter_context(attached())
            self._open(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self, stack: ExitStack) -> None:
        settings = self._settings
        self._make_room(settings)
        near = steered = (None, None)  # type: Any
        if settings.outbound:
            near = listeners.near(stack)
        if settings.inbound:
            steered = listeners.steered(stack, settings.config)
        traffic = Traffic(self._loop, self._book, settings.workers)
        stack.callback(traffic.close)
        redirection = stack.enter_context(self._redirect(settings, near=near, steered=steered))
        self._desk = desk = Desk(
            self._loop, self._book, traffic, settings, self._paused, self._crowded, redirection
        )
        self._outbound, self._inbound = Outbound(desk, near), Inbound(desk)
        stack.callback(self._inbound.close)
        stack.callback(self._outbound.close)
        self._near, self._steered = near, steered
        self._take()

    def run(self) -> None:
        """Serve until stop(); what is open then is reset when the relay is left."""
        self._loop.run(self._tick)

    def stop(self) -> None:
        """Let run() return."""
        self._loop.stop()

    # -- new connections, while there is room ------------------------------------

    def _make_room(self, settings: Settings) -> None:
        room = raise_limit(settings.connections_max * DESCRIPTORS)
        self._most = min(settings.connections_max, max(1, room // SOCKETS))

    def _is_full(self) -> bool:
        return len(self._book.records) >= self._most

    def _paused(self) -> bool:
        return not self._taking or self._is_full()

    def _take(self) -> None:
        """Whatever of this was paused."""
        watch = self._loop.watch
        if not self._taking:
            held = self._desk.redirection.fileno()
            watch(held, select.EPOLLIN, self._outbound.held)
            for steered in existing(self._steered):
                accept = partial(self._inbound.accept, steered)
                watch(steered.fileno(), select.EPOLLIN, accept)
        if not self._accepting:
            for near in existing(self._near):
                watch(near.fileno(), select.EPOLLIN, partial(self._outbound.accept, near))
        self._taking = self._accepting = True
        self._outbound.held()

    def _full(self) -> None:
        """Who comes now waits: SYNs stay held, accepted ones in the backlog."""
        if self._taking:
            self._taking = False
            self._look_at = time.monotonic() + LOOK_SECONDS
            self._loop.forget(self._desk.redirection.fileno())
            for listener in existing(self._steered):
                self._loop.forget(listener.fileno())

    def _crowded(self) -> None:
        """Nor can those be accepted that were admitted: no descriptor is free."""
        self._full()
        if self._accepting:
            self._accepting = False
            for listener in existing(self._near):
                self._loop.forget(listener.fileno())

    def _tick(self) -> float | None:
        now = time.monotonic()
        full = self._is_full()
        if full:
            self._full()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._outbound.look(now)
            self._inbound.look(now)
            if not full:
                self._take()
        waiting = self._outbound.busy or self._inbound.busy or not self._taking
        return LOOK_SECONDS if waiting else None

    # -- for its owner ---------------------------------------------------------

    def reload(self, settings: Settings) -> None:
        """Take new connections under other settings; those that are there go on.

        Raises :class:`pyeno.ConfigError`, and changes nothing, where only another relay
        could do that.
        """
        for name in ("cgroups", "outbound", "inbound", "workers", "fail", "pin"):
            if getattr(settings, name) != getattr(self._settings, name):
                raise ConfigError(
                    f"{name}: {getattr(settings, name)!r}; a relay that runs has "
                    f"{getattr(self._settings, name)!r}: stop it and start another one"
                )
        self._loop.soon(partial(self._reload, settings, rules(settings)))

    def _reload(self, settings: Settings, wanted: Rules) -> None:
        if settings.config != self._settings.config:
            for listener in existing(self._steered):
                with contextlib.suppress(KernelError):  # its TEPs stay, before Linux 6.12
                    far.reconfigure(listener, settings.config)
        self._make_room(settings)
        self._desk.redirection.set_rules(wanted)
        self._desk.settings = self._settings = settings

    def drain(self) -> None:
        """Take no new connections: programs go on as if there were no relay.  Those that
        are there, or on their way, go on too."""
        self._loop.soon(self._desk.redirection.release)

    @property
    def idle(self) -> bool:
        """There are no connections."""
        return not self._book.records

    def counters(self) -> dict[str, Any]:
        """What all connections add up to, those there are with their bytes so far."""
        sums = self._book.counters()
        for record in self.connections():
            sums["bytes_out"] += record.bytes_out
            sums["bytes_in"] += record.bytes_in
        return sums

    def connections(self) -> list[Record]:
        """Those there are, with the bytes so far."""
        self._desk.traffic.progress()
        return list(self._book.records.values())


def rules(settings: Settings) -> Rules:
    """What the kernel decides without asking."""
    return Rules(
        skip_ports=settings.skip_ports,
        skip_networks=settings.skip_networks,
        inbound_ports=settings.inbound_ports if settings.inbound else frozenset(),
    )


def _redirection(settings: Settings, near: Any, steered: Any) -> Any:
    return Redirection(
        settings.cgroups,
        near=near,
        steered=steered,
        rules=rules(settings),
        pin=settings.pin if settings.fail == "closed" else None,
    )
