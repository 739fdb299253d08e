"""One connection's keys, one process.

After fork() two processes would seal different frames with the same keys at
the same offsets: one frame ID used twice, which RFC 8548 section 3.6 forbids
above all.  So the process in which the key exchange began keeps the
connection; in its children every use raises, and close() sends nothing.  A
connection nobody has used yet belongs to whoever uses it first, and so
servers that accept and then fork work as ever.
"""

import os
import weakref
from typing import Protocol

from pyeno.errors import LocalProtocolError


class Kept(Protocol):
    """What has keys to lose."""

    def disown(self, why: LocalProtocolError) -> None:
        """Forget the keys, send nothing any more, raise ``why`` when used."""


_kept: set[weakref.ref[Kept]] = set()  # a WeakSet takes four times as long


def keep(owner: Kept) -> None:
    """From now on ``owner`` is this process's alone."""
    _kept.add(weakref.ref(owner, _kept.discard))


def _forked() -> None:
    for reference in list(_kept):
        owner = reference()
        if owner is not None:
            owner.disown(
                LocalProtocolError(
                    "fork: the keys of this connection stay with the process that agreed on "
                    "them; fork before do_handshake() and the first send() or recv()"
                )
            )
    _kept.clear()


os.register_at_fork(after_in_child=_forked)
