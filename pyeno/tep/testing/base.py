"""What every part of the suite has: the TEP, and pairs of its connections."""

from functools import cached_property

from pyeno.config import Config, as_config
from pyeno.errors import ABORTING
from pyeno.tep.definition import Definition
from pyeno.tep.testing.clauses import Broken
from pyeno.tep.testing.ends import Pair


class Suite:
    """Set ``definition`` to the TEP."""

    definition: Definition
    samples: int = 64
    """places at which long streams are cut or altered"""

    @cached_property
    def config(self) -> Config:
        """The policy; the default one unless a subclass has another."""
        return as_config(None)

    def pair(self, marks: tuple[bytes, bytes] = (b"", b"")) -> Pair:
        """Two ends that have not spoken yet."""
        return Pair(self.definition, self.config, marks)

    def met(self, size: int | None = None) -> Pair:
        """Two ends with keys; the stream cut after every ``size`` bytes."""
        pair = self.pair()
        try:
            pair.settle(size)
        except ABORTING as error:
            raise Broken(f"the key exchange failed between two of it: {error}") from error
        if not pair.established:
            raise Broken("the key exchange comes to no end although neither end owes bytes")
        return pair
