"""What TEPs put into an ENO option under one policy, and what they accept there.

The kernel half is told once a socket (:func:`pyeno.kernel.configure`); whatever a
TEP answers that it could not keep is a TepError with the TEP's name.
"""

from typing import TYPE_CHECKING

from pyeno._tepdata import RECEIVED_MAX, SENT_MAX
from pyeno._values import TepData
from pyeno.constants import Role
from pyeno.errors import TepError
from pyeno.tep.definition import Definition

if TYPE_CHECKING:
    from pyeno.config import Config

NONE = range(1)
"""No data are valid: v = 0 alone."""


def table_entry(definition: Definition, config: "Config") -> TepData | None:
    """Its row of the table of suboption data; None where it neither sends nor takes any."""
    sent = {role: _check_data(definition, definition.suboption(config, role)) for role in Role}
    valid = {role: _check_lengths(definition, definition.lengths(role)) for role in Role}
    for role in Role:
        if len(sent[role] or b"") not in valid[role]:
            raise TepError(
                f"{definition.whose}: as host {role.value} it would send "
                f"{len(sent[role] or b'')} bytes of data, of which its lengths() allows "
                f"{valid[role]} (RFC 8547 section 4.5)"
            )
    entry = TepData(
        definition.identifier, sent[Role.A], sent[Role.B], valid[Role.A], valid[Role.B]
    )
    return None if entry == TepData(definition.identifier) else entry


def option_size(entry: TepData | None) -> int:
    """Bytes of the option that its suboption may take (section 4.4): a length byte goes
    before those with data."""
    longest = 0 if entry is None else max(len(entry.a or b""), len(entry.b or b""))
    return 1 + longest + bool(longest)


def _check_data(definition: Definition, data: object) -> bytes | None:
    if data is None or (isinstance(data, bytes) and 1 <= len(data) <= SENT_MAX):
        return data
    told = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
    raise TepError(
        f"{definition.whose}: suboption() gave {told}; allowed: None, or 1 to {SENT_MAX} bytes "
        "(RFC 8547 section 4.4)"
    )


def _check_lengths(definition: Definition, lengths: object) -> range:
    if (
        isinstance(lengths, range)
        and lengths.step == 1
        and 0 <= lengths.start < lengths.stop <= RECEIVED_MAX + 1
    ):
        return lengths
    raise TepError(
        f"{definition.whose}: lengths() gave {lengths!r}; allowed: range(low, high + 1) within "
        f"0 to {RECEIVED_MAX} (RFC 8547 section 4.5)"
    )
