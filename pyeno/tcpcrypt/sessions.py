"""Session resumption (RFC 8548 section 3.5): what one connection leaves to the next.

::

    KeySchedule --Session.after()--> Session, with ss[i+1]
                                        |  suboption(): names it in a SYN or SYN-ACK
                                        |  names(): whether the peer's suboption does
    KeySchedule <---schedule()----------+

Which half of the identifier a host sends, the order of the nonces, and the keys
it sends with follow its role in the original session, whatever it is today.
"""

from pyeno._values import Outcome, Suboption
from pyeno.constants import (
    AEADS,
    ENO_GLT,
    K_LEN,
    RESUME_HALF_LEN,
    RESUME_NONCE_MAX,
    Aead,
    Role,
)
from pyeno.errors import LocalProtocolError
from pyeno.option import data_of
from pyeno.tcpcrypt.agreement import Secret
from pyeno.tcpcrypt.keyschedule import KeySchedule


class Session:
    """A session that can be resumed, once.

    ``aead`` and ``original_role`` are those of the session with ss[0];
    ``identifier`` is resume[i] and ``ss`` the secret ss[i] it names.  Raises
    ValueError for a TEP, an AEAD or a length that cannot be.
    """

    __slots__ = ("_named_by", "aead", "identifier", "original_role", "ss", "tep")

    def __init__(
        self, tep: int, aead: int, original_role: Role, identifier: bytes, ss: Secret
    ) -> None:
        if len(identifier) != 2 * RESUME_HALF_LEN:
            raise _wrong_length("identifier", len(identifier), 2 * RESUME_HALF_LEN)
        if len(ss) != K_LEN:
            raise _wrong_length("ss", len(ss), K_LEN)
        self.tep = tep & ENO_GLT
        self.aead = AEADS.get(aead) or Aead(aead)
        self.original_role = original_role
        self.identifier = identifier
        self.ss = ss
        self._named_by: tuple[Outcome, bytes] | None = None

    @classmethod
    def after(cls, schedule: KeySchedule, tep: int) -> "Session":
        """The one with ss[i+1], when ``schedule`` was made of ss[i]."""
        return cls(
            tep,
            schedule.aead,
            schedule.original_role,
            schedule.resumption_id(),
            schedule.next_secret(),
        )

    @classmethod
    def named(cls, outcome: Outcome, aead: int, original_role: Role, ss: Secret) -> "Session":
        """The one that both hosts named, where the secret was kept apart."""
        a, b = _by_original_role(outcome, original_role)
        identifier = a[:RESUME_HALF_LEN] + b[:RESUME_HALF_LEN]
        session = cls(outcome.tep_byte, aead, original_role, identifier, ss)
        session._named_by = outcome, a[RESUME_HALF_LEN:] + b[RESUME_HALF_LEN:]
        return session

    def __repr__(self) -> str:
        # nor the identifier: who learns it first can have the session used up
        state = "wiped" if self.ss.wiped else f"original role {self.original_role.value}"
        return f"<Session: TEP 0x{self.tep:02x}, {self.aead.name}, {state}>"

    @property
    def local_half(self) -> bytes:
        """What this host sends: resume[i]{0..8} if its original role is A.
        [8548:3.5-6, 3.5-8]"""
        return self._half(self.original_role)

    @property
    def remote_half(self) -> bytes:
        """What the peer sends: the other half."""
        return self._half(self.original_role.opposite)

    def _half(self, role: Role) -> bytes:
        identifier = self.identifier
        return identifier[:RESUME_HALF_LEN] if role is Role.A else identifier[RESUME_HALF_LEN:]

    def suboption(self, nonce: bytes) -> Suboption:
        """The resumption suboption (figures 2 and 3); ``nonce``: 0 to 8 fresh bytes.
        [8548:3.5-1, 3.5-7, 3.5-9]"""
        if len(nonce) > RESUME_NONCE_MAX:
            raise ValueError(
                f"nonce has {len(nonce)} bytes; {RESUME_NONCE_MAX} are the most allowed"
            )
        return Suboption(self.tep, True, self.local_half + nonce)

    def names(self, suboption: Suboption) -> bool:
        """Whether the peer's suboption is this session's; what is not "MUST NOT" be
        resumed, and an answer that is not MUST be ignored."""
        nonce_len = len(suboption.data) - RESUME_HALF_LEN
        return (
            suboption.v
            and suboption.tep == self.tep
            and 0 <= nonce_len <= RESUME_NONCE_MAX
            and suboption.data[:RESUME_HALF_LEN] == self.remote_half
        )

    def schedule(self, outcome: Outcome) -> KeySchedule:
        """The keys of the connection that resumes it; wipes the secret.

        Raises LocalProtocolError if the negotiation named another session.
        """
        sn = self._nonces(outcome)
        return KeySchedule.resume(
            self.ss,
            sn=sn,
            tep_byte=outcome.tep_byte,
            aead=self.aead,
            original_role=self.original_role,
        )

    def _nonces(self, outcome: Outcome) -> bytes:
        """sn[i] = nonce_a | nonce_b [8548:3.5-20]"""
        if self._named_by is not None and self._named_by[0] is outcome:
            return self._named_by[1]
        a, b = _by_original_role(outcome, self.original_role)
        named = a[:RESUME_HALF_LEN] + b[:RESUME_HALF_LEN]
        if outcome.tep_byte & ENO_GLT != self.tep or named != self.identifier:
            raise LocalProtocolError(
                "resume: the negotiation named another session; look it up by the "
                "identifiers in its transcript"
            )
        return a[RESUME_HALF_LEN:] + b[RESUME_HALF_LEN:]

    def wipe(self) -> None:
        """Forget the secret."""
        self.ss.wipe()


def _wrong_length(what: str, got: int, need: int) -> ValueError:
    return ValueError(f"{what} has {got} bytes; {need} are needed")


def _data_of(tep: int, option: bytes) -> bytes:
    data = data_of(option, tep)
    if data is None:
        raise LocalProtocolError(f"resume: an option without TEP 0x{tep:02x} was negotiated")
    return data


def _by_original_role(outcome: Outcome, original_role: Role) -> tuple[bytes, bytes]:
    """The data of both resumption suboptions: of the original host A, then of B."""
    if not outcome.resumed:
        raise LocalProtocolError("resume: the negotiation asks for a fresh key exchange")
    size = outcome.transcript[1]  # host A's option comes first (RFC 8547 section 4.8)
    tep = outcome.tep_byte & ENO_GLT
    of_a = _data_of(tep, outcome.transcript[:size])
    of_b = _data_of(tep, outcome.transcript[size:])
    return (of_a, of_b) if outcome.role is original_role else (of_b, of_a)
