"""Clauses on urgent data (RFC 8547 section 5, last item)."""

from pyeno.constants import Role
from pyeno.errors import LocalProtocolError
from pyeno.tep.testing.base import Suite
from pyeno.tep.testing.clauses import data_of, demand, flipped, places
from pyeno.tep.testing.ends import feed, taken

RULE = (
    "RFC 8547 section 5: TEPs MUST prevent corrupted packets from causing urgent data to be "
    "delivered when none has been sent"
)


class Urging(Suite):
    """Urgent data are carried, authenticated, or refused."""

    def test_urgent_data(self) -> None:
        """As the definition says."""
        if self.definition.urgent:
            self._carried()
        else:
            self._refused()

    def _carried(self) -> None:
        for role in Role:
            pair = self.met()
            feed(pair[role.opposite], pair[role].send(b"before, now!", urgent=True))
            end = pair[role.opposite]
            got = end.read(100)
            demand(got == b"before, now", RULE, "reading does not stop before the urgent byte")
            demand(
                (end.urgent_index, end.urgent_byte, end.read_index) == (11, ord("!"), 11),
                RULE,
                "the urgent byte is another one",
            )
            demand(end.read(100) == b"!", RULE, "the urgent byte is lost from the stream")

    def _refused(self) -> None:
        pair = self.met()
        before = pair[Role.A].sealed
        try:
            pair[Role.A].send(b"now!", urgent=True)
        except LocalProtocolError:
            demand(pair[Role.A].sealed == before, RULE, "a refused send has made stream bytes")
            got = pair.say(Role.A, b"later")
            demand(got == b"later", RULE, "after a refused send nothing arrives")
            demand(pair[Role.B].urgent_index is None, RULE, "urgent data are delivered")
            return
        demand(
            False,
            "RFC 8547 section 5: returning errors in response to sender-side urgent-data API "
            "calls",
            "urgent data are sent, although the definition has none",
        )

    def test_no_urgent_data_by_corruption(self) -> None:
        """No altered byte makes any."""
        size = len(self.met().sealed(Role.A, data_of(60)))
        for place in places(size, self.samples):
            pair = self.met()
            taken(pair[Role.B], flipped(pair.sealed(Role.A, data_of(60)), place))
            demand(pair[Role.B].urgent_index is None, RULE, f"byte {place} altered makes some")
