"""What a relay logs: one line for each thing that happened, for people and programs.

``text`` is ``key=value`` words, ``json`` one object a line.  Lines go straight to
a descriptor, whole, so that signal handlers may log too.
"""

import json
import os
import re
import time
from collections.abc import Callable
from typing import Any, Final

from pyeno.relay.records import Record

STDERR: Final = 2
_MINUTE: Final = 60.0
_PLAIN: Final = re.compile(r"[^\s\"=]+")
# of Record.as_dict(); what has no value is left out of text
FIELDS: Final = (
    "direction", "peer", "local", "program", "encrypted", "reason", "tep", "role", "resumed",
    "bytes_in", "bytes_out", "end", "error",
)  # fmt: skip


def text(fields: dict[str, Any]) -> str:
    """``key=value``, values in JSON's quotes where they need some."""
    return " ".join(f"{name}={_word(value)}" for name, value in fields.items() if _told(value))


def _told(value: Any) -> bool:
    return value is not None and value != ""


def _word(value: Any) -> str:
    written = value if isinstance(value, str) else json.dumps(value)
    return written if _PLAIN.fullmatch(written) else json.dumps(value, ensure_ascii=False)


_FORMATS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {"text": text, "json": json.dumps}


class Log:
    """Also a relay's observer."""

    def __init__(
        self, form: str = "text", *, connections: bool = True, errors_per_minute: int = 60,
        descriptor: int | None = None,
    ) -> None:  # fmt: skip
        self._descriptor = STDERR if descriptor is None else descriptor
        self._minute = 0.0
        self._errors = self._unsaid = 0
        self.change(form, connections=connections, errors_per_minute=errors_per_minute)

    def change(self, form: str, *, connections: bool, errors_per_minute: int) -> None:
        """From now on like this."""
        self._format = _FORMATS[form]
        self._connections = connections
        self._errors_max = errors_per_minute

    def say(self, event: str, **fields: Any) -> None:
        """One line."""
        told = {"time": round(time.time(), 3), "event": event} | fields
        line = (self._format(told) + "\n").encode("utf-8", "backslashreplace")
        while line:
            line = line[os.write(self._descriptor, line) :]

    def opened(self, record: Record) -> None:
        """Nothing: its end tells all."""

    def ended(self, record: Record) -> None:
        """Who it was, what became of ENO, how much passed, how it ended."""
        if not self._connections:
            return
        if record.end != "fin" and not self._may_tell():
            self._unsaid += 1
            return
        told = record.as_dict()
        fields: dict[str, Any] = {name: told[name] for name in FIELDS if name in told}
        fields["seconds"] = round(max(0.0, time.time() - record.since), 3)
        self.say("connection", **fields)

    def _may_tell(self) -> bool:
        """Of failures only so many a minute: whoever causes them must not fill the disk."""
        now = time.monotonic()
        if now - self._minute >= _MINUTE:
            self._minute, self._errors = now, 0
            self.flush()
        self._errors += 1
        return self._errors <= self._errors_max

    def flush(self) -> None:
        """Own up to what was not said."""
        if self._unsaid:
            self.say("unsaid", connections=self._unsaid)
            self._unsaid = 0
