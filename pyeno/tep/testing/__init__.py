"""RFC 8547 section 5 as a suite that any TEP has to pass.

    from pyeno.tep.testing import Conformance

    class TestMine(Conformance):
        definition = MINE

is all that pytest needs; :func:`check` runs the same without it.  Two ends are
set against each other over a byte pipe, without sockets.  What no test can show
(the strength of the algorithms, that no long-lived secret is relied on) is for
the TEP's document to say; everything else of section 5 is a clause here.
"""

from pyeno.config import Config
from pyeno.tep.definition import Definition
from pyeno.tep.testing.clauses import Broken
from pyeno.tep.testing.defining import Defining
from pyeno.tep.testing.encrypting import Encrypting
from pyeno.tep.testing.ending import Ending
from pyeno.tep.testing.identifying import Identifying
from pyeno.tep.testing.keeping import Keeping
from pyeno.tep.testing.urging import Urging

__all__ = ["Broken", "Conformance", "check", "clauses"]


class Conformance(Defining, Identifying, Encrypting, Ending, Urging, Keeping):
    """Set ``definition``; ``config`` and ``samples`` if the default is not meant."""


def clauses() -> list[str]:
    """The names of all."""
    return sorted(name for name in dir(Conformance) if name.startswith("test_"))


def check(
    definition: Definition, config: Config | None = None, *, samples: int = 64
) -> dict[str, str]:
    """The clauses that the TEP breaks, each with what is wrong; empty: it conforms."""
    suite = Conformance()
    suite.definition, suite.samples = definition, samples
    if config is not None:
        suite.config = config
    broken: dict[str, str] = {}
    for name in clauses():
        try:
            getattr(suite, name)()
        except Broken as fault:
            broken[name] = str(fault)
        except Exception as error:
            broken[name] = f"it raised {type(error).__name__}: {error}"
    return broken
