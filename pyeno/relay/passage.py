"""A connection on its way to being joined: what both directions do alike."""

import errno
import select
import socket
from abc import ABC, abstractmethod

from pyeno.constants import Reason
from pyeno.errors import ABORTING, EncryptionRequiredError, PyenoError, ending
from pyeno.relay import far
from pyeno.relay.copying import abort
from pyeno.relay.desk import Desk
from pyeno.relay.records import Record
from pyeno.relay.resumed import Far
from pyeno.sockets.link import Link
from pyeno.sockets.raw import descriptor


class Passage(ABC):
    """``far`` leads to the other host, ``near`` to the program.

    Nothing here waits: each step registers for what it needs next, and whoever
    is slow holds up nobody else.
    """

    __slots__ = ("desk", "far", "keyed", "link", "near", "record", "watched")

    def __init__(self, desk: Desk, sock: Far, record: Record) -> None:
        self.desk = desk
        self.far = sock
        self.record = record
        self.near: socket.socket | None = None
        self.link: Link | None = None
        self.keyed = False
        """the far side can carry data: keys are agreed, or it is plain"""
        self.watched = 0
        """events of ``far`` that the loop is to tell"""

    @abstractmethod
    def go_on(self) -> None:
        """Keys are agreed, or none are needed."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """End it: nobody may take it for a connection any more."""

    # -- the far side --------------------------------------------------------

    def settle(self) -> None:
        """It is connected: what became of ENO.  Raises as :func:`far.settled`."""
        try:
            self.link = far.settled(self.far)
        finally:
            self.record.info = self.far.eno
        self.keyed = self.link is None

    def agree(self, _: int = 0) -> None:
        """Take the key exchange as far as it goes now; at once for a resumed session."""
        if self.link is not None and not self.keyed:
            try:
                self.link.handshake()
            except BlockingIOError:
                room = select.EPOLLOUT if self.link.blocked else 0
                self.watch_far(select.EPOLLIN | room)
                return
            except (OSError, PyenoError) as error:
                self.fail(error)
                return
            self.keyed = True
        self.watch_far(0)
        self.go_on()

    def watch_far(self, events: int) -> None:
        """Have :meth:`agree`, or what a subclass does meanwhile, called on these."""
        if events == self.watched:
            return
        loop, number = self.desk.loop, descriptor(self.far)
        if not events:
            loop.forget(number)
        elif self.watched:
            loop.change(number, events)
        else:
            loop.watch(number, events, self.far_ready)
        self.watched = events

    def far_ready(self, events: int) -> None:
        """The far socket is."""
        self.agree(events)

    # -- ends ----------------------------------------------------------------

    def join(self) -> None:
        """Leave it to those who move data."""
        assert self.near is not None
        try:
            self.desk.traffic.join(self.near, self.far, self.record)
        except (OSError, PyenoError) as error:  # no descriptor, or the peer is gone
            self.fail(error)

    def drop(self) -> None:
        """Reset both sides."""
        self.watch_far(0)
        abort(self.far)
        if self.near is not None:
            self.desk.loop.forget(descriptor(self.near))
            abort(self.near)

    def refused(self, error: Exception) -> None:
        """Count it."""
        code = getattr(error, "errno", None) or 0
        self.desk.book.refused(self.record, why(error), code, in_words(error))


def in_words(error: Exception) -> str:
    """Without Python's ``[Errno …]``."""
    return getattr(error, "strerror", None) or str(error)


def why(error: Exception) -> str:
    """What an error counts as: the reason that encryption was disabled, how a key
    exchange ended, or the name of an errno."""
    if isinstance(error, EncryptionRequiredError) and isinstance(error.reason, Reason):
        return error.reason.slug
    if isinstance(error, ABORTING):
        return ending(error)
    return errno.errorcode.get(getattr(error, "errno", None) or 0, "error")
