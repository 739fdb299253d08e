"""What both directions of a relay work with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pyeno.relay.loop import Loop
from pyeno.relay.records import Book
from pyeno.relay.settings import Settings
from pyeno.relay.traffic import Traffic


class Redirecting(Protocol):
    """What :class:`pyeno.redirect.Redirection` does; see there."""

    def fileno(self) -> int: ...
    def held(self) -> list[Any]: ...
    def gave_up(self) -> list[int]: ...
    def admit(self, held: Any, local: Any) -> None: ...
    def refuse(self, held: Any, error: int) -> Any: ...
    def reach(self, sock: Any, client: Any, local: Any) -> Any: ...
    def unreach(self, sock: Any, local: Any) -> None: ...
    def set_rules(self, rules: Any) -> None: ...
    def release(self) -> None: ...


@dataclass
class Desk:
    """One relay's; ``settings`` are replaced when they are reloaded."""

    loop: Loop
    book: Book
    traffic: Traffic
    settings: Settings
    full: Callable[[], bool]
    """there are as many connections as may be: take nothing new"""
    crowded: Callable[[], None]
    """no descriptor was free: take nothing new for a while"""
    redirection: Redirecting
