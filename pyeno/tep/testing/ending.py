"""Clauses on the end of the stream (RFC 8547 section 5, sixth item)."""

from pyeno.constants import Role
from pyeno.errors import ABORTING, LocalProtocolError, RemoteProtocolError, TruncationError
from pyeno.tep.interface import TepConnection
from pyeno.tep.testing.base import Suite
from pyeno.tep.testing.clauses import data_of, demand, places
from pyeno.tep.testing.ends import drained, feed, taken

RULE = (
    "RFC 8547 section 5: TEPs MUST protect and authenticate the end-of-file marker conveyed by "
    "TCP's FIN flag"
)
DISTINCT = (
    "RFC 8547 section 5: any such abort MUST raise an error condition distinct from an "
    "authentic end-of-file condition"
)
_SAID = [data_of(40, n) for n in range(3)]


class Ending(Suite):
    """FIN set or cleared in transit is found out."""

    def test_end_of_stream(self) -> None:
        """Data and end, then TCP's FIN; the other direction goes on."""
        for role in Role:
            for last in (b"", data_of(300)):
                pair = self.met()
                pair.say(role, b"first")
                got = pair.say(role, last, fin=True)
                end = pair[role.opposite]
                demand(got == last, RULE, "data before the end are lost")
                demand(end.ended and end.finished, RULE, "the end does not arrive")
                demand(end.read(1) == b"", RULE, "data follow the end")
                end.receive_eof()
                back = pair.say(role.opposite, b"back", fin=True)
                demand(back == b"back", RULE, "the other direction ended with this one")
                demand(pair[role].finished, RULE, "the other end does not arrive")

    def test_end_is_told_after_the_data(self) -> None:
        """``ended`` with the end, ``finished`` once all is read."""
        pair = self.met()
        feed(pair[Role.B], pair.sealed(Role.A, b"last", fin=True))
        pair[Role.B].open_ahead()
        demand(not pair[Role.B].finished, RULE, "it is finished although data are unread")
        demand(drained(pair[Role.B]) == b"last", RULE, "data before the end are lost")
        demand(pair[Role.B].finished, RULE, "it is not finished although all is read")

    def test_truncated(self) -> None:
        """FIN anywhere before the authenticated end: an error, and no end."""
        for role in Role:
            size = len(self._ended(role)[0])
            for place in places(size, self.samples):
                stream, end = self._ended(role)
                got, error = taken(end, stream[:place])
                demand(
                    isinstance(error, RemoteProtocolError),
                    DISTINCT,
                    f"host {role.value}'s stream cut at byte {place} of {size}: no error",
                )
                demand(not end.finished, RULE, f"cut at byte {place}, it passes for ended")
                demand(
                    b"".join(_SAID).startswith(got), RULE, f"cut at byte {place}: other data"
                )

    def test_truncation_between_frames(self) -> None:
        """What looks whole is not: TruncationError tells it from other errors."""
        for said in ([], _SAID):
            pair = self.met()
            stream = b"".join(pair.sealed(Role.A, part) for part in said)
            _, error = taken(pair[Role.B], stream)
            demand(
                isinstance(error, TruncationError),
                DISTINCT,
                f"FIN without an end raises {type(error).__name__}, not TruncationError",
            )

    def test_end_during_key_exchange(self) -> None:
        """FIN before there are keys."""
        for end in self.pair().ends.values():
            end.data_to_send()
            _, error = taken(end, b"")
            demand(
                isinstance(error, TruncationError),
                DISTINCT,
                f"FIN during the key exchange raises {type(error).__name__}, not "
                "TruncationError",
            )

    def test_bytes_after_the_end(self) -> None:
        """A FIN that was cleared, so that the stream seems to go on."""
        for role in Role:
            other = self.met()
            more = other.sealed(role, b"more")
            for at_once in (True, False):
                stream, end = self._ended(role)
                if at_once:
                    got, error = taken(end, stream + more, eof=False)
                else:
                    first, error = taken(end, stream, eof=False)
                    demand(error is None, RULE, "the end itself is refused")
                    got, error = taken(end, more, eof=False)
                    got = first + got
                    error = error or _late(end)
                demand(
                    error is not None and got == b"".join(_SAID),
                    RULE,
                    f"bytes after host {role.value}'s end are no error",
                )

    def test_nothing_is_sent_after_the_end(self) -> None:
        """Neither data nor another end."""
        pair = self.met()
        pair.say(Role.A, b"last", fin=True)
        for data, fin in ((b"more", False), (b"", True)):
            try:
                pair[Role.A].send(data, fin=fin)
            except LocalProtocolError:
                continue
            demand(False, RULE, "it sends after the end of its stream")

    def _ended(self, role: Role) -> tuple[bytes, TepConnection]:
        pair = self.met()
        stream = b"".join(pair.sealed(role, part) for part in _SAID)
        return stream + pair.sealed(role, b"", fin=True), pair[role.opposite]


def _late(end: TepConnection) -> Exception | None:
    """What an end says of bytes after the peer's end, when it looks for them."""
    try:
        end.open_ahead()
    except ABORTING as error:
        return error
    return None
