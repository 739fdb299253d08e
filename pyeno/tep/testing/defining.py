"""Clauses on what a TEP says of itself before there is a connection."""

from pyeno.constants import ENO_TEP_MIN, ENO_TEP_RESERVED
from pyeno.errors import TepError
from pyeno.tep.definition import NAME, within
from pyeno.tep.interface import Essential, TepConnection
from pyeno.tep.offer import table_entry
from pyeno.tep.testing.base import Suite
from pyeno.tep.testing.clauses import demand

MEMBERS = sorted(
    name
    for protocol in (Essential, TepConnection)
    for name in vars(protocol)
    if not name.startswith("_")
)


class Defining(Suite):
    """Identifier, suboptions, interface."""

    def test_identifier(self) -> None:
        """RFC 8547 section 11: 0x70 to 0x7f are "reserved"."""
        identifier = self.definition.identifier
        allowed = f"{ENO_TEP_MIN:#x} to {ENO_TEP_RESERVED - 1:#x}"
        demand(
            within(identifier, ENO_TEP_RESERVED - 1),
            f"RFC 8547 section 11: {allowed}",
            f"the identifier is {identifier!r}",
        )

    def test_name(self) -> None:
        """Users write it, alone and in lists."""
        name = self.definition.name
        demand(
            isinstance(name, str) and NAME.fullmatch(name) and name != "all",
            "lower-case letters, digits and hyphens",
            f"the name is {name!r}",
        )

    def test_suboption_data(self) -> None:
        """RFC 8547 section 4.4: what a length byte and an option can hold; section 4.5:
        valid to the peer, which runs the same rules."""
        for config in (self.config, self.config.but(role_b=True, app_aware=True)):
            try:
                table_entry(self.definition, config)
            except TepError as error:
                demand(False, "RFC 8547 sections 4.4, 4.5", str(error))

    def test_works_here(self) -> None:
        """What cannot be computed must be told before it is offered."""
        lack = self.definition.lack()
        demand(lack is None, "the suite needs it to work", f"it lacks something: {lack}")

    def test_interface(self) -> None:
        """Sockets, asyncio and relays use these and no others."""
        end = self.pair()[next(iter(self.pair().ends))]
        missing = [name for name in MEMBERS if not hasattr(type(end), name)]
        demand(not missing, "pyeno.tep.TepConnection", f"missing: {', '.join(missing)}")
