"""From the ephemeral secret to traffic keys (RFC 8548 sections 3.3 to 3.5).

::

    ES --extract--> KeySchedule --outgoing()--> Generations --traffic_key()--> Secret
    ss ---resume-->      |      --incoming()-->      |  advance(): mk[j+1]
                         +------next_secret()--> ss[i+1], named by resumption_id()

A :class:`KeySchedule` forgets ss[i] as it is made.  Once both directions, and
perhaps the next session secret, have been taken from it, :meth:`wipe
<KeySchedule.wipe>` it, so that mk[0] is gone before the first rekeying.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyeno._native.keyschedule import Generations as Generations
    from pyeno._native.keyschedule import KeySchedule as KeySchedule
else:
    from pyeno._backend import load

    _twin = load("keyschedule")
    Generations = _twin.Generations
    KeySchedule = _twin.KeySchedule

__all__ = ["Generations", "KeySchedule"]
