"""Programs that know nothing of ENO, redirected through a relay that does.

The kernel half of ``pyeno run`` and ``pyeno relay``; :class:`Redirection` is all of it.
"""

from pyeno.redirect.redirection import Held, Redirection
from pyeno.redirect.rules import Rules

__all__ = ["Held", "Redirection", "Rules"]
