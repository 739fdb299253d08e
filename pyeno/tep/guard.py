"""Between a plug-in and the host: what it does wrong ends its own connection only.

Whatever a plug-in raises that is no error of pyeno's becomes a TepError with
its name; so does a session ID that RFC 8547 section 5.1 does not allow, or
that an earlier connection had.  TEPs of pyeno's own pass no guard.
"""

import hashlib
import threading
from typing import TYPE_CHECKING, Any, Final, cast

from pyeno._values import Outcome
from pyeno.constants import Role
from pyeno.errors import PyenoError, TepError
from pyeno.tep.defaults import Defaults
from pyeno.tep.definition import Definition, check_session_id, failure
from pyeno.tep.interface import Essential, TepConnection

if TYPE_CHECKING:
    from pyeno.config import Config

REMEMBERED: Final = 4096
"""session IDs of the latest connections of one role that none may repeat"""


class Guarded(Definition):
    """A plug-in's definition, as it was when it was registered."""

    def __init__(self, definition: Definition, whose: str) -> None:
        self.plugin = definition
        self._whose = whose
        self.identifier, self.name = int(definition.identifier), definition.name
        self.urgent, self.rekeys = definition.urgent is True, definition.rekeys is True
        self._seen: dict[Role, dict[bytes, None]] = {role: {} for role in Role}
        self._noting = threading.Lock()

    @property
    def whose(self) -> str:
        return self._whose

    def ask(self, call: Any, *arguments: Any, **named: Any) -> Any:
        """One call of the plug-in's."""
        try:
            return call(*arguments, **named)
        except PyenoError:
            raise
        except Exception as error:
            raise failure(self._whose, call, error) from error

    def suboption(self, config: "Config", role: Role) -> bytes | None:
        return cast(bytes | None, self.ask(self.plugin.suboption, config, role))

    def lengths(self, role: Role) -> range:
        return cast(range, self.ask(self.plugin.lengths, role))

    def lack(self) -> str | None:
        try:
            lack = self.ask(self.plugin.lack)
        except PyenoError as error:
            return str(error)
        return lack if lack is None else str(lack)

    def provider(self) -> str:
        try:
            return str(self.ask(self.plugin.provider))
        except PyenoError:
            return "an unknown library"

    def create(self, outcome: Outcome, config: "Config") -> TepConnection:
        connection = self.ask(self.plugin.create, outcome, config)
        return cast(TepConnection, GuardedConnection(self, connection, outcome))

    def check(self, session_id: object, outcome: Outcome) -> bytes:
        """A new connection's session ID.  [8547:5.1-5]

        Raises TepError; what is remembered of each is a hash.
        """
        checked = check_session_id(self.whose, session_id, outcome.tep_byte)
        digest, seen = hashlib.sha256(checked).digest(), self._seen[outcome.role]
        with self._noting:
            if digest not in seen:
                seen[digest] = None
                if len(seen) > REMEMBERED:
                    del seen[next(iter(seen))]
                return checked
        raise TepError(
            f"{self.whose}: its session ID is that of an earlier connection; it must be "
            "unique over all time (RFC 8547 section 5.1); connection aborted"
        )


class GuardedConnection:
    """A plug-in's connection: each member of TepConnection, through ask().

    Its properties never raise, since many a caller only wants to know: a fault is raised
    by whatever is done next, and keys that came with one are not used.
    """

    __slots__ = (
        "__weakref__",
        "_connection",
        "_definition",
        "_fault",
        "_outcome",
        "_session_id",
    )

    def __init__(self, definition: Guarded, connection: Any, outcome: Outcome) -> None:
        self._definition = definition
        self._connection = connection
        self._outcome = outcome
        self._session_id = b""
        self._fault: PyenoError | None = None

    def __repr__(self) -> str:
        return f"<{self._definition.whose}: role {self._outcome.role.value}>"

    @property
    def established(self) -> bool:
        if not self._session_id and self._get("established"):
            try:
                found = self._ask("session_id")
                self._session_id = self._definition.check(found, self._outcome)
            except PyenoError as fault:
                self._fault = fault
        return bool(self._session_id)

    @property
    def session_id(self) -> bytes:
        """As it was checked; raises where there is none."""
        return self._session_id if self.established else cast(bytes, self._ask("session_id"))

    def wipe(self) -> None:
        """Whatever went wrong before; what goes wrong now ends nothing that goes on."""
        try:
            self._definition.ask(self._connection.wipe)
        except TepError as fault:
            self._fault = self._fault or fault

    def _ask(self, attribute: str) -> Any:
        if self._fault is not None:
            raise self._fault

        def ask() -> Any:
            return getattr(self._connection, attribute)

        ask.__name__ = attribute
        return self._definition.ask(ask)

    def _get(self, attribute: str) -> Any:
        try:
            return self._ask(attribute)
        except PyenoError as fault:
            self._fault = fault
            return getattr(Defaults, attribute, 0)


def _guard_member(attribute: str, member: Any) -> Any:
    """The same member of a plug-in's connection."""
    if not isinstance(member, property):

        def call(self: GuardedConnection, *arguments: Any, **named: Any) -> Any:
            return self._definition.ask(self._ask(attribute), *arguments, **named)

        return call

    def get(self: GuardedConnection) -> Any:
        return self._get(attribute)

    def put(self: GuardedConnection, value: Any) -> None:
        self._definition.ask(setattr, self._connection, attribute, value)

    return property(get, put if member.fset else None)


for _protocol in (Essential, TepConnection):
    for _attribute, _member in vars(_protocol).items():
        if not _attribute.startswith("_") and not hasattr(GuardedConnection, _attribute):
            setattr(GuardedConnection, _attribute, _guard_member(_attribute, _member))
