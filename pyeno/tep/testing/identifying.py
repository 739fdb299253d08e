"""Clauses on session IDs (RFC 8547 section 5.1)."""

from pyeno.constants import SESSION_ID_MIN, Role
from pyeno.errors import ABORTING, NotEncryptedError
from pyeno.tep.testing.base import Suite
from pyeno.tep.testing.clauses import data_of, demand, windows
from pyeno.tep.testing.ends import Pair, outcome_of, taken

UNIQUE = (
    "RFC 8547 section 5.1: session IDs MUST be unique over all time with high probability, "
    "even if one end maliciously manipulates the protocol"
)


class Identifying(Suite):
    """What a session ID is, and is not."""

    def test_no_session_id_before_keys(self) -> None:
        """Section 5.1: "MUST return an error when no session ID is available"."""
        for role, end in self.pair().ends.items():
            try:
                end.session_id  # noqa: B018
            except NotEncryptedError:
                continue
            demand(False, "RFC 8547 section 5.1", f"host {role.value} has one before keys")

    def test_session_id_form(self) -> None:
        """Section 5.1: at least 33 bytes, of which the first is the negotiated TEP, v
        included; "computable by both endpoints"."""
        pair = self.met()
        ids = {role: pair[role].session_id for role in Role}
        byte = outcome_of(self.definition, self.config, Role.A).tep_byte
        for role, session_id in ids.items():
            demand(
                isinstance(session_id, bytes) and len(session_id) >= SESSION_ID_MIN,
                "RFC 8547 section 5.1: at least 33 bytes",
                f"host {role.value} has {len(session_id)} bytes",
            )
            demand(
                session_id[0] == byte,
                "RFC 8547 section 5.1: it begins with the negotiated TEP, v included",
                f"host {role.value} has {session_id[0]:#04x} for {byte:#04x}",
            )
        demand(
            ids[Role.A] == ids[Role.B],
            "RFC 8547 section 5.1: computable by both endpoints",
            "the hosts have different ones",
        )

    def test_session_ids_are_unique(self) -> None:
        """Section 5.1, of honest hosts with the same options."""
        ids = [self.met()[Role.A].session_id for _ in range(8)]
        demand(len(set(ids)) == len(ids), UNIQUE, "two connections have the same")
        tails = [session_id[-16:] for session_id in ids]
        demand(len(set(tails)) == len(tails), UNIQUE, "their last 16 bytes repeat")

    def test_fresh_data_of_both_sides(self) -> None:
        """Section 5.1: "fresh data contributed by both sides": what one host of an old
        connection sent, sent again, leads to no session that was."""
        for role in Role:
            old = self.met()
            old_id = old[role].session_id
            said = data_of(100)
            stream = bytes(old.sent[role]) + old.sealed(role, said)
            end = self.definition.create(
                outcome_of(self.definition, self.config, role.opposite), self.config
            )
            end.data_to_send()
            got, _ = taken(end, stream, eof=False)
            demand(
                not end.established or end.session_id != old_id,
                UNIQUE,
                f"host {role.value}'s bytes of an old connection make the same session ID",
            )
            demand(
                not got,
                "RFC 8547 section 5.1: in order to avoid replay attacks",
                f"host {role.value}'s data of an old connection are taken again",
            )

    def test_transcript_is_bound(self) -> None:
        """Section 5.1: the session ID MUST depend on "the negotiation transcript"; hence
        altered options are found out."""
        pair = self.pair((b"altered", b""))
        try:
            pair.settle()
        except ABORTING:
            return
        both = pair.established
        demand(
            not both or pair[Role.A].session_id != pair[Role.B].session_id,
            "RFC 8547 section 5.1: it MUST depend on the negotiation transcript",
            "hosts with different transcripts have the same session ID",
        )
        self._nothing_passes(pair)

    def _nothing_passes(self, pair: Pair) -> None:
        for role in Role:
            if not (pair[role].established and pair[role.opposite].established):
                continue
            got, _ = taken(pair[role.opposite], pair.sealed(role, data_of(100)))
            demand(
                not got,
                "RFC 8547 section 4.8: the transcript is authenticated",
                f"host {role.value}'s data pass between hosts with different transcripts",
            )

    def test_session_id_is_not_on_the_wire(self) -> None:
        """Section 5.1: "all but the first byte MUST be computationally indistinguishable
        from random bytes to a network eavesdropper"."""
        pair = self.met()
        for role in Role:
            pair.say(role, data_of(1000), fin=True)
        secret = windows(pair[Role.A].session_id[1:])
        for role in Role:
            seen = windows(bytes(pair.sent[role]))
            demand(
                secret.isdisjoint(seen),
                "RFC 8547 section 5.1: indistinguishable from random to an eavesdropper",
                f"host {role.value} sends a part of it",
            )

    def test_session_id_stays(self) -> None:
        """Section 5.1: it identifies the connection, so nothing later changes it."""
        pair = self.met()
        before = pair[Role.A].session_id
        for fin in (False, True):
            for role in Role:
                pair.say(role, data_of(100), fin=fin)
        demand(
            pair[Role.A].session_id == before == pair[Role.B].session_id,
            "RFC 8547 section 5.1: it identifies the connection",
            "it changed after the key exchange",
        )
